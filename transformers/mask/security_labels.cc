#include "transformers/mask/security_labels.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace pgflow::transformers {
namespace {

// A function's name without its schema, and its arguments.
struct Call {
  std::string name;
  std::vector<std::string> arguments;  // Literals without their quotes and casts.
};

void SkipBlanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

bool SameWord(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, [](char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; });
}

// The word in front, in any case; blanks behind it go, too.
bool TakeWord(std::string_view& text, std::string_view word) {
  if (text.size() < word.size() || !SameWord(text.substr(0, word.size()), word)) return false;
  text.remove_prefix(word.size());
  SkipBlanks(text);
  return true;
}

// 'text', with quotes in it doubled, or $$text$$.
std::optional<std::string> TakeLiteral(std::string_view& text) {
  std::string literal;
  if (text.starts_with('$')) {
    const size_t tag = text.find('$', 1);
    if (tag == std::string_view::npos) return std::nullopt;
    const std::string_view quote = text.substr(0, tag + 1);
    const size_t end = text.find(quote, quote.size());
    if (end == std::string_view::npos) return std::nullopt;
    literal = text.substr(quote.size(), end - quote.size());
    text.remove_prefix(end + quote.size());
    return literal;
  }
  if (!text.starts_with('\'')) return std::nullopt;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] != '\'') {
      literal.push_back(text[i]);
    } else if (i + 1 < text.size() && text[i + 1] == '\'') {
      literal.push_back(text[++i]);
    } else {
      text.remove_prefix(i + 1);
      return literal;
    }
  }
  return std::nullopt;
}

// A literal, or whatever stands up to the next comma or parenthesis; `name := ` and `name => ` in
// front and a cast behind go.
std::optional<std::string> TakeArgument(std::string_view& text) {
  SkipBlanks(text);
  for (const std::string_view arrow : {":=", "=>"}) {
    const size_t at = text.find(arrow);
    if (at < text.find_first_of(",()'$")) text.remove_prefix(at + arrow.size());
  }
  SkipBlanks(text);
  std::optional<std::string> argument;
  if (text.starts_with('\'') || text.starts_with('$')) {
    argument = TakeLiteral(text);
    if (!argument.has_value()) return std::nullopt;
  }
  const std::string_view rest = text.substr(0, std::min(text.find_first_of(",()]["), text.size()));
  text.remove_prefix(rest.size());
  std::string bare(rest.substr(0, rest.find("::")));
  bare.erase(bare.find_last_not_of(' ') + 1);
  if (!argument.has_value()) return bare;
  return bare.empty() ? argument : std::nullopt;  // An expression that begins with a literal.
}

