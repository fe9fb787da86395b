#include "sinks/postgres/sink_config.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

constexpr std::array<std::string_view, 8> kDdlObjects = {
    "table", "view", "materialized view", "sequence", "type", "function", "schema", "extension"};

// What the sink does where the target is not as the source has it.
void AddTolerances(config::ConfigSpec<PostgresSinkConfig>& spec) {
  spec.Field("on_missing_row", &PostgresSinkConfig::on_missing_row,
             "What an UPDATE or DELETE does whose row the target lacks. error: the target has "
             "diverged, and the pipeline stops (or the dead letter takes the change). ignore: it "
             "is passed over, counted and logged.")
      .Choice({{"error", MissingRow::kError}, {"ignore", MissingRow::kIgnore}});
  spec.Field("on_conflict", &PostgresSinkConfig::on_conflict,
             "What an INSERT does, or an UPDATE that changes the key, whose key another row of the "
             "target has. stop: the pipeline stops (or the dead letter takes the change). skip: "
             "the other row stays; an INSERT is passed over as well when another unique value is "
             "taken. overwrite: the row takes the other one's place. Both are counted and logged. "
             "Not during the first copy: see on_existing_rows.")
      .Choice({{"stop", KeyConflict::kStop},
               {"skip", KeyConflict::kSkip},
               {"overwrite", KeyConflict::kOverwrite}});
  spec.Field("on_missing_table", &PostgresSinkConfig::on_missing_table,
             "What becomes of changes of a table that the target lacks. stop: the pipeline stops. "
             "skip: they are left out, counted and logged, also when somebody makes the table "
             "meanwhile, until `pgflow refresh --copy` copies it.")
      .Choice({{"stop", MissingTables::kStop}, {"skip", MissingTables::kSkip}});
  spec.Field(
          "on_narrower_column", &PostgresSinkConfig::on_narrower_column,
          "What becomes of a table with a column that has fewer digits in the target than at the "
          "source (numeric, time, timestamp, interval), so that Postgres rounds its values "
          "without an error. refuse: the pipeline stops in front of the first of them. round: "
          "it goes on, and the target holds rounded values.")
      .Choice({{"refuse", NarrowerColumn::kRefuse}, {"round", NarrowerColumn::kRound}});
}

}  // namespace

config::ConfigSpec<PostgresSinkConfig> PostgresSinkSpec() {
  config::ConfigSpec<PostgresSinkConfig> spec;
  spec.Field(
          "url", &PostgresSinkConfig::url,
          "The target database: URI or keyword string, libpq's sslmode and sslrootcert included.")
      .Required()
      .Example("${TARGET_URL}");
  spec.Field("create_schema", &PostgresSinkConfig::create_schema,
             "Create the chosen tables that the target lacks, with their primary keys, and what "
             "their columns "
             "need: schemas, extensions, types, collations, functions, row types of other tables.");
  spec.Field("on_existing_rows", &PostgresSinkConfig::on_existing_rows,
             "What to do at the first snapshot when a target table holds rows already.")
      .Choice({{"refuse", ExistingRows::kRefuse},
               {"append", ExistingRows::kAppend},
               {"truncate", ExistingRows::kTruncate}});
  spec.Field("transactions", &PostgresSinkConfig::transactions,
             "merge: all waiting transactions become one of the target (fast). keep: one target "
             "transaction for each of the source, for targets whose triggers must see each one.")
      .Choice({{"merge", TransactionMode::kMerge}, {"keep", TransactionMode::kKeep}});
  AddTolerances(spec);
  spec.Field("ddl", &PostgresSinkConfig::ddl,
             "What a DDL command of the source does (with replication.ddl). apply: the same here, "
             "in the same transaction as the rows around it. report: a line in the log. stop: the "
             "pipeline stops in front of it.")
      .Choice({{"apply", DdlMode::kApply}, {"report", DdlMode::kReport}, {"stop", DdlMode::kStop}});
  spec.Field("ddl_objects", &PostgresSinkConfig::ddl_objects,
             "Only DDL of these kinds of objects is applied, and of others reported: table, view, "
             "materialized view, sequence, type, function, schema, extension. A table comes with "
             "its indexes, constraints, triggers and privileges. Empty: all.")
      .Example("[table, type]");
  spec.Field("ddl_schemas", &PostgresSinkConfig::ddl_schemas,
             "Only DDL in these schemas is applied (globs), and in others reported. Empty: all.")
      .Example("[public, \"app_*\"]");
  spec.Field("ddl_trusts_source", &PostgresSinkConfig::ddl_trusts_source,
             "Apply also DDL that lets programs of the source's users run with the rights of this "
             "sink's role: triggers that fire for it, expressions that call their functions, "
             "functions and views whose owner is missing here. For sources whose every user may do "
             "anything on the target. Without it these are left out with a warning.");
  spec.Field("bulk_threshold", &PostgresSinkConfig::bulk_threshold,
             "Fewer waiting changes than this are written one by one (lower latency), more of them "
             "in bulk.")
      .Range(1, 1'000'000'000);
  spec.Field("schema", &PostgresSinkConfig::schema,
             "Where the checkpoint tables live in the target.");
  return spec;
}

absl::Status ValidatePostgresSinkConfig(const PostgresSinkConfig& config) {
  if (config.schema.empty() || config.schema.size() > 63) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "schema must be a name of 1 to 63 bytes");
  }
  for (const std::string& object : config.ddl_objects) {
    if (std::ranges::find(kDdlObjects, object) != kDdlObjects.end()) continue;
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "ddl_objects: '{}' is none of {}",
                            object, fmt::join(kDdlObjects, ", "));
  }
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
