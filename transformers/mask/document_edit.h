// Edits inside of JSON and hstore values, on their text: what is not edited keeps its bytes, so
// that no number is rounded and no key reordered.
//
// Immutable; thread-safe. False: the value is malformed (`out` may then have a part of the result).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgflow::transformers {

struct JsonEdit {
  std::vector<std::string> path;     // Keys and array indexes; * is each of them.
  std::optional<std::string> value;  // JSON; nothing: remove.
};

// "address.street" to its steps; nothing when a step is empty.
std::optional<std::vector<std::string>> ParseJsonPath(std::string_view text);
bool IsJson(std::string_view text);
// Edits apply where their whole path is there. Objects nested deeper than 512 are malformed.
bool AppendEditedJson(std::string_view json, const std::vector<JsonEdit>& edits, std::string& out);

struct HstoreEdit {
  std::string key;
  std::optional<std::string> value;  // Nothing: remove.
};

// The text form ("key"=>"value", ...) and the binary one (int32 count; then int32 size and key,
// int32 size or -1 and value).
bool AppendEditedHstoreText(std::string_view text, const std::vector<HstoreEdit>& edits,
                            std::string& out);
bool AppendEditedHstoreBinary(std::string_view bytes, const std::vector<HstoreEdit>& edits,
                              std::string& out);

}  // namespace pgflow::transformers
