#include "sources/postgres/source_config.h"

#include <algorithm>

#include "base/status.h"
#include "schemas/table_filter.h"

namespace pgflow::sources {
namespace {

config::ConfigSpec<TableChoice> TableChoiceSpec() {
  config::ConfigSpec<TableChoice> spec;
  spec.Field("include", &TableChoice::include,
             "Tables to copy: patterns schema.table with * and ?. A partitioned table brings its "
             "partitions. Empty: all tables.")
      .Example("[\"public.*\"]");
  spec.Field("exclude", &TableChoice::exclude, "Tables to leave out of those.")
      .Example("[\"public.audit_*\"]");
  return spec;
}

config::ConfigSpec<ReplicationOptions> ReplicationSpec() {
  config::ConfigSpec<ReplicationOptions> spec;
  spec.Field("slot", &ReplicationOptions::slot,
             "The replication slot: a-z, 0-9 and _. Empty: pgflow_ and the pipeline's name.");
  spec.Field(
      "publication", &ReplicationOptions::publication,
      "The publication; made when it is missing. Empty: named like the slot. Of one that you "
      "made, row filters, column lists, publish_via_partition_root and publish are followed.");
  spec.Field("ddl", &ReplicationOptions::ddl,
             "Replicate DDL: event triggers on the source (a superuser makes them) capture what "
             "each command changed. New tables that match `tables` join the pipeline. Without the "
             "triggers only new tables that the role owns, and changed columns, follow.");
  spec.Field("origin", &ReplicationOptions::origin,
             "any: every change. none: only changes that carry no replication origin, so not what "
             "another replication applied to the source; two databases then replicate into each "
             "other without a loop. Before version 16 transactions in progress are then not "
             "streamed.")
      .Choice({{"any", ChangeOrigin::kAny}, {"none", ChangeOrigin::kNone}});
  spec.Field("failover", &ReplicationOptions::failover,
             "Make the slot one that standbys with sync_replication_slots keep as well, so that it "
             "outlives a fail-over. From version 17 on, not for a slot on a standby.");
  spec.Field("receive_timeout", &ReplicationOptions::receive_timeout,
             "The server is asked whether it is still there; when it says nothing for so long, the "
             "stream is read through a new connection (wal_receiver_timeout of a standby).")
      .Range(absl::Seconds(1), absl::Hours(24));
  return spec;
}

config::ConfigSpec<SnapshotOptions> SnapshotSpec() {
  config::ConfigSpec<SnapshotOptions> spec;
  spec.Field("workers", &SnapshotOptions::workers, "Connections that copy tables at once.")
      .Range(1, 64);
  spec.Field("range_size", &SnapshotOptions::range_size,
             "Larger tables are copied in ranges of about this size (PostgreSQL 14 and later).")
      .Range({128 * base::kKiB}, {1024 * base::kGiB});
  return spec;
}

bool IsSlotName(const std::string& name) {
  return name.size() <= 63 && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

}  // namespace

config::ConfigSpec<PostgresSourceConfig> PostgresSourceSpec() {
  using Mode = engine::SourcePlan::Mode;
  config::ConfigSpec<PostgresSourceConfig> spec;
  spec.Field(
          "url", &PostgresSourceConfig::url,
          "The source database: URI or keyword string, libpq's sslmode and sslrootcert included.")
      .Required()
      .Example("${SOURCE_URL}");
  spec.Field("mode", &PostgresSourceConfig::mode,
             "snapshot_and_stream: copy what is there, then every change. snapshot: only the "
             "first. stream: only changes from now on.")
      .Choice({{"snapshot_and_stream", Mode::kSnapshotAndStream},
               {"snapshot", Mode::kSnapshot},
               {"stream", Mode::kStream}});
  spec.Section("tables", &PostgresSourceConfig::tables, TableChoiceSpec(), "Which tables.");
  spec.Section("replication", &PostgresSourceConfig::replication, ReplicationSpec(),
               "How changes are read.");
  spec.Section("snapshot", &PostgresSourceConfig::snapshot, SnapshotSpec(),
               "How the tables are copied at first.");
  spec.Field(
          "messages", &PostgresSourceConfig::messages,
          "Logical messages (pg_logical_emit_message) whose prefix matches one of these patterns "
          "come as rows of the table pgflow.logical_message (prefix, content, transactional). "
          "From version 14 on. One that is not transactional is a transaction of its own, "
          "without a number.")
      .Example("[\"audit.*\", outbox]");
  spec.Field("binary", &PostgresSourceConfig::binary,
             "Whether values travel in binary form, which is faster. auto: unless a column's "
             "binary form means something else in another database (arrays of own types, "
             "composite types, regclass and the like).")
      .Choice({{"auto", BinaryMode::kAuto}, {"on", BinaryMode::kOn}, {"off", BinaryMode::kOff}});
  return spec;
}

absl::Status ValidatePostgresSourceConfig(const PostgresSourceConfig& config) {
  if (!IsSlotName(config.replication.slot)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "replication.slot '{}' may only have a-z, 0-9 and _, at most 63 of "
                            "them",
                            config.replication.slot);
  }
  if (config.replication.publication.size() > 63) {
    return absl::InvalidArgumentError("replication.publication is longer than 63 bytes");
  }
  const auto filter = schemas::TableFilter::Make(config.tables.include, config.tables.exclude);
  return base::Annotate(filter.status(), "tables");
}

}  // namespace pgflow::sources
