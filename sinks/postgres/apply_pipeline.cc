#include "sinks/postgres/apply_pipeline.h"

#include <cstdlib>
#include <utility>

#include "base/status.h"
#include "postgres/types/sql_state.h"

namespace pgflow::sinks {
namespace {

// Answers are taken now and then, so that they pile up neither here nor in the server.
constexpr size_t kStatementsPerSync = 1000;
constexpr size_t kSyncsAhead = 3;

}  // namespace

absl::Status ApplyPipeline::Enter() {
  if (entered_) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(connection_.EnterPipeline());
  entered_ = true;
  return absl::OkStatus();
}

absl::Status ApplyPipeline::Sent(Expectation expectation) {
  pending_.push_back({expectation, false});
  if (++since_sync_ < kStatementsPerSync) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(Sync());
  while (syncs_ > kSyncsAhead) PGFLOW_RETURN_IF_ERROR(TakeUntilSync());
  return absl::OkStatus();
}

absl::Status ApplyPipeline::Prepare(const std::string& name, const std::string& sql,
                                    std::span<const postgres::Oid> types) {
  PGFLOW_RETURN_IF_ERROR(Enter());
  PGFLOW_RETURN_IF_ERROR(connection_.SendPrepare(name, sql, types, stop_));
  pending_.push_back({Expectation{}, false});
  return absl::OkStatus();
}

absl::Status ApplyPipeline::Send(const std::string& name,
                                 std::span<const postgres::Parameter> parameters,
                                 Expectation expectation) {
  PGFLOW_RETURN_IF_ERROR(Enter());
  PGFLOW_RETURN_IF_ERROR(connection_.SendPrepared(name, parameters, stop_));
  return Sent(expectation);
}

absl::Status ApplyPipeline::Query(const std::string& sql, Expectation expectation) {
  PGFLOW_RETURN_IF_ERROR(Enter());
  PGFLOW_RETURN_IF_ERROR(connection_.SendQuery(sql, {}, stop_));
  return Sent(expectation);
}

absl::Status ApplyPipeline::Sync() {
  PGFLOW_RETURN_IF_ERROR(Enter());
  PGFLOW_RETURN_IF_ERROR(connection_.SendSync(stop_));
  pending_.push_back({Expectation{}, true});
  since_sync_ = 0;
  ++syncs_;
  return absl::OkStatus();
}

absl::Status ApplyPipeline::TakeUntilSync() {
  using Outcome = postgres::Connection::PipelineOutcome;
  while (!pending_.empty()) {
    const Pending expected = pending_.front();
    pending_.pop_front();
    auto answer = connection_.NextResult(stop_);
    if (expected.sync) {
      --syncs_;
      return answer.status();
    }
    if (!answer.ok()) {
      // Without a SQLSTATE it is the connection, not the statement.
      if (postgres::SqlStateOf(answer.status()).empty()) return answer.status();
      if (!failure_.has_value()) failure_ = {answer.status(), expected.expectation.tag, false};
      continue;
    }
    if (answer->outcome != Outcome::kResult || failure_.has_value()) continue;
    const int64_t wanted = expected.expectation.rows;
    const int64_t affected = answer->result.affected_rows();
    const bool good = affected == wanted || (expected.expectation.or_fewer && affected < wanted);
    if (wanted != Expectation::kAnyRows && !good &&
        expected.expectation.tolerance != Tolerance::kNone) {
      deviations_.push_back({expected.expectation.tolerance, expected.expectation.tag,
                             static_cast<uint64_t>(std::abs(affected - wanted)),
                             expected.expectation.table});
    } else if (wanted != Expectation::kAnyRows && !good) {
      failure_ = {base::MakeStatus(absl::StatusCode::kInvalidArgument,
                                   "{} rows of {} were found in the target", affected, wanted),
                  expected.expectation.tag, true};
    }
    if (expected.expectation.capture) captured_ = std::move(answer->result);
  }
  return absl::OkStatus();
}

absl::Status ApplyPipeline::Drain() {
  if (!entered_) return absl::OkStatus();
  if (!pending_.empty() && !pending_.back().sync) PGFLOW_RETURN_IF_ERROR(Sync());
  while (syncs_ > 0) PGFLOW_RETURN_IF_ERROR(TakeUntilSync());
  entered_ = false;
  since_sync_ = 0;
  return connection_.ExitPipeline();
}

}  // namespace pgflow::sinks
