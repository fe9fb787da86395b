// Names in OpenSearch: of an index, of a field, of a document. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "schemas/table_schema.h"
#include "schemas/value.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

// kInvalidArgument, with `field` in it, when no table's name could make a valid index name of it.
absl::Status ValidateIndexTemplate(std::string_view field, std::string_view name_template);

// {schema} and {table} filled in, letters lower-cased (A to Z; others as they are), and what an
// index name may not have replaced by `_`. kFailedPrecondition: it is too long, or begins with what
// it must not.
absl::StatusOr<std::string> IndexName(std::string_view name_template,
                                      const schemas::TableName& table);

// The n-th index behind `name`: "orders-000001".
std::string GenerationName(std::string_view name, uint32_t generation);
// 0: `index` is none of `name`'s.
uint32_t GenerationOf(std::string_view name, std::string_view index);

// The table of its TableName::ToString.
schemas::TableName TableOf(std::string_view text);

// Behind the name of a table's index: the alias of the one that is being filled beside it.
inline constexpr std::string_view kCopySuffix = "-pgflow-copy";
// `name` without it.
std::string_view WithoutCopySuffix(std::string_view name);

// A column as a field: dots, which would make an object of it, become `_`, and a leading `_`, which
// is the server's, becomes `col_`.
std::string FieldName(std::string_view column);

inline constexpr size_t kDocumentIdBytesMax = 512;

// One column of a key.
struct KeyPart {
  size_t column = 0;
  const TypeText* type = nullptr;
};

// Appends the id that a row's key makes. Different keys give different ids: parts are separated by
// `|`, which is escaped within them, as `\` is; an id that would be too long, or is not UTF-8, ends
// in the SHA-256 of the whole, behind `\#`.
void AppendDocumentId(std::span<const KeyPart> key, std::span<const schemas::Value> values,
                      std::string& out);

// Appends the value by which a row's document is routed to a shard, shortened as an id; nothing for
// NULL. False: the value is not there.
bool AppendRouting(const std::optional<KeyPart>& routing, std::span<const schemas::Value> values,
                   std::string& out);

}  // namespace pgflow::sinks
