// The options of the `postgres` sink.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <absl/status/status.h>

#include "base/config/config_spec.h"

namespace pgflow::sinks {

enum class ExistingRows { kRefuse, kAppend, kTruncate };
enum class TransactionMode { kMerge, kKeep };
enum class MissingRow { kError, kIgnore };
enum class KeyConflict { kStop, kSkip, kOverwrite };
enum class MissingTables { kStop, kSkip };
enum class NarrowerColumn { kRefuse, kRound };
enum class DdlMode { kApply, kReport, kStop };

struct PostgresSinkConfig {
  config::Secret url;
  bool create_schema = false;
  ExistingRows on_existing_rows = ExistingRows::kRefuse;
  TransactionMode transactions = TransactionMode::kMerge;
  MissingRow on_missing_row = MissingRow::kError;
  KeyConflict on_conflict = KeyConflict::kStop;
  MissingTables on_missing_table = MissingTables::kStop;
  NarrowerColumn on_narrower_column = NarrowerColumn::kRefuse;
  DdlMode ddl = DdlMode::kApply;
  std::vector<std::string> ddl_objects;  // Kinds of objects whose DDL is applied; empty: all.
  std::vector<std::string> ddl_schemas;  // Globs; empty: all.
  bool ddl_trusts_source = false;
  uint64_t bulk_threshold = 100;
  std::string schema = "pgflow";
};

config::ConfigSpec<PostgresSinkConfig> PostgresSinkSpec();
// What a single field cannot know. kInvalidArgument names the field.
absl::Status ValidatePostgresSinkConfig(const PostgresSinkConfig& config);

}  // namespace pgflow::sinks
