// Masks that write numbers with a form of their own: credit cards, social security numbers, IBANs,
// postcodes.
//
// What is drawn depends on the letters and digits of the value alone: 4111-1111 and 41111111 become
// the same number, each in its own form, in a text column and in one of integers.
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/status.h"
#include "sinks/encoding/integer_text.h"
#include "sinks/encoding/type_binary.h"
#include "transformers/mask/drawn_text.h"

namespace pgflow::transformers {
namespace {

using schemas::Value;
using schemas::ValueKind;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class IdentifierMask : public ColumnMask {
 public:
  IdentifierMask(const Drawing& drawing, const ColumnType& type) : drawing_(drawing), type_(type) {}

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const final {
    std::string_view text;
    if (!ReadText(value, scratch.canonical, text)) {
      scratch.refusal = "the value cannot be read";
      return MaskOutcome::kRefused;
    }
    scratch.work.clear();
    for (const char c : text) {
      if (IsDigit(c) || c > '~' || c < '\0') scratch.work.push_back(c);
      if (IsLetter(c)) scratch.work.push_back(static_cast<char>(c & ~0x20));
    }
    BitStream bits(drawing_.Of(scratch.work, scratch));
    if (type_.value_class == ValueClass::kText) {
      Draw(text, bits, out);
      return MaskOutcome::kWritten;
    }
    scratch.work.clear();
    Draw(text, bits, scratch.work);
    int64_t number = 0;
    std::from_chars(scratch.work.data(), scratch.work.data() + scratch.work.size(), number);
    if (type_.value_class == ValueClass::kInteger || value.kind == ValueKind::kText) {
      AppendInteger(number, value.kind, type_, out);
    } else {
      scratch.work.clear();
      sinks::AppendDigits(number, scratch.work);
      sinks::AppendNumericBinary(scratch.work, out);
    }
    return MaskOutcome::kWritten;
  }

 protected:
  virtual void Draw(std::string_view text, BitStream& bits, std::string& out) const = 0;
  const ColumnType& type() const { return type_; }
  bool is_text() const { return type_.value_class == ValueClass::kText; }
  bool Fits(size_t size) const { return type_.characters_max == 0 || size <= type_.characters_max; }

 private:
  bool ReadText(const Value& value, std::string& scratch, std::string_view& text) const {
    if (type_.value_class != ValueClass::kInteger) {
      return ReadCanonical(value, type_, scratch, text);
    }
    int64_t number = 0;
    if (!ReadInteger(value, type_, number)) return false;
    scratch.clear();
    sinks::AppendDigits(number, scratch);
    text = scratch;
    return true;
  }

  Drawing drawing_;
  ColumnType type_;
};

// The digit that makes the sum of Luhn's rule a multiple of ten.
char CheckDigit(std::string_view digits) {
  unsigned sum = 0;
  bool doubles = true;  // From the right, which is beside the check digit.
  for (size_t i = digits.size(); i-- > 0; doubles = !doubles) {
    const auto digit = static_cast<unsigned>(digits[i] - '0');
    sum += !doubles ? digit : digit < 5 ? digit * 2 : digit * 2 - 9;
  }
  return static_cast<char>('0' + (10 - sum % 10) % 10);
}

class CreditCardMask final : public IdentifierMask {
 public:
  static constexpr size_t kDigits = 16;
  static constexpr size_t kDigitsMin = 12;
  static constexpr size_t kDigitsMax = 19;

  CreditCardMask(const Drawing& drawing, const ColumnType& type, std::string prefix)
      : IdentifierMask(drawing, type), prefix_(std::move(prefix)) {}

 private:
  void Draw(std::string_view text, BitStream& bits, std::string& out) const override {
    const auto count = static_cast<size_t>(std::ranges::count_if(text, IsDigit));
    const bool formed =
        count >= kDigitsMin && count <= kDigitsMax &&
        std::ranges::all_of(text, [](char c) { return IsDigit(c) || c == ' ' || c == '-'; });
    // 18 digits fit an int8, whatever they are.
    const bool keeps = formed && (is_text() || count < kDigitsMax);
    const size_t size = keeps ? count : kDigits;
    std::array<char, kDigitsMax> digits;
    for (size_t i = 0; i + 1 < size; ++i) digits[i] = i < prefix_.size() ? prefix_[i] : Digit(bits);
    digits[size - 1] = CheckDigit({digits.data(), size - 1});
    if (!keeps || !is_text()) {
      out.append(digits.data(), size);
      return;
    }
    size_t next = 0;
    for (const char c : text) out.push_back(IsDigit(c) ? digits[next++] : c);
  }

