// Masks that write text: names, addresses, digits and characters.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/status.h"
#include "transformers/mask/drawn_text.h"
#include "transformers/mask/word_lists.h"

namespace pgflow::transformers {
namespace {

using schemas::Value;

class NameMask final : public DrawnText {
 public:
  // Empty lists give nothing.
  NameMask(const Drawing& drawing, const ColumnType& type, WordList first, WordList last)
      : DrawnText(drawing, type), first_(first), last_(last) {}

 private:
  void Draw(std::string_view, HashBits seed, std::string& out) const override {
    BitStream bits(seed);
    if (!first_.empty()) out.append(Pick(first_, bits));
    if (!first_.empty() && !last_.empty()) out.push_back(' ');
    if (!last_.empty()) out.append(Pick(last_, bits));
  }

  WordList first_;
  WordList last_;
};

class EmailMask final : public DrawnText {
 public:
  EmailMask(const Drawing& drawing, const ColumnType& type, const MaskRule& rule)
      : DrawnText(drawing, type),
        domain_(rule.domain.value_or("example.com")),
        preserves_(rule.preserve_domain.value_or(false)),
        excluded_(rule.excluded_domains) {}

  size_t size_min() const { return kTokenSize + 1 + domain_.size(); }

 private:
  void Draw(std::string_view value, HashBits bits, std::string& out) const override {
    const size_t room = type().characters_max == 0 ? SIZE_MAX : type().characters_max;
    std::string_view domain = DomainOf(value);
    if (kTokenSize + 1 + domain.size() > room) domain = domain_;
    const std::string_view name = FirstNames()[(bits.low ^ bits.high) % FirstNames().size()];
    if (name.size() + 1 + kTokenSize + 1 + domain.size() <= room) {
      out.push_back(static_cast<char>(name.front() - 'A' + 'a'));
      out.append(name.substr(1));
      out.push_back('.');
    }
    AppendToken(bits, out);
    out.push_back('@');
    out.append(domain);
  }

  std::string_view DomainOf(std::string_view value) const {
    const size_t at = value.rfind('@');
    if (!preserves_ || at == std::string_view::npos || at + 1 == value.size()) return domain_;
    const std::string_view own = value.substr(at + 1);
    return std::ranges::find(excluded_, own) == excluded_.end() ? own : domain_;
  }

  std::string domain_;
  bool preserves_;
  std::vector<std::string> excluded_;
};

class PhoneMask final : public DrawnText {
 public:
  PhoneMask(const Drawing& drawing, const ColumnType& type, const MaskRule& rule)
      : DrawnText(drawing, type),
        prefix_(rule.prefix.value_or("")),
        length_(static_cast<size_t>(rule.length.value_or(10))) {}

 private:
  // Fewer digits are no number, and their form would tell what they are.
  static constexpr size_t kDigitsMin = 5;

  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }

  void Draw(std::string_view value, HashBits seed, std::string& out) const override {
    static constexpr std::string_view kPunctuation = "+-()./ ";
    BitStream bits(seed);
    out.append(prefix_);
    auto to_skip = std::ranges::count_if(prefix_, IsDigit);
    if (std::ranges::count_if(value, IsDigit) < static_cast<ptrdiff_t>(kDigitsMin)) {
      for (size_t i = static_cast<size_t>(to_skip); i < length_; ++i) out.push_back(Digit(bits));
      return;
    }
    bool skips = !prefix_.empty();  // What the prefix stands for.
    for (const char c : value) {
      if (skips && IsDigit(c)) {
        skips = --to_skip >= 0;
      } else if (skips && to_skip <= 0) {
        skips = false;
      }
      if (skips) continue;
      out.push_back(kPunctuation.find(c) != std::string_view::npos ? c : Digit(bits));
    }
  }

  std::string prefix_;
  size_t length_;
};

class StringMask final : public DrawnText {
 public:
  StringMask(const Drawing& drawing, const ColumnType& type, std::string symbols, uint64_t least,
             uint64_t most)
      : DrawnText(drawing, type), symbols_(std::move(symbols)), least_(least), most_(most) {}

