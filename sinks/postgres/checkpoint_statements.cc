#include "sinks/postgres/checkpoint_statements.h"

#include <utility>

#include "base/status.h"
#include "engine/api/takeover.h"
#include "postgres/types/sql_state.h"

namespace pgflow::sinks {

using engine::BlockRange;
using engine::StreamPoint;
using postgres::Parameter;

namespace {

// In the error of a check that fails.
constexpr std::string_view kNotOurs = "pgflow: the sink is not ours ";

}  // namespace

const std::array<postgres::Oid, 6> CheckpointStatements::kAdvanceTypes = {
    postgres::oid::kPgLsn, postgres::oid::kPgLsn, postgres::oid::kTimestamptz,
    postgres::oid::kInt8,  postgres::oid::kText,  postgres::oid::kText};

CheckpointStatements::CheckpointStatements(std::string schema, std::string pipeline,
                                           std::string sink)
    : schema_(schemas::QuoteIdentifier(schema)),
      pipeline_(std::move(pipeline)),
      sink_(std::move(sink)) {
  advance_sql_ = fmt::format(
      "UPDATE {}.checkpoint SET commit_lsn = $1, end_lsn = $2, commit_time = $3,"
      " updated_at = now(), epoch = CASE WHEN epoch = $4 THEN epoch END"
      " WHERE pipeline = $5 AND sink = $6",
      schema_);
}

void CheckpointStatements::Fill(StreamPoint point, absl::Time commit_time, Advance& out) const {
  out.texts = {point.commit_lsn.ToString(),
               point.end_lsn.ToString(),
               absl::FormatTime("%Y-%m-%dT%H:%M:%E6S+00", commit_time, absl::UTCTimeZone()),
               std::to_string(epoch()),
               pipeline_,
               sink_};
  for (size_t i = 0; i < out.texts.size(); ++i) {
    out.parameters[i] = Parameter::Text(out.texts[i]);
  }
  const bool known = commit_time > absl::UnixEpoch() && commit_time < absl::InfiniteFuture();
  if (!known) out.parameters[2] = Parameter::Null();
}

std::string CheckpointStatements::RangeSql(const postgres::Connection& connection,
                                           const schemas::TableName& table,
                                           BlockRange range) const {
  // FOR SHARE: lanes finish ranges side by side, while nobody can take the sink over under them.
  return fmt::format(
      "INSERT INTO {0}.finished_range (pipeline, sink, schema_name, table_name, first_block,"
      " end_block) SELECT pipeline, sink, {1}, {2}, {3}, {4} FROM (SELECT pipeline, sink, epoch"
      " FROM {0}.checkpoint WHERE {5} FOR SHARE) c WHERE epoch = {6}",
      schema_, connection.QuoteLiteral(table.schema), connection.QuoteLiteral(table.name),
      range.first, range.end, Mine(connection), epoch());
}

std::string CheckpointStatements::FindRangeSql(const postgres::Connection& connection,
                                               const schemas::TableName& table,
                                               BlockRange range) const {
  return fmt::format(
      "SELECT FROM {}.finished_range WHERE {} AND schema_name = {} AND table_name = {} AND "
      "first_block = {} AND end_block = {}",
      schema_, Mine(connection), connection.QuoteLiteral(table.schema),
      connection.QuoteLiteral(table.name), range.first, range.end);
}

std::string CheckpointStatements::Mine(const postgres::Connection& connection) const {
  return fmt::format("pipeline = {} AND sink = {}", connection.QuoteLiteral(pipeline_),
                     connection.QuoteLiteral(sink_));
}

// A cast that fails by itself: what follows in the same string of statements, or pipeline, is not
// run. It needs the count, or the planner would try it in advance.
std::string CheckpointStatements::Check(const postgres::Connection& connection, bool lock) const {
  return fmt::format(
      "SELECT CASE WHEN count(*) = 1 THEN 1 ELSE ('{}' || count(*))::int END FROM (SELECT FROM "
      "{}.checkpoint WHERE {} AND epoch = {}{}) held",
      kNotOurs, schema_, Mine(connection), epoch(), lock ? " FOR SHARE" : "");
}

absl::Status CheckpointStatements::TakenOver() const {
  absl::Status status = base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "another pgflow has taken over sink {} of pipeline {} (or its checkpoint was removed from "
      "{}.checkpoint): this one stops",
      sink_, pipeline_, schema_);
  base::SetPayload(status, engine::kTakenOverPayload, "1");
  return status;
}

absl::Status CheckpointStatements::Explain(const absl::Status& status) const {
  const std::string state = postgres::SqlStateOf(status);
  const auto says = [&](std::string_view part) {
    return base::Message(status).find(part) != std::string_view::npos;
  };
  const bool moved = state == "23502" && says("\"epoch\"");
  const bool checked = state == "22P02" && says(kNotOurs);
  return moved || checked ? TakenOver() : status;
}

}  // namespace pgflow::sinks
