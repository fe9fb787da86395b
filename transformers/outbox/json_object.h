// The members of a JSON object, each as it was written: a number keeps all of its digits. For
// transformers/outbox itself. Pure, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgflow::transformers {

struct JsonMember {
  std::string name;
  std::string_view json;  // Into the text.

  bool is_null() const { return json == "null"; }
  // What a string says; of anything else the JSON itself.
  std::string Text() const;
};

// Nothing: `text` is no JSON object.
std::optional<std::vector<JsonMember>> JsonMembersOf(std::string_view text);

}  // namespace pgflow::transformers