 private:
  void Draw(std::string_view, HashBits seed, std::string& out) const override {
    BitStream bits(seed);
    const uint64_t size = least_ + bits.Below(most_ - least_ + 1);
    for (uint64_t i = 0; i < size; ++i) out.push_back(symbols_[bits.Below(symbols_.size())]);
  }

  std::string symbols_;
  uint64_t least_;
  uint64_t most_;
};

class PartialMask final : public ColumnMask {
 public:
  explicit PartialMask(const MaskRule& rule)
      : first_(static_cast<size_t>(rule.keep_first.value_or(0))),
        last_(static_cast<size_t>(rule.keep_last.value_or(0))),
        character_(rule.character.value_or("*")) {}

  MaskOutcome Append(const Value& value, MaskScratch&, std::string& out) const override {
    const std::string_view text = value.view();
    const size_t count = CountCharacters(text);
    // A value too short to hide anything of is hidden whole.
    const bool shows = first_ + last_ < count;
    const size_t front = shows ? PrefixBytes(text, first_) : 0;
    const size_t back = shows ? PrefixBytes(text, count - last_) : text.size();
    const size_t hidden = shows ? count - first_ - last_ : count;
    out.append(text.substr(0, front));
    for (size_t i = 0; i < hidden; ++i) out.append(character_);
    out.append(text.substr(back));
    return MaskOutcome::kWritten;
  }

 private:
  size_t first_;
  size_t last_;
  std::string character_;
};

absl::StatusOr<ColumnMaskPtr> MakeString(const MaskRule& rule, const Drawing& drawing,
                                         const ColumnType& type) {
  const auto least = static_cast<uint64_t>(rule.length.value_or(16));
  const uint64_t most =
      rule.length_max.has_value() ? static_cast<uint64_t>(*rule.length_max) : least;
  if (type.characters_max != 0 && least > type.characters_max) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "string: {} characters do not fit, it has {}; write a shorter `length`",
                            least, type.characters_max);
  }
  return std::make_unique<StringMask>(
      drawing, type, rule.symbols.value_or("abcdefghijklmnopqrstuvwxyz0123456789"), least, most);
}

}  // namespace

void AppendToken(HashBits bits, std::string& out) {
  static constexpr std::string_view kSymbols = "abcdefghijklmnopqrstuvwxyz234567";
  std::array<char, kTokenSize> token;
  for (size_t i = 0; i < kTokenSize; ++i) {
    uint64_t& word = i < kTokenSize / 2 ? bits.low : bits.high;
    token[i] = kSymbols[word & 31U];
    word >>= 5U;
  }
  out.append(token.data(), token.size());
}

absl::Status CheckRoom(const MaskRule& rule, size_t characters, const ColumnType& type) {
  if (type.characters_max == 0 || characters <= type.characters_max) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                          "{}: a value needs {} characters, the column has {}",
                          MaskKindName(rule.with), characters, type.characters_max);
}

absl::StatusOr<ColumnMaskPtr> MakeTextMask(const MaskRule& rule, std::string_view key,
                                           const ColumnType& type) {
  const Drawing drawing(rule, key, MaskKindName(rule.with));
  const WordList first = rule.locale ? WordsOf(*rule.locale).first_names : FirstNames();
  const WordList last = rule.locale ? WordsOf(*rule.locale).last_names : LastNames();
  switch (rule.with) {
    case MaskKind::kFirstName:
      return std::make_unique<NameMask>(drawing, type, first, WordList{});
    case MaskKind::kLastName:
      return std::make_unique<NameMask>(drawing, type, WordList{}, last);
    case MaskKind::kFullName:
      return std::make_unique<NameMask>(drawing, type, first, last);
    case MaskKind::kPhone:
      return std::make_unique<PhoneMask>(drawing, type, rule);
    case MaskKind::kString:
      return MakeString(rule, drawing, type);
    case MaskKind::kPartial:
      return std::make_unique<PartialMask>(rule);
    default:
      break;
  }
  auto email = std::make_unique<EmailMask>(drawing, type, rule);
  if (type.characters_max != 0 && email->size_min() > type.characters_max) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "email: an address needs {} characters, it has {}; write a shorter "
                            "`domain`",
                            email->size_min(), type.characters_max);
  }
  return email;
}

}  // namespace pgflow::transformers
