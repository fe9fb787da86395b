// JsonScanner: members and elements of JSON text as pieces of that text, byte for byte. For answers
// whose numbers must not pass through a double.
//
// Pure functions over untrusted bytes, thread-safe. They look at the structure only: a piece may
// hold a malformed scalar.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pgflow::sinks {

// The end of the value that begins at `at`; npos when it is cut or nested out of balance.
size_t FindJsonEnd(std::string_view text, size_t at);

// Walks an object or an array.
//   JsonScanner members(text);
//   while (members.Next()) { members.key(); members.value(); }
//   if (!members.ok()) ...
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text);

  bool Next();
  // Of a member, with its quotes, as written; empty for an element.
  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }
  // After Next gave false: it was whole.
  bool ok() const { return ok_; }

 private:
  bool Fail();
  void SkipSpace();

  std::string_view text_;
  size_t at_ = 0;
  char close_ = '\0';
  bool first_ = true;
  bool ok_ = false;
  std::string_view key_;
  std::string_view value_;
};

// The value of a member; `name` without quotes and without anything that is escaped. Empty when
// there is none, or `object` is malformed.
std::string_view FindJsonMember(std::string_view object, std::string_view name);

// The text of a JSON string, escapes resolved; what is no string is given as it is.
std::string JsonText(std::string_view value);

}  // namespace pgflow::sinks
