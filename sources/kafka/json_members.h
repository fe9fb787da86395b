// JsonMembers, JsonItems: what is directly inside of a JSON object or array, as views of its text.
// Nothing is copied, and what is nested deeper is only skipped. Pure; one thread.
//
//   JsonMembers members(text);
//   while (members.Next()) Use(members.name(), members.value());
//   if (!members.ok()) ...
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pgflow::sources {

// The text must outlive this.
class JsonMembers {
 public:
  explicit JsonMembers(std::string_view object);

  // False at the end, and when the text is malformed (ok() tells).
  bool Next();
  // Unescaped; valid until the next call.
  std::string_view name() const { return name_; }
  // As it is written, without blanks around it.
  std::string_view value() const { return value_; }
  bool ok() const { return ok_; }

 private:
  std::string_view text_;
  size_t at_ = 0;
  bool first_ = true;
  bool ok_;
  std::string_view name_;
  std::string unescaped_;
  std::string_view value_;
};

class JsonItems {
 public:
  explicit JsonItems(std::string_view array);
  bool Next();
  std::string_view value() const { return value_; }
  bool ok() const { return ok_; }

 private:
  std::string_view text_;
  size_t at_ = 0;
  bool first_ = true;
  bool ok_;
  std::string_view value_;
};

inline bool IsJsonString(std::string_view value) { return value.starts_with('"'); }
inline bool IsJsonObject(std::string_view value) { return value.starts_with('{'); }
inline bool IsJsonArray(std::string_view value) { return value.starts_with('['); }

// Appends what a JSON string (with its quotes) stands for. False: it is none, or malformed; a part
// may have been appended.
bool AppendUnquoted(std::string_view value, std::string& out);
// RFC 4648 with padding. False: malformed.
bool AppendFromBase64(std::string_view text, std::string& out);

}  // namespace pgflow::sources
