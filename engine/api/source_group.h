// SourceGroup: this process's share of a log that several processes read together, part by part.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "engine/api/source.h"

namespace pgflow::engine {

// What became of the share. Names are of parts, such as "shop.public.orders/3".
struct ShareChange {
  std::vector<std::string> gained;
  std::vector<std::string> lost;
  // Somebody else may read what is lost already: there is no time to deliver what was received.
  bool too_late = false;

  bool empty() const { return gained.empty() && lost.empty(); }
};

// Inert until Next. One thread; the sources that it makes keep to the rule of Source, and are gone
// before it goes.
class SourceGroup {
 public:
  virtual ~SourceGroup() = default;

  // Joins at its first call. Gives what changed within `wait`, and tells the group how far the
  // sources of this process are acknowledged. Must be called again within a minute or so, or the
  // share is given to others.
  virtual absl::StatusOr<ShareChange> Next(absl::Duration wait, std::stop_token stop) = 0;
  // The sources of what was lost have ended, and those of what was gained may begin. After each
  // change that is not empty.
  virtual absl::Status Settle(std::stop_token stop) = 0;
  // Tells how far all was acknowledged and gives everything back.
  virtual absl::Status Leave(std::stop_token stop) = 0;

  // One part as a source of its own, whoever has it.
  virtual absl::StatusOr<std::unique_ptr<Source>> Open(const std::string& part) = 0;
  // All parts there are.
  virtual absl::StatusOr<std::vector<std::string>> ListParts(std::stop_token stop) = 0;
  // Forgets how far the group has come. kFailedPrecondition: some process is in it.
  virtual absl::Status Forget(std::stop_token stop) = 0;
};

// What a Source is as well when several processes share its log. It is for Check only then; the
// sources that its group makes are run.
class SharedSource {
 public:
  virtual ~SharedSource() = default;
  virtual std::unique_ptr<SourceGroup> MakeGroup() = 0;
};

}  // namespace pgflow::engine
