// The options of the `opensearch` sink. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/time/time.h>

#include "base/bytes.h"
#include "base/config/config_spec.h"
#include "http/connection_config.h"
#include "schemas/table_schema.h"

namespace pgflow::sinks {

enum class StringMapping : uint8_t { kTextAndKeyword, kText, kKeyword };
enum class NumericMapping : uint8_t { kDouble, kKeyword };
enum class JsonMapping : uint8_t { kFlattened, kObject, kStored };
enum class RefreshMode : uint8_t { kAuto, kInterval, kAlways };
enum class ExistingDocuments : uint8_t { kRefuse, kAppend, kReplace };

// What is particular to some tables.
struct SearchTableOptions {
  std::string table;             // A glob over schema.table.
  std::string index;             // Empty: as for the others.
  std::vector<std::string> key;  // Columns; empty: the replica identity.
  config::Node mapping;          // Of fields, by column.
  config::Node settings;         // Of the index.
  std::string pipeline;          // Empty: the general one.
  std::string routing;           // A column; empty: the id routes.
};

// Rows of `child` within the documents of `parent`.
struct JoinOptions {
  std::string parent;  // schema.table
  std::string child;
  config::Node on;  // Of the child's columns: the columns of the parent's key that they hold.
  std::string as;   // The field.

  schemas::TableName ParentTable() const;
  // Child's column, parent's column; in the order of the file.
  std::vector<std::pair<std::string, std::string>> Columns() const;
  // The field that holds the parent's document id in a child's document, and the ids of the rows
  // that are nested in it in a parent's.
  std::string LinkField() const;
};

struct OpenSearchSinkConfig {
  std::string url;
  std::string index = "{table}";
  config::Secret api_key;
  http::ConnectionConfig connection;
  StringMapping strings = StringMapping::kTextAndKeyword;
  NumericMapping numerics = NumericMapping::kDouble;
  JsonMapping json = JsonMapping::kFlattened;
  config::Node settings;
  std::string pipeline;
  std::vector<SearchTableOptions> tables;
  std::vector<JoinOptions> joins;
  ExistingDocuments on_existing_documents = ExistingDocuments::kRefuse;
  RefreshMode refresh = RefreshMode::kAuto;
  absl::Duration deletes_remembered = absl::Minutes(10);
  config::ByteSize bulk_size = {4 * base::kMiB};
  uint64_t connections = 2;

  // The first of `tables` that names it; null when none does.
  const SearchTableOptions* OptionsOf(const schemas::TableName& table) const;
  // The ingest pipeline that its documents go through; empty: none.
  std::string PipelineOf(const schemas::TableName& table) const;
  // The column by which its documents are routed; empty: by their ids.
  std::string RoutingOf(const schemas::TableName& table) const;
  // Those whose parent, or whose child, it is.
  std::vector<const JoinOptions*> JoinsWithParent(const schemas::TableName& table) const;
  std::vector<const JoinOptions*> JoinsWithChild(const schemas::TableName& table) const;
};

config::ConfigSpec<OpenSearchSinkConfig> OpenSearchSinkSpec();
// What a single field cannot know. kInvalidArgument names the field.
absl::Status ValidateOpenSearchSinkConfig(const OpenSearchSinkConfig& config);

}  // namespace pgflow::sinks
