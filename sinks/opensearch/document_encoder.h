// DocumentPlan, AppendDocument: a row as a document, written straight into a bulk request's buffer.
//
// Pure functions; a plan is immutable once made. A value that is not UTF-8, or of a type that is
// not known, becomes "\\x.." in hex: nothing is left out.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "schemas/table_schema.h"
#include "schemas/value.h"
#include "sinks/opensearch/field_mapping.h"
#include "sinks/opensearch/index_name.h"

namespace pgflow::sinks {

struct DocumentColumn {
  std::string name;       // Of the field.
  std::string name_json;  // "name", with its quotes.
  FieldPlan plan;
};

// What names a row's parent in a join; see JoinOptions::LinkField.
struct DocumentLink {
  std::string name_json;
  std::vector<KeyPart> key;  // The columns that hold the parent's key.
};

// How the rows of one version of a table become documents.
struct DocumentPlan {
  schemas::TableSchema schema;  // A copy.
  std::vector<DocumentColumn> columns;
  std::vector<KeyPart> key;  // Empty: its rows have no id.
  std::vector<DocumentLink> links;
  std::optional<KeyPart> routing{};  // Nothing: the id routes.
};

// `key_attributes`: the attribute numbers of the key; empty: the columns of the replica identity
// when that is a key. kFailedPrecondition: two columns would have the same field.
absl::StatusOr<DocumentPlan> MakeDocumentPlan(const schemas::TableSchema& schema,
                                              const std::vector<int16_t>& key_attributes,
                                              const std::vector<FieldMapping>& mappings);

// The id of the parent's document; empty: it has none (NULL). An unchanged value is taken from
// `existing`.
std::string LinkOf(const DocumentPlan& plan, const DocumentLink& link,
                   std::span<const schemas::Value> values, std::string_view existing);

// Appends {"field":value,...}. An unchanged value is taken from `existing`, a document that was
// written by this function (empty: there is none, and it is left out).
void AppendDocument(const DocumentPlan& plan, std::span<const schemas::Value> values,
                    std::string_view existing, std::string& out);

// One value; NULL and unchanged as null.
void AppendField(const FieldPlan& plan, const schemas::Value& value, std::string& out);

}  // namespace pgflow::sinks
