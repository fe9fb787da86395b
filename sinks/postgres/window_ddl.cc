// WindowApplier, for windows in which the source's schema changes.

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "schemas/ddl/ddl_script.h"
#include "schemas/glob.h"
#include "sinks/postgres/schema_changer.h"
#include "sinks/postgres/window_applier.h"

namespace pgflow::sinks {

using engine::Batch;
using engine::ChangeEvent;
using engine::Operation;
using engine::TransactionSpan;
using engine::Window;

namespace {

// The word of `ddl_objects` for it.
std::string_view KindOf(std::string_view object) {
  for (const std::string_view type :
       {"enum", "domain", "composite", "range", "base type", "shell type"}) {
    if (object == type) return "type";
  }
  return object == "procedure" || object == "aggregate" ? "function" : object;
}

bool Wants(const PostgresSinkConfig& config, const schemas::DdlScript& script) {
  const bool is_schema = script.object == "schema";
  const std::string& schema = is_schema ? script.name.name : script.name.schema;
  const auto matches = [&](const std::string& glob) { return schemas::MatchesGlob(glob, schema); };
  const bool object =
      config.ddl_objects.empty() ||
      std::ranges::find(config.ddl_objects, KindOf(script.object)) != config.ddl_objects.end();
  return object && (config.ddl_schemas.empty() || schema.empty() ||
                    std::ranges::any_of(config.ddl_schemas, matches));
}

}  // namespace

absl::Status WindowApplier::ApplyWithDdl(const Window& window, std::stop_token stop) {
  changes_.Clear();
  size_t begin = 0;              // Where the changes of the transaction at hand begin.
  std::optional<Commit> behind;  // The end of the last transaction before it whose changes wait.
  for (Batch& batch : window.batches) {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, batch.Events());
    const std::span<const TransactionSpan> transactions = batch.transactions();
    auto event = events.begin();
    for (uint32_t i = 0; i < transactions.size(); ++i) {
      for (; event != events.end() && event->transaction == i; ++event) {
        if (event->operation == Operation::kSchemaChange) {
          if (behind.has_value()) {
            PGFLOW_RETURN_IF_ERROR(ApplyChanges(changes_.all().first(begin), &*behind, stop));
            changes_.DropFirst(begin);
            begin = 0;
            behind.reset();
          }
          PGFLOW_RETURN_IF_ERROR(ApplyChanges(changes_.all(), nullptr, stop));
          changes_.Clear();
          PGFLOW_RETURN_IF_ERROR(ChangeSchema(batch, *event, stop));
        } else if (!event->truncate_done) {
          PGFLOW_RETURN_IF_ERROR(changes_.Add(session_, batch, *event, skipped_, stop));
        }
      }
      const TransactionSpan& span = transactions[i];
      if (!span.ends) continue;
      behind = Commit{{span.commit_lsn, span.end_lsn}, span.commit_time};
      begin = changes_.all().size();
      // What the next one does may need this to be committed: a new label of an enum does.
      if (!schema_changed_ && config_.transactions == TransactionMode::kMerge) continue;
      if (begin > 0 || in_transaction_) {
        PGFLOW_RETURN_IF_ERROR(ApplyChanges(changes_.all(), &*behind, stop));
      }
      changes_.Clear();
      begin = 0;
      behind.reset();
      schema_changed_ = false;
    }
  }
  if (!window.ends_at_commit) {
    if (behind.has_value()) {
      PGFLOW_RETURN_IF_ERROR(ApplyChanges(changes_.all().first(begin), &*behind, stop));
    }
    return ApplyChanges(changes_.all().subspan(begin), nullptr, stop);
  }
  if (changes_.all().empty() && window.end == committed_) return absl::OkStatus();
  const Commit commit{window.end, CommitTime(window)};
  return ApplyChanges(changes_.all(), &commit, stop);
}

absl::Status WindowApplier::ChangeSchema(const Batch& batch, const ChangeEvent& event,
                                         std::stop_token stop) {
  const std::string position = batch.PositionOf(event).ToString();
  absl::StatusOr<schemas::DdlScript> planned = schemas::PlanDdl(
      event.ddl,
      {.everybody = config_.ddl_trusts_source, .fires_as_replica = session_.replica_role()});
  if (config_.ddl == DdlMode::kReport) {
    base::LogWarning("{} at {}: not applied, because ddl is report",
                     planned.ok() ? fmt::format("{} ({})", planned->tag, planned->subject)
                                  : std::string(base::Message(planned.status())),
                     position);
    return absl::OkStatus();
  }
  PGFLOW_RETURN_IF_ERROR(planned.status());
  schemas::DdlScript& script = *planned;
  const std::string title = fmt::format("{} ({}) at {}", script.tag, script.subject, position);
  if (!Wants(config_, script)) {
    base::LogInfo("{}: not applied, because ddl_objects or ddl_schemas leave it out", title);
    return absl::OkStatus();
  }
  if (config_.ddl == DdlMode::kStop) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "{}: stopped in front of it, because ddl is stop; to go on, apply it "
                            "to the target and set ddl: report for one run",
                            title);
  }
  if (!script.refused.empty()) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "{}: not applied: {}", title,
                            script.refused);
  }
  if (event.ddl_transformed) {
    return base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "{}: a transformer gives this table another name or other columns, so that its DDL cannot "
        "be applied as it is; apply what you want of it to the target and set ddl: report",
        title);
  }
  if (script.deletes_rows && !session_.replica_role()) {
    return base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "{}: all rows of the table come anew, and to delete the old ones would set off foreign "
        "keys "
        "and triggers of the target, because this role may not set session_replication_role; grant "
        "it that, or apply the change by hand and set ddl: report for one run",
        title);
  }
  schema_changed_ = true;
  // Row changes in front of it are in the same transaction, which it begins if there is none.
  PGFLOW_RETURN_IF_ERROR(ApplyRows({}, nullptr, stop));
  if (event.catch_up) {
    // The snapshot may have brought what comes of it already, or what came later.
    for (schemas::DdlStatement& statement : script.statements) statement.best_effort = true;
  }
  SchemaChanger changer(session_.connection(), session_.replica_role(), stop);
  absl::Status changed = changer.Run(script, title);
  if (!changed.ok()) return changed;
  return session_.ForgetTables(stop);
}

}  // namespace pgflow::sinks