  std::string prefix_;
};

class SsnMask final : public IdentifierMask {
 public:
  static constexpr size_t kDigits = 9;

  using IdentifierMask::IdentifierMask;

 private:
  void Draw(std::string_view text, BitStream& bits, std::string& out) const override {
    uint64_t area = 1 + bits.Below(898);  // 001 to 899, but for 666.
    if (area >= 666) ++area;
    const uint64_t group = 1 + bits.Below(99);
    const uint64_t serial = 1 + bits.Below(9999);
    const bool plain = !is_text() || !Fits(kDigits + 2) ||
                       (text.size() == kDigits && std::ranges::all_of(text, IsDigit));
    AppendPadded(area, 100, out);
    if (!plain) out.push_back('-');
    AppendPadded(group, 10, out);
    if (!plain) out.push_back('-');
    AppendPadded(serial, 1000, out);
  }

  static void AppendPadded(uint64_t number, uint64_t unit, std::string& out) {
    for (; unit > 0; unit /= 10) out.push_back(static_cast<char>('0' + number / unit % 10));
  }
};

// What follows the check digits: letters, then digits, then letters or digits, then digits.
struct IbanForm {
  std::string_view country;
  size_t letters;
  size_t digits;
  size_t mixed;
  size_t last_digits = 0;

  size_t size() const { return 4 + letters + digits + mixed + last_digits; }
};

// As the registry of ISO 13616 has them.
constexpr std::array kIbanForms = {
    IbanForm{"AT", 0, 16, 0}, IbanForm{"BE", 0, 12, 0}, IbanForm{"CH", 0, 5, 12},
    IbanForm{"CZ", 0, 20, 0}, IbanForm{"DE", 0, 18, 0}, IbanForm{"DK", 0, 14, 0},
    IbanForm{"ES", 0, 20, 0}, IbanForm{"FI", 0, 14, 0}, IbanForm{"FR", 0, 10, 11, 2},
    IbanForm{"GB", 4, 14, 0}, IbanForm{"IE", 4, 14, 0}, IbanForm{"IT", 1, 10, 12},
    IbanForm{"LU", 0, 3, 13}, IbanForm{"NL", 4, 10, 0}, IbanForm{"NO", 0, 11, 0},
    IbanForm{"PL", 0, 24, 0}, IbanForm{"PT", 0, 21, 0}, IbanForm{"SE", 0, 20, 0},
};

class IbanMask final : public IdentifierMask {
 public:
  IbanMask(const Drawing& drawing, const ColumnType& type, const IbanForm& form)
      : IdentifierMask(drawing, type), form_(form) {}

 private:
  void Draw(std::string_view text, BitStream& bits, std::string& out) const override {
    static constexpr std::string_view kMixed = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    std::array<char, 34> iban;
    size_t size = 0;
    for (const char c : form_.country) iban[size++] = c;
    size += 2;  // The check digits.
    for (size_t i = 0; i < form_.letters; ++i) iban[size++] = kMixed[10 + bits.Below(26)];
    for (size_t i = 0; i < form_.digits; ++i) iban[size++] = Digit(bits);
    for (size_t i = 0; i < form_.mixed; ++i) iban[size++] = kMixed[bits.Below(kMixed.size())];
    for (size_t i = 0; i < form_.last_digits; ++i) iban[size++] = Digit(bits);
    const unsigned check = 98 - Remainder({iban.data(), size});
    iban[2] = static_cast<char>('0' + check / 10);
    iban[3] = static_cast<char>('0' + check % 10);
    const bool grouped = text.find(' ') != std::string_view::npos && Fits(size + (size - 1) / 4);
    for (size_t i = 0; i < size; ++i) {
      if (grouped && i > 0 && i % 4 == 0) out.push_back(' ');
      out.push_back(iban[i]);
    }
  }

