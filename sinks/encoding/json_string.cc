#include "sinks/encoding/json_string.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace pgflow::sinks {
namespace {

// The length of the valid sequence at the start of `text`, whose first byte is beyond ASCII; 0 for
// none. Table 3-7 of the Unicode standard: no surrogates, nothing overlong.
size_t Utf8SequenceSize(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  const unsigned char lead = byte(0);
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (!continues(1) || !continues(2)) return 0;
    if (lead == 0xE0 && byte(1) < 0xA0) return 0;
    if (lead == 0xED && byte(1) > 0x9F) return 0;
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (lead == 0xF0 && byte(1) < 0x90) return 0;
    if (lead == 0xF4 && byte(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

// True when none of eight bytes is beyond ASCII, a control character, a quote or a backslash.
bool AllPlain(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101U;
  constexpr uint64_t kHighs = 0x8080808080808080U;
  const auto has_zero = [](uint64_t x) { return (x - kOnes) & ~x & kHighs; };
  const uint64_t controls = (word - kOnes * 0x20) & ~word & kHighs;
  const uint64_t quotes = has_zero(word ^ (kOnes * '"'));
  const uint64_t backslashes = has_zero(word ^ (kOnes * '\\'));
  return ((word & kHighs) | controls | quotes | backslashes) == 0;
}

void AppendEscape(char c, std::string& out) {
  constexpr char kHexDigits[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out.append("\\\"");
      return;
    case '\\':
      out.append("\\\\");
      return;
    case '\n':
      out.append("\\n");
      return;
    case '\r':
      out.append("\\r");
      return;
    case '\t':
      out.append("\\t");
      return;
    default:
      out.append("\\u00");
      out.push_back(kHexDigits[(c >> 4) & 0xF]);
      out.push_back(kHexDigits[c & 0xF]);
  }
}

}  // namespace

bool AppendJsonString(std::string_view text, std::string& out) {
  const size_t start = out.size();
  out.push_back('"');
  size_t copied = 0;
  size_t i = 0;
  while (i < text.size()) {
    if (i + 8 <= text.size()) {
      uint64_t word;
      std::memcpy(&word, text.data() + i, sizeof(word));
      if (AllPlain(word)) {
        i += 8;
        continue;
      }
    }
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x80) {
      const size_t size = Utf8SequenceSize(text.substr(i));
      if (size == 0) {
        out.resize(start);
        return false;
      }
      i += size;
      continue;
    }
    if (c < 0x20 || c == '"' || c == '\\') {
      out.append(text, copied, i - copied);
      AppendEscape(text[i], out);
      copied = i + 1;
    }
    ++i;
  }
  out.append(text, copied);
  out.push_back('"');
  return true;
}

bool AppendInlineJson(std::string_view json, std::string& out) {
  const size_t start = out.size();
  out.append(json);
  for (size_t i = 0; i < json.size();) {
    const auto c = static_cast<unsigned char>(json[i]);
    if (c >= 0x80) {
      const size_t size = Utf8SequenceSize(json.substr(i));
      if (size == 0) {
        out.resize(start);
        return false;
      }
      i += size;
      continue;
    }
    if (c == '\n' || c == '\r') out[start + i] = ' ';
    ++i;
  }
  return true;
}

bool IsValidUtf8(std::string_view text) {
  constexpr uint64_t kHighs = 0x8080808080808080U;
  size_t i = 0;
  while (i < text.size()) {
    uint64_t word = kHighs;
    if (i + 8 <= text.size()) std::memcpy(&word, text.data() + i, sizeof(word));
    if ((word & kHighs) == 0) {
      i += 8;
      continue;
    }
    const bool ascii = static_cast<unsigned char>(text[i]) < 0x80;
    const size_t size = ascii ? 1 : Utf8SequenceSize(text.substr(i));
    if (size == 0) return false;
    i += size;
  }
  return true;
}

void AppendBase64(std::string_view bytes, std::string& out) {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = bytes.size() - i < 3 ? bytes.size() - i : 3;
    std::array<uint32_t, 3> three{};
    for (size_t j = 0; j < count; ++j) three[j] = static_cast<unsigned char>(bytes[i + j]);
    const uint32_t bits = (three[0] << 16) | (three[1] << 8) | three[2];
    out.push_back(kAlphabet[bits >> 18]);
    out.push_back(kAlphabet[(bits >> 12) & 63]);
    out.push_back(count > 1 ? kAlphabet[(bits >> 6) & 63] : '=');
    out.push_back(count > 2 ? kAlphabet[bits & 63] : '=');
  }
}

}  // namespace pgflow::sinks
