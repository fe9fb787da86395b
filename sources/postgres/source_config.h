// The options of the `postgres` source.
#pragma once

#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/time/time.h>

#include "base/bytes.h"
#include "base/config/config_spec.h"
#include "engine/api/source.h"

namespace pgflow::sources {

enum class BinaryMode { kAuto, kOn, kOff };

// Which changes of the source the stream has: those that another replication applied there (they
// carry its replication origin) too, or only the source's own.
enum class ChangeOrigin { kAny, kNone };

struct TableChoice {
  std::vector<std::string> include;
  std::vector<std::string> exclude;
};

struct ReplicationOptions {
  std::string slot;         // Empty: pgflow_<pipeline>.
  std::string publication;  // Empty: like the slot.
  bool ddl = false;
  ChangeOrigin origin = ChangeOrigin::kAny;
  bool failover = true;
  absl::Duration receive_timeout = absl::Minutes(1);
};

struct SnapshotOptions {
  int workers = 4;
  config::ByteSize range_size{64 * base::kMiB};
};

struct PostgresSourceConfig {
  config::Secret url;
  engine::SourcePlan::Mode mode = engine::SourcePlan::Mode::kSnapshotAndStream;
  TableChoice tables;
  ReplicationOptions replication;
  SnapshotOptions snapshot;
  BinaryMode binary = BinaryMode::kAuto;
  std::vector<std::string> messages;
};

config::ConfigSpec<PostgresSourceConfig> PostgresSourceSpec();
// What a single field cannot know. kInvalidArgument names the field.
absl::Status ValidatePostgresSourceConfig(const PostgresSourceConfig& config);

}  // namespace pgflow::sources