  // Of the number that ISO 7064 makes of it, with 00 for the check digits, by 97.
  static unsigned Remainder(std::string_view iban) {
    unsigned remainder = 0;
    const auto add = [&remainder](char c) {
      const auto value = static_cast<unsigned>(IsDigit(c) ? c - '0' : c - 'A' + 10);
      remainder = (remainder * (value < 10 ? 10 : 100) + value) % 97;
    };
    for (const char c : iban.substr(4)) add(c);
    for (const char c : iban.substr(0, 2)) add(c);
    return remainder * 100 % 97;
  }

  IbanForm form_;
};

class PostcodeMask final : public IdentifierMask {
 public:
  static constexpr size_t kDigits = 5;

  PostcodeMask(const Drawing& drawing, const ColumnType& type, Locale locale)
      : IdentifierMask(drawing, type), locale_(locale) {}

 private:
  void Draw(std::string_view, BitStream& bits, std::string& out) const override {
    AppendPostcode(locale_, bits, out);
  }

  Locale locale_;
};

// Whether so many digits fit the type at all.
absl::Status CheckDigits(const MaskRule& rule, size_t digits, const ColumnType& type) {
  size_t room = SIZE_MAX;
  if (type.value_class == ValueClass::kInteger) {
    room = type.wire == postgres::oid::kInt2 ? 4 : type.wire == postgres::oid::kInt4 ? 9 : 18;
  } else if (type.value_class == ValueClass::kNumeric) {
    room = WholeDigits(type);
  } else {
    return CheckRoom(rule, digits, type);
  }
  if (digits <= room) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                          "{}: a number has {} digits, the type holds {}", MaskKindName(rule.with),
                          digits, room);
}

absl::StatusOr<ColumnMaskPtr> MakeIban(const MaskRule& rule, const Drawing& drawing,
                                       const ColumnType& type) {
  static constexpr std::string_view kOfLocale[] = {"GB", "DE", "ES"};
  const Locale locale = rule.locale.value_or(Locale::kEnglish);
  const std::string country =
      rule.prefix.value_or(std::string(kOfLocale[static_cast<size_t>(locale)]));
  const auto form = std::ranges::find(kIbanForms, country, &IbanForm::country);
  if (form == kIbanForms.end()) {
    std::string known;
    for (const IbanForm& each : kIbanForms) known.append(" ").append(each.country);
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "iban: `prefix` must be one of{}",
                            known);
  }
  PGFLOW_RETURN_IF_ERROR(CheckRoom(rule, form->size(), type));
  return std::make_unique<IbanMask>(drawing, type, *form);
}

}  // namespace

absl::StatusOr<ColumnMaskPtr> MakeIdentifierMask(const MaskRule& rule, std::string_view key,
                                                 const ColumnType& type) {
  const Drawing drawing(rule, key, MaskKindName(rule.with));
  if (rule.with == MaskKind::kIban) return MakeIban(rule, drawing, type);
  if (rule.with == MaskKind::kSsn) {
    PGFLOW_RETURN_IF_ERROR(CheckDigits(rule, SsnMask::kDigits, type));
    return std::make_unique<SsnMask>(drawing, type);
  }
  if (rule.with == MaskKind::kPostcode) {
    PGFLOW_RETURN_IF_ERROR(CheckDigits(rule, PostcodeMask::kDigits, type));
    return std::make_unique<PostcodeMask>(drawing, type, rule.locale.value_or(Locale::kEnglish));
  }
  const std::string prefix = rule.prefix.value_or("4");
  if (prefix.size() >= CreditCardMask::kDigitsMin || !std::ranges::all_of(prefix, IsDigit)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "credit_card: `prefix` must be digits, fewer than {}",
                            CreditCardMask::kDigitsMin);
  }
  PGFLOW_RETURN_IF_ERROR(CheckDigits(rule, CreditCardMask::kDigits, type));
  return std::make_unique<CreditCardMask>(drawing, type, prefix);
}

}  // namespace pgflow::transformers
