#include "transformers/mask/document_edit.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

#include "base/bytes.h"

namespace pgflow::transformers {
namespace {

constexpr int kDepthMax = 512;

// An edit, and how many steps of its path lead to where the editor is.
struct Active {
  const JsonEdit* edit = nullptr;
  size_t depth = 0;
};
using ActiveEdits = std::vector<Active>;

// Walks a JSON text and copies it, edited. The grammar is RFC 8259's.
class JsonEditor {
 public:
  JsonEditor(std::string_view json, std::string& out) : rest_(json), out_(out) {}

  bool Run(const ActiveEdits& edits) { return Value(edits, 0) && (SkipBlanks(), rest_.empty()); }

 private:
  void SkipBlanks() {
    const size_t size = std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size());
    Copy(size);
  }
  void Copy(size_t size) {
    if (writes_) out_.append(rest_.substr(0, size));
    rest_.remove_prefix(size);
  }
  bool CopyIf(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    Copy(1);
    return true;
  }

  bool Value(const ActiveEdits& edits, int depth) {
    SkipBlanks();
    if (rest_.empty() || depth > kDepthMax) return false;
    switch (rest_.front()) {
      case '{':
        return Members(edits, depth, '}');
      case '[':
        return Members(edits, depth, ']');
      case '"':
        return String(nullptr);
      default:
        return Word();
    }
  }

  bool Word() {
    const size_t size = std::min(rest_.find_first_of(" \t\r\n,]}:"), rest_.size());
    const std::string_view word = rest_.substr(0, size);
    const bool good = word == "true" || word == "false" || word == "null" || IsNumber(word);
    Copy(size);
    return good;
  }

  static bool IsNumber(std::string_view word) {
    const auto digits = [&word] {
      size_t count = 0;
      while (count < word.size() && word[count] >= '0' && word[count] <= '9') ++count;
      word.remove_prefix(count);
      return count > 0;
    };
    if (word.starts_with('-')) word.remove_prefix(1);
    if (word.size() > 1 && word[0] == '0' && word[1] >= '0' && word[1] <= '9') return false;
    if (!digits()) return false;
    if (word.starts_with('.')) {
      word.remove_prefix(1);
      if (!digits()) return false;
    }
    if (word.starts_with('e') || word.starts_with('E')) {
      word.remove_prefix(1);
      if (word.starts_with('+') || word.starts_with('-')) word.remove_prefix(1);
      if (!digits()) return false;
    }
    return word.empty();
  }

  // Writes the string's value to `value`, if it is given.
  bool String(std::string* value) {
    size_t at = 1;
    while (at < rest_.size() && rest_[at] != '"') {
      if (static_cast<unsigned char>(rest_[at]) < 0x20) return false;
      at += rest_[at] == '\\' ? 2 : 1;
    }
    if (rest_.empty() || rest_.front() != '"' || at >= rest_.size()) return false;
    if (value != nullptr) Unescape(rest_.substr(1, at - 1), *value);
    Copy(at + 1);
    return true;
  }

  static void Unescape(std::string_view text, std::string& value) {
    static constexpr std::string_view kLetters = "bfnrt";
    static constexpr std::string_view kBytes = "\b\f\n\r\t";
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\' || i + 1 == text.size()) {
        value.push_back(text[i]);
        continue;
      }
      const char c = text[++i];
      if (c == 'u') {
        i += AppendUnicode(text.substr(i + 1), value);
        continue;
      }
      const size_t letter = kLetters.find(c);
      value.push_back(letter == std::string_view::npos ? c : kBytes[letter]);
    }
  }

  // Of four hexadecimal digits, or of a pair of surrogates; how much of `text` it was.
  static size_t AppendUnicode(std::string_view text, std::string& value) {
    const auto read = [](std::string_view digits, uint32_t& code) {
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
      return digits.size() == 4 && error == std::errc() && end == digits.data() + 4;
    };
    uint32_t code = 0;
    if (!read(text.substr(0, 4), code)) return 0;
    size_t size = 4;
    uint32_t low = 0;
    if (code >= 0xD800 && code < 0xDC00 && text.substr(4).starts_with("\\u") &&
        read(text.substr(6, 4), low) && low >= 0xDC00 && low < 0xE000) {
      code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
      size = 10;
    }
    const auto put = [&value](uint32_t byte) { value.push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0U | code >> 6U);
      put(0x80U | (code & 0x3FU));
    } else if (code < 0x10000) {
      put(0xE0U | code >> 12U);
      put(0x80U | (code >> 6U & 0x3FU));
      put(0x80U | (code & 0x3FU));
    } else {
      put(0xF0U | code >> 18U);
      put(0x80U | (code >> 12U & 0x3FU));
      put(0x80U | (code >> 6U & 0x3FU));
      put(0x80U | (code & 0x3FU));
    }
    return size;
  }

  // The members of an object or the elements of an array.
  bool Members(const ActiveEdits& edits, int depth, char close) {
    Copy(1);
    SkipBlanks();
    if (CopyIf(close)) return true;
    bool wrote_one = false;
    for (size_t index = 0;; ++index) {
      const size_t begin = out_.size();
      bool kept = true;
      if (wrote_one && writes_) out_.push_back(',');
      if (!Member(edits, depth, close == '}', index, kept)) return false;
      if (kept) {
        wrote_one = true;
      } else {
        out_.resize(begin);
      }
      if (rest_.empty()) return false;
      if (rest_.front() == close) break;
      if (rest_.front() != ',') return false;
      rest_.remove_prefix(1);
    }
    Copy(1);
    return true;
  }

  bool Member(const ActiveEdits& edits, int depth, bool named, size_t index, bool& kept) {
    std::string step;
    SkipBlanks();
    if (named) {
      if (!String(edits.empty() ? nullptr : &step)) return false;
      SkipBlanks();
      if (!CopyIf(':')) return false;
      SkipBlanks();
    } else if (!edits.empty()) {
      step = std::to_string(index);
    }
    ActiveEdits inner;
    const JsonEdit* here = nullptr;
    for (const Active& active : edits) {
      const std::string& wanted = active.edit->path[active.depth];
      if (wanted != "*" && wanted != step) continue;
      if (active.depth + 1 == active.edit->path.size()) {
        if (here == nullptr) here = active.edit;
      } else {
        inner.push_back({active.edit, active.depth + 1});
      }
    }
    if (here == nullptr) {
      if (!Value(inner, depth + 1)) return false;
    } else {
      const bool wrote = std::exchange(writes_, false);
      if (!Value({}, depth + 1)) return false;
      writes_ = wrote;
      kept = here->value.has_value();
      if (kept && writes_) out_.append(*here->value);
    }
    SkipBlanks();
    return true;
  }

  std::string_view rest_;
  std::string& out_;
  bool writes_ = true;
};

