#include "transformers/script/script_transformer.h"

#include <utility>

#include "base/bytes.h"
#include "base/config/yaml_reader.h"
#include "base/status.h"
#include "schemas/glob.h"

namespace pgflow::transformers {

using engine::ChangeEvent;
using engine::Operation;

config::ConfigSpec<ScriptConfig> ScriptSpec() {
  config::ConfigSpec<ScriptConfig> spec;
  spec.Field("table", &ScriptConfig::table,
             "Pattern (* and ?) of schema.name of the tables; others stay as they are.")
      .Example("public.orders");
  spec.Field("text", &ScriptConfig::text,
             "The script, in Lua 5.4. Either this or `file`. It defines `transform(event)`, which "
             "is called for each row. event.operation is read, insert, update or delete; "
             "event.table is schema.name; event.after and event.before are the rows, column to "
             "text: event.after.note. NULL is nil, and a column that does not exist is an error. "
             "Numbers come as texts, so that none is rounded (tonumber makes one). UNCHANGED "
             "stands for a large value that an update left as it was, UNREADABLE for one that "
             "cannot be shown; both may be passed on. What it returns goes on in the event's "
             "place: the event, changed or not; nil for nothing; a list of several (copy(event) "
             "makes one more). A key that is changed must be changed alike in `before` and "
             "`after`, by the same function for every row. Global variables cannot be "
             "assigned, so that nothing is kept from row to row; there are string, table, math "
             "(no random) and utf8, and nothing that reaches outside.")
      .Example("\"function transform(event) return event end\"");
  spec.Field("file", &ScriptConfig::file, "A file with the script.").Example("rules.lua");
  spec.Field("memory", &ScriptConfig::memory,
             "Memory that the script may use, for each thread that it runs in.")
      .Range(config::ByteSize{256 * base::kKiB}, config::ByteSize{base::kGiB});
  spec.Field("time", &ScriptConfig::time,
             "CPU time that one call may take. A single call of a library's function, such as a "
             "pattern over a long text, is not interrupted.")
      .Range(absl::Milliseconds(1), absl::Minutes(1));
  return spec;
}

absl::StatusOr<std::unique_ptr<engine::Transformer>> ScriptTransformer::Make(ScriptConfig config) {
  if (config.text.has_value() == config.file.has_value()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "script needs either `text` or `file`, one of the two");
  }
  const std::string& table = config.table;
  if (table != "*" && table.find('.') == std::string::npos) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "table: pattern '{}' names no schema; write 'public.{}' or '*.{}'",
                            table, table, table);
  }
  std::string text;
  if (config.file.has_value()) {
    PGFLOW_ASSIGN_OR_RETURN(text, config::ReadTextFile(*config.file));
  } else {
    text = *config.text;
  }
  auto made =
      std::make_unique<ScriptTransformer>(table, std::move(text), config.file.value_or("script"),
                                          SandboxLimits{config.memory.bytes, config.time});
  PGFLOW_ASSIGN_OR_RETURN(RunnerPtr first, made->TakeRunner());
  base::MutexLock lock(&made->mutex_);
  made->idle_.push_back(std::move(first));
  return made;
}

absl::StatusOr<ScriptTransformer::PlanPtr> ScriptTransformer::PlanOf(
    const schemas::TableSchemaPtr& schema) {
  return plans_.Get(schema,
                    [this](const schemas::TableSchemaPtr& seen) -> absl::StatusOr<ScriptPlan> {
                      ScriptPlan plan;
                      plan.table = seen->table.ToString();
                      plan.number = ++plan_count_;
                      plan.chosen = schemas::MatchesGlob(table_, plan.table);
                      return plan;
                    });
}

absl::StatusOr<schemas::TableSchemaPtr> ScriptTransformer::TransformSchema(
    const schemas::TableSchemaPtr& schema) {
  return schema;
}

absl::StatusOr<ScriptTransformer::RunnerPtr> ScriptTransformer::TakeRunner() {
  {
    base::MutexLock lock(&mutex_);
    if (!idle_.empty()) {
      RunnerPtr runner = std::move(idle_.back());
      idle_.pop_back();
      return runner;
    }
  }
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<LuaSandbox> sandbox,
                          LuaSandbox::Make(text_, name_, limits_));
  return std::make_unique<ScriptRunner>(std::move(sandbox));
}

absl::Status ScriptTransformer::Run(engine::Batch& batch, ScriptRunner& runner) {
  PGFLOW_ASSIGN_OR_RETURN(std::vector<ChangeEvent> * events, batch.MutableEvents());
  std::vector<ChangeEvent> made;
  made.reserve(events->size());
  const schemas::TableSchema* schema = nullptr;
  PlanPtr plan;
  for (const ChangeEvent& event : *events) {
    if (event.operation == Operation::kSchemaChange || event.operation == Operation::kTruncate) {
      made.push_back(event);
      continue;
    }
    if (event.schema != schema) {
      schema = event.schema;
      PGFLOW_ASSIGN_OR_RETURN(plan, PlanOf(batch.OwnerOf(schema)));
    }
    if (!plan->chosen) {
      made.push_back(event);
      continue;
    }
    absl::Status status = runner.Run(batch, *plan, event, made);
    if (!status.ok() && !batch.is_snapshot()) {
      base::SetPayload(status, engine::kCulpritPayload, batch.PositionOf(event).ToString());
    }
    PGFLOW_RETURN_IF_ERROR(status);
  }
  *events = std::move(made);
  return absl::OkStatus();
}

absl::Status ScriptTransformer::Transform(engine::Batch& batch) {
  if (const engine::CopyRows* rows = batch.raw_rows()) {
    PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(rows->schema));
    if (!plan->chosen) return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(RunnerPtr runner, TakeRunner());
  absl::Status status = Run(batch, *runner);
  base::MutexLock lock(&mutex_);
  idle_.push_back(std::move(runner));
  return status;
}

std::vector<engine::Finding> ScriptTransformer::Check(
    std::span<const schemas::TableSchemaPtr> tables) const {
  return engine::UnmatchedPatterns({&table_, 1}, tables);
}

engine::ComponentType<engine::Transformer> ScriptType() {
  return engine::MakeComponentType<engine::Transformer, ScriptConfig>(
      "script", "Changes, drops and splits rows by a function in Lua.", "", &ScriptSpec,
      &ScriptTransformer::Make);
}

}  // namespace pgflow::transformers
