#include "sinks/opensearch/text_fields.h"

#include <arpa/inet.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "schemas/value.h"
#include "sinks/opensearch/document_encoder.h"

namespace pgflow::sinks {
namespace {

constexpr postgres::Oid kBoxType = 603;
constexpr int kDepthMax = 8;  // Arrays have six dimensions at most.

schemas::Value Text(std::string_view text) {
  return {text.data(), static_cast<uint32_t>(text.size()), schemas::ValueKind::kText};
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Array, range and multirange literals. Reads untrusted text.
class LiteralReader {
 public:
  LiteralReader(std::string_view text, std::string& out) : text_(text), out_(out) {}

  bool Array(const FieldPlan& plan) {
    // "[2:3]={...}": where the indexes begin is not part of the document.
    if (Peek() == '[') {
      const size_t equals = text_.find("={");
      if (equals == std::string_view::npos) return false;
      at_ = equals + 1;
    }
    const postgres::Oid element = plan.type == nullptr ? 0 : plan.type->element;
    return List(*plan.element, element == kBoxType ? ';' : ',', 0);
  }
  bool Range(const FieldPlan& plan) {
    if (text_.substr(at_).starts_with("empty")) {
      at_ += 5;
      out_.append("[]");
      return true;
    }
    const char open = Take();
    if (open != '[' && open != '(') return false;
    std::optional<std::string> lower = Bound(",");
    if (!ok_ || Take() != ',') return false;
    std::optional<std::string> upper = Bound(")]");
    const char close = Take();
    if (!ok_ || (close != ')' && close != ']')) return false;
    RangeWriter range(out_);
    if (lower.has_value()) {
      range.Bound(open == '[' ? "gte" : "gt");
      AppendField(*plan.element, Text(*lower), out_);
    }
    if (upper.has_value()) {
      range.Bound(close == ']' ? "lte" : "lt");
      AppendField(*plan.element, Text(*upper), out_);
    }
    range.Finish();
    return true;
  }
  bool Multirange(const FieldPlan& plan) {
    if (Take() != '{') return false;
    out_.push_back('[');
    while (Peek() != '}') {
      if (Peek() == ',') {
        ++at_;
        out_.push_back(',');
      }
      if (!Range(*plan.element)) return false;
    }
    ++at_;
    out_.push_back(']');
    return true;
  }
  bool AtEnd() const { return ok_ && at_ == text_.size(); }

 private:
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  char Take() { return at_ < text_.size() ? text_[at_++] : '\0'; }

  bool List(const FieldPlan& element, char delimiter, int depth) {
    if (Take() != '{' || depth > kDepthMax) return false;
    out_.push_back('[');
    bool first = true;
    while (Peek() != '}') {
      if (at_ >= text_.size()) return false;
      if (!first) {
        if (Take() != delimiter) return false;
        out_.push_back(',');
      }
      first = false;
      if (Peek() == '{') {
        if (!List(element, delimiter, depth + 1)) return false;
        continue;
      }
      const bool quoted = Peek() == '"';
      const char ends[] = {delimiter, '}', '\0'};
      const std::optional<std::string> item = Bound(ends);
      if (!ok_) return false;
      if (!quoted && item.has_value() && strcasecmp(item->c_str(), "null") == 0) {
        out_.append("null");
      } else {
        AppendField(element, Text(item.value_or("")), out_);
      }
    }
    ++at_;
    out_.push_back(']');
    return true;
  }

  // Up to one of `ends`, quotes and escapes resolved; nothing when there is nothing.
  std::optional<std::string> Bound(std::string_view ends) {
    std::string item;
    bool quoted = false;
    bool any = false;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (!quoted && ends.find(c) != std::string_view::npos) break;
      ++at_;
      any = true;
      if (c == '\\') {
        item.push_back(Take());
      } else if (c == '"') {
        // Doubled within quotes it stands for itself.
        if (quoted && Peek() == '"') {
          item.push_back(Take());
        } else {
          quoted = !quoted;
        }
      } else {
        item.push_back(c);
      }
    }
    ok_ = ok_ && !quoted;
    if (!any) return std::nullopt;
    return item;
  }

  std::string_view text_;
  std::string& out_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace

void AppendIsoTime(std::string_view text, std::string& out) {
  if (text.empty() || !IsDigit(text[0])) {
    out.append(text);
    return;
  }
  const bool bc = text.ends_with(" BC");
  if (bc) text.remove_suffix(3);
  const size_t year_end = text.find('-');
  if (year_end == std::string_view::npos) {
    out.append(text);
    return;
  }
  if (bc) {
    // Year 0 is 1 BC.
    const long year = std::atol(std::string(text.substr(0, year_end)).c_str());
    out.append(fmt::format("{}{:04}", year > 1 ? "-" : "", year - 1));
  } else {
    if (year_end > 4) out.push_back('+');
    out.append(text.substr(0, year_end));
  }
  std::string_view rest = text.substr(year_end);
  const size_t space = rest.find(' ');
  if (space == std::string_view::npos) {
    out.append(rest);
    return;
  }
  out.append(rest.substr(0, space)).push_back('T');
  rest.remove_prefix(space + 1);
  const size_t zone = rest.find_first_of("+-");
  out.append(rest.substr(0, zone));
  if (zone == std::string_view::npos) return;
  rest.remove_prefix(zone);
  if (rest == "+00") {
    out.push_back('Z');
    return;
  }
  out.append(rest);
  if (rest.size() == 3) out.append(":00");
}

bool AppendNetworkField(std::string_view text, std::string& out) {
  const size_t slash = std::min(text.find('/'), text.size());
  const std::string address(text.substr(0, slash));
  const bool is_v6 = address.find(':') != std::string::npos;
  std::array<uint8_t, 16> low = {};
  if (inet_pton(is_v6 ? AF_INET6 : AF_INET, address.c_str(), low.data()) != 1) return false;
  unsigned bits = is_v6 ? 128 : 32;
  if (slash < text.size()) {
    unsigned mask = 0;
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), mask);
    if (error != std::errc() || end != digits.data() + digits.size() || mask > bits) return false;
    bits = mask;
  }
  const bool is_mapped = is_v6 && low[10] == 0xFF && low[11] == 0xFF &&
                         std::all_of(low.begin(), low.begin() + 10, [](auto b) { return b == 0; });
  if (!is_mapped) {
    fmt::format_to(std::back_inserter(out), "\"{}/{}\"", address, bits);
    return true;
  }
  std::array<uint8_t, 16> high = low;
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned kept = std::min(8U, bits - std::min(bits, 8 * i));
    const auto host = static_cast<uint8_t>(0xFFU >> kept);
    low[i] = static_cast<uint8_t>(low[i] & ~host);
    high[i] = static_cast<uint8_t>(high[i] | host);
  }
  RangeWriter range(out);
  for (const auto* bound : {&low, &high}) {
    range.Bound(bound == &low ? "gte" : "lte");
    for (unsigned i = 0; i < 16; i += 2) {
      fmt::format_to(std::back_inserter(out), "{}{:x}", i == 0 ? "\"" : ":",
                     (*bound)[i] << 8U | (*bound)[i + 1]);
    }
    out.push_back('"');
  }
  range.Finish();
  return true;
}

bool AppendTextContainer(const FieldPlan& plan, std::string_view text, std::string& out) {
  LiteralReader reader(text, out);
  bool read = false;
  if (plan.form == FieldForm::kArray) {
    read = reader.Array(plan);
  } else if (plan.form == FieldForm::kRange) {
    read = reader.Range(plan);
  } else {
    read = reader.Multirange(plan);
  }
  return read && reader.AtEnd();
}

}  // namespace pgflow::sinks