// (ARRAY['a','b']) gives its elements.
std::optional<Call> ParseCall(std::string_view text) {
  Call call;
  const size_t open = text.find('(');
  if (open == std::string_view::npos) return std::nullopt;
  std::string_view name = text.substr(0, open);
  name.remove_prefix(std::min(name.rfind('.') + 1, name.size()));
  call.name = name;
  call.name.erase(call.name.find_last_not_of(' ') + 1);
  std::ranges::transform(call.name, call.name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  text.remove_prefix(open + 1);
  SkipBlanks(text);
  const bool array = TakeWord(text, "ARRAY");
  if (array && !TakeWord(text, "[")) return std::nullopt;
  while (!text.empty() && text.front() != ')') {
    std::optional<std::string> argument = TakeArgument(text);
    if (!argument.has_value()) return std::nullopt;
    call.arguments.push_back(*std::move(argument));
    if (array && TakeWord(text, "]")) {
      text.remove_prefix(std::min(text.find(')'), text.size()));
      break;
    }
    if (!text.starts_with(',')) break;
    text.remove_prefix(1);
  }
  if (!TakeWord(text, ")") || !text.empty()) return std::nullopt;
  return call;
}

struct KindOfFunction {
  std::string_view name;  // Without fake_, dummy_, pseudo_ and random_.
  MaskKind kind;
};

// Those whose arguments say nothing: a pseudo_ function's seed is another column.
constexpr std::array kKinds = {
    KindOfFunction{"address", MaskKind::kAddress},
    KindOfFunction{"cell_number", MaskKind::kPhone},
    KindOfFunction{"city", MaskKind::kCity},
    KindOfFunction{"city_name", MaskKind::kCity},
    KindOfFunction{"company", MaskKind::kCompany},
    KindOfFunction{"company_email", MaskKind::kEmail},
    KindOfFunction{"company_name", MaskKind::kCompany},
    KindOfFunction{"country", MaskKind::kCountry},
    KindOfFunction{"country_name", MaskKind::kCountry},
    KindOfFunction{"credit_card_number", MaskKind::kCreditCard},
    KindOfFunction{"email", MaskKind::kEmail},
    KindOfFunction{"first_name", MaskKind::kFirstName},
    KindOfFunction{"free_email", MaskKind::kEmail},
    KindOfFunction{"iban", MaskKind::kIban},
    KindOfFunction{"ip", MaskKind::kIp},
    KindOfFunction{"ipv4", MaskKind::kIp},
    KindOfFunction{"ipv6", MaskKind::kIp},
    KindOfFunction{"last_name", MaskKind::kLastName},
    KindOfFunction{"latitude", MaskKind::kLatitude},
    KindOfFunction{"longitude", MaskKind::kLongitude},
    KindOfFunction{"mac_address", MaskKind::kMac},
    KindOfFunction{"name", MaskKind::kFullName},
    KindOfFunction{"phone_number", MaskKind::kPhone},
    KindOfFunction{"post_code", MaskKind::kPostcode},
    KindOfFunction{"postcode", MaskKind::kPostcode},
    KindOfFunction{"safe_email", MaskKind::kEmail},
    KindOfFunction{"state_name", MaskKind::kState},
    KindOfFunction{"street_name", MaskKind::kStreet},
    KindOfFunction{"username", MaskKind::kUserName},
    KindOfFunction{"uuidv4", MaskKind::kUuid},
    KindOfFunction{"zip", MaskKind::kPostcode},
    KindOfFunction{"zip_code", MaskKind::kPostcode},
};

std::optional<int64_t> Whole(const std::string& text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "2 days", "27 hours" and the like, of one unit.
std::optional<absl::Duration> Interval(const std::string& text) {
  const size_t blank = text.find(' ');
  const std::optional<int64_t> count = Whole(text.substr(0, blank));
  if (!count.has_value() || blank == std::string::npos) return std::nullopt;
  std::string_view unit = std::string_view(text).substr(blank + 1);
  if (unit.ends_with('s')) unit.remove_suffix(1);
  if (unit == "year") return *count * absl::Hours(24 * 365);
  if (unit == "month") return *count * absl::Hours(24 * 30);
  if (unit == "week") return *count * absl::Hours(24 * 7);
  if (unit == "day") return *count * absl::Hours(24);
  if (unit == "hour") return *count * absl::Hours(1);
  if (unit == "minute") return *count * absl::Minutes(1);
  return std::nullopt;
}

std::optional<MaskRule> Partial(const std::vector<std::string>& arguments) {
  if (arguments.size() != 4) return std::nullopt;
  const std::optional<int64_t> first = Whole(arguments[1]);
  const std::optional<int64_t> last = Whole(arguments[3]);
  const std::string& padding = arguments[2];
  const bool one = !padding.empty() && padding.find_first_not_of(padding[0]) == std::string::npos;
  if (!first.has_value() || !last.has_value() || !one) return std::nullopt;
  MaskRule rule;
  rule.with = MaskKind::kPartial;
  rule.keep_first = first;
  rule.keep_last = last;
  rule.character = padding.substr(0, 1);
  return rule;
}

// Functions whose arguments say what to do. The first of noise, hash and partial is the column.
std::optional<MaskRule> RuleOfArguments(const Call& call) {
  const std::vector<std::string>& given = call.arguments;
  const auto has = [&](std::string_view name, size_t count) {
    return call.name == name && given.size() == count;
  };
  MaskRule rule;
  if (call.name == "partial") return Partial(given);
  if (call.name == "hash" || call.name == "digest" || has("random_hash", 1)) {
    rule.with = MaskKind::kHash;
  } else if (call.name == "lorem_ipsum") {
    rule.with = MaskKind::kParagraph;
  } else if (has("random_string", 1)) {
    rule.with = MaskKind::kString;
    rule.length = Whole(given[0]);
    if (!rule.length.has_value() || *rule.length < 1) return std::nullopt;
  } else if (has("random_int_between", 2) || has("random_bigint_between", 2)) {
    rule.with = MaskKind::kInteger;
    rule.min = given[0];
    rule.max = given[1];
  } else if (has("random_date_between", 2)) {
    rule.with = MaskKind::kTimestamp;
    rule.min = given[0];
    rule.max = given[1];
  } else if (call.name == "random_phone" && given.size() <= 1) {
    rule.with = MaskKind::kPhone;
    if (!given.empty()) rule.prefix = given[0];
  } else if (call.name == "random_in" && !given.empty()) {
    rule.with = MaskKind::kChoice;
    rule.values = given;
  } else if (has("noise", 2)) {
    rule.with = MaskKind::kNoise;
    double ratio = 0;
    const auto read = std::from_chars(given[1].data(), given[1].data() + given[1].size(), ratio);
    if (read.ec != std::errc() || !(ratio > 0)) return std::nullopt;
    rule.ratio = ratio;
  } else if (has("dnoise", 2)) {
    rule.with = MaskKind::kNoise;
    rule.shift = Interval(given[1]);
    if (!rule.shift.has_value()) return std::nullopt;
  } else {
    return std::nullopt;
  }
  return rule;
}

std::optional<MaskRule> RuleOfCall(const Call& call) {
  for (const std::string_view family : {"fake_", "dummy_", "pseudo_", "random_"}) {
    if (!call.name.starts_with(family)) continue;
    const auto found = std::ranges::find(kKinds, std::string_view(call.name).substr(family.size()),
                                         &KindOfFunction::name);
    if (found == kKinds.end()) continue;
    MaskRule rule;
    rule.with = found->kind;
    return rule;
  }
  return RuleOfArguments(call);
}

std::optional<MaskRule> RuleOfValue(std::string_view text) {
  MaskRule rule;
  if (SameWord(text, "NULL")) {
    rule.with = MaskKind::kNull;
    return rule;
  }
  if (text.empty()) return std::nullopt;
  const bool quoted = text.starts_with('\'') || text.starts_with('$');
  rule.with = MaskKind::kConstant;
  rule.value = TakeArgument(text);
  if (!rule.value.has_value() || !text.empty()) return std::nullopt;
  const bool number = rule.value->find_first_not_of("+-.0123456789eE") == std::string::npos;
  const bool plain =
      quoted || number || SameWord(*rule.value, "TRUE") || SameWord(*rule.value, "FALSE");
  if (!plain) return std::nullopt;  // CURRENT_DATE, a column, a cast in front.
  return rule;
}

}  // namespace

absl::StatusOr<MaskRule> RuleOfLabel(std::string_view label) {
  std::string_view text = label;
  SkipBlanks(text);
  std::optional<MaskRule> rule;
  if (TakeWord(text, "NOT") && TakeWord(text, "MASKED") && text.empty()) {
    rule.emplace().with = MaskKind::kKeep;
  } else if (TakeWord(text, "MASKED") && TakeWord(text, "WITH")) {
    if (TakeWord(text, "FUNCTION")) {
      if (const std::optional<Call> call = ParseCall(text)) rule = RuleOfCall(*call);
    } else if (TakeWord(text, "VALUE")) {
      rule = RuleOfValue(text);
    }
  }
  if (rule.has_value()) return *std::move(rule);
  return base::MakeStatus(absl::StatusCode::kUnimplemented,
                          "the security label '{}' has no kind of mask here; write a rule for the "
                          "column (rules come before labels)",
                          label);
}

}  // namespace pgflow::transformers
