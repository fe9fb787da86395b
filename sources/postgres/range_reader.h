// PostgresRangeReader: copies ranges of one snapshot's tables over its own connection. One thread.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "engine/api/snapshot.h"
#include "postgres/client/connection.h"
#include "sources/postgres/snapshot_session.h"

namespace pgflow::sources {

class PostgresRangeReader final : public engine::RangeReader {
 public:
  // "session" must outlive the reader.
  static absl::StatusOr<std::unique_ptr<PostgresRangeReader>> Open(
      PostgresSnapshotSession& session, const postgres::ConnectOptions& options,
      std::stop_token stop);

  absl::StatusOr<engine::RangeOutcome> Read(const engine::RangeRequest& request,
                                            const engine::BatchConsumer& consume,
                                            std::stop_token stop) override;

 private:
  PostgresRangeReader(PostgresSnapshotSession& session, postgres::ConnectOptions options)
      : session_(session), options_(std::move(options)) {}

  absl::Status CopyRange(const engine::RangeRequest& request, const engine::BatchConsumer& consume,
                         const std::stop_token& stop);
  absl::Status ReadBatches(const engine::SnapshotTable& table, engine::CopyFormat format,
                           const engine::BatchConsumer& consume, const std::stop_token& stop);
  absl::StatusOr<std::string> StatementFor(const engine::RangeRequest& request) const;

  PostgresSnapshotSession& session_;
  const postgres::ConnectOptions options_;
  std::unique_ptr<postgres::Connection> connection_;  // Null after it was left inside a COPY.
  std::string imported_;                              // The snapshot name that the statement uses.
  bool consumer_failed_ = false;
};

}  // namespace pgflow::sources
