// GroupMember: a place in a consumer group, and nothing else: which partitions are ours, and how
// far the group has come. It reads no message; a Consumer for each partition does.
//
// Cooperative: what is not lost goes on undisturbed while the group shares out anew. One thread at
// a time. Errors as kafka/client.h says; kCancelled after a stop.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "kafka/settings.h"

namespace pgflow::kafka {

class Client;

struct TopicPartition {
  std::string topic;
  int32_t partition = 0;

  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

// How far a group has come in one partition.
struct GroupPlace {
  TopicPartition at;
  std::optional<int64_t> next;  // The offset to be read next; none: the group never said.
  std::string note;             // Kept with it; at most 4096 bytes.
};

struct Assignment {
  std::vector<TopicPartition> gained;
  std::vector<TopicPartition> lost;
  bool too_late = false;  // What is lost may be read by others already.

  bool empty() const { return gained.empty() && lost.empty(); }
};

class GroupMember {
 public:
  struct Options {
    Settings settings;
    std::string group;
    std::vector<std::string> topics;  // One that starts with ^ is a regular expression.
    absl::Duration session_timeout = absl::Seconds(10);
    absl::Duration patience = absl::Seconds(30);
  };
  // Inert: joins at the first Poll.
  static absl::StatusOr<std::unique_ptr<GroupMember>> Make(Options options);
  // Leaves, without a commit.
  ~GroupMember();
  GroupMember(const GroupMember&) = delete;
  GroupMember& operator=(const GroupMember&) = delete;

  // What changed within `wait`. After an answer that is not empty, Accept must follow before the
  // next Poll; the group waits for it.
  absl::StatusOr<Assignment> Poll(absl::Duration wait);
  absl::Status Accept();

  // Both wait for the coordinator. Only partitions that are ours can be committed: kAborted says
  // that some are not any more, or that the group shares out anew and it is to be tried again.
  absl::Status Commit(std::span<const GroupPlace> places, std::stop_token stop);
  absl::StatusOr<std::vector<GroupPlace>> Committed(std::span<const TopicPartition> partitions,
                                                    std::stop_token stop);
  // The name that the cluster gave itself.
  absl::StatusOr<std::string> ClusterId(std::stop_token stop);
  // Removes the group with its places. kFailedPrecondition: somebody is in it. OK: there was none.
  absl::Status RemoveGroup(std::stop_token stop);

 private:
  struct State;
  explicit GroupMember(Options options);
  absl::Status Join();

  const Options options_;
  std::unique_ptr<State> state_;  // What the library's callbacks see.
  std::unique_ptr<Client> client_;
  bool joined_ = false;
};

}  // namespace pgflow::kafka