void AppendHstoreQuoted(std::string_view text, std::string& out) {
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}

// A "quoted" text off the front of `text`.
bool TakeQuoted(std::string_view& text, std::string& value) {
  value.clear();
  if (!text.starts_with('"')) return false;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return true;
    }
    if (text[i] == '\\' && ++i == text.size()) return false;
    value.push_back(text[i]);
  }
  return false;
}

const HstoreEdit* FindEdit(const std::vector<HstoreEdit>& edits, std::string_view key) {
  const auto found =
      std::ranges::find_if(edits, [&](const HstoreEdit& edit) { return edit.key == key; });
  return found == edits.end() ? nullptr : &*found;
}

}  // namespace

std::optional<std::vector<std::string>> ParseJsonPath(std::string_view text) {
  std::vector<std::string> steps;
  while (true) {
    const size_t dot = std::min(text.find('.'), text.size());
    if (dot == 0) return std::nullopt;
    steps.emplace_back(text.substr(0, dot));
    if (dot == text.size()) return steps;
    text.remove_prefix(dot + 1);
  }
}

bool IsJson(std::string_view text) {
  std::string copy;
  return JsonEditor(text, copy).Run({});
}

bool AppendEditedJson(std::string_view json, const std::vector<JsonEdit>& edits, std::string& out) {
  ActiveEdits active;
  active.reserve(edits.size());
  for (const JsonEdit& edit : edits) active.push_back({&edit, 0});
  return JsonEditor(json, out).Run(active);
}

bool AppendEditedHstoreText(std::string_view text, const std::vector<HstoreEdit>& edits,
                            std::string& out) {
  std::string key;
  std::string value;
  const size_t begin = out.size();
  while (!text.empty()) {
    if (!TakeQuoted(text, key) || !text.starts_with("=>")) return false;
    text.remove_prefix(2);
    const bool null = text.starts_with("NULL");
    if (null) {
      text.remove_prefix(4);
    } else if (!TakeQuoted(text, value)) {
      return false;
    }
    if (text.starts_with(", ")) {
      text.remove_prefix(2);
    } else if (!text.empty()) {
      return false;
    }
    const HstoreEdit* edit = FindEdit(edits, key);
    if (edit != nullptr && !edit->value.has_value()) continue;
    if (out.size() > begin) out.append(", ");
    AppendHstoreQuoted(key, out);
    out.append("=>");
    if (null) {
      out.append("NULL");
    } else {
      AppendHstoreQuoted(edit == nullptr ? value : *edit->value, out);
    }
  }
  return true;
}

bool AppendEditedHstoreBinary(std::string_view bytes, const std::vector<HstoreEdit>& edits,
                              std::string& out) {
  base::ByteReader reader(bytes);
  const auto count = reader.Read<int32_t>();
  const size_t begin = out.size();
  base::AppendBigEndian(out, count);
  int32_t kept = 0;
  for (int32_t i = 0; i < count && reader.ok(); ++i) {
    const std::string_view key = reader.ReadBytes(reader.Read<uint32_t>());
    const auto size = reader.Read<int32_t>();
    std::string_view value = size < 0 ? "" : reader.ReadBytes(static_cast<uint32_t>(size));
    const HstoreEdit* edit = FindEdit(edits, key);
    if (edit != nullptr && !edit->value.has_value()) continue;
    ++kept;
    base::AppendBigEndian(out, static_cast<uint32_t>(key.size()));
    out.append(key);
    if (size < 0) {
      base::AppendBigEndian(out, size);
      continue;
    }
    if (edit != nullptr) value = *edit->value;
    base::AppendBigEndian(out, static_cast<uint32_t>(value.size()));
    out.append(value);
  }
  base::StoreBigEndian(out.data() + begin, kept);
  return reader.ok() && reader.remaining() == 0 && count >= 0;
}

}  // namespace pgflow::transformers
