// Masks that write what companies and users are called, passwords and filler texts.
#include <algorithm>
#include <utility>

#include "base/status.h"
#include "transformers/mask/drawn_text.h"

namespace pgflow::transformers {
namespace {

// Companies and paragraphs: words one after the other.
class CompanyMask final : public DrawnText {
 public:
  CompanyMask(const Drawing& drawing, const ColumnType& type, Locale locale)
      : DrawnText(drawing, type),
        words_(WordsOf(locale)),
        name_first_(locale != Locale::kSpanish) {}

 private:
  void Draw(std::string_view, HashBits seed, std::string& out) const override {
    BitStream bits(seed);
    const std::string_view name = Pick(words_.last_names, bits);
    const std::string_view trade = Pick(words_.trades, bits);
    out.append(name_first_ ? name : trade).append(" ");
    out.append(name_first_ ? trade : name).append(" ");
    out.append(Pick(words_.legal_forms, bits));
  }

  const LocaleWords& words_;
  bool name_first_;
};

// A to Z and the letters of the lists beyond ASCII, as a user name has them.
void AppendPlainLower(std::string_view name, std::string& out) {
  // From À, which is C3 80, on; the small letters come 32 later.
  static constexpr std::string_view kLetters = "aaaaaaaceeeeiiiidnooooo*ouuuuyts";
  for (size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    if (c >= 'A' && c <= 'Z') {
      out.push_back(static_cast<char>(c + 32));
    } else if (c >= 'a' && c <= 'z') {
      out.push_back(name[i]);
    } else if (c == 0xC3 && i + 1 < name.size()) {
      out.push_back(kLetters[static_cast<unsigned char>(name[++i]) & 0x1FU]);
    }
  }
}

class UserNameMask final : public DrawnText {
 public:
  static constexpr int64_t kLength = 4;

  UserNameMask(const Drawing& drawing, const ColumnType& type, WordList names, size_t length)
      : DrawnText(drawing, type), names_(names), length_(length) {}

 private:
  void Draw(std::string_view, HashBits bits, std::string& out) const override {
    const size_t begin = out.size();
    AppendPlainLower(names_[(bits.low ^ bits.high) % names_.size()], out);
    const size_t most = type().characters_max;
    if (most != 0 && out.size() - begin + length_ > most) out.resize(begin + most - length_);
    const size_t token = out.size();
    AppendToken(bits, out);
    out.resize(token + length_);
  }

  WordList names_;
  size_t length_;
};

class PasswordMask final : public DrawnText {
 public:
  PasswordMask(const Drawing& drawing, const ColumnType& type, size_t length)
      : DrawnText(drawing, type), length_(length) {}

 private:
  void Draw(std::string_view, HashBits seed, std::string& out) const override {
    static constexpr std::string_view kAll =
        "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!#%+-=?@_";
    static constexpr size_t kUpper = kAll.find('A');
    static constexpr size_t kDigit = kAll.find('2');
    static constexpr size_t kSign = kAll.find('!');
    BitStream bits(seed);
    const size_t begin = out.size();
    for (const std::string_view each :
         {kAll.substr(0, kUpper), kAll.substr(kUpper, kDigit - kUpper),
          kAll.substr(kDigit, kSign - kDigit), kAll.substr(kSign)}) {
      out.push_back(each[bits.Below(each.size())]);
    }
    while (out.size() - begin < length_) out.push_back(kAll[bits.Below(kAll.size())]);
    for (size_t i = length_ - 1; i > 0; --i) {
      std::swap(out[begin + i], out[begin + bits.Below(i + 1)]);
    }
  }

  size_t length_;
};

class ParagraphMask final : public DrawnText {
 public:
  ParagraphMask(const Drawing& drawing, const ColumnType& type, int64_t sentences)
      : DrawnText(drawing, type), sentences_(sentences) {}

 private:
  void Draw(std::string_view, HashBits seed, std::string& out) const override {
    BitStream bits(seed);
    const size_t begin = out.size();
    for (int64_t i = 0; i < sentences_; ++i) {
      const size_t start = out.size();
      const uint64_t words = 6 + bits.Below(9);
      const uint64_t comma = bits.Below(words);
      for (uint64_t word = 0; word < words; ++word) {
        out.append(Pick(LatinWords(), bits));
        if (word == comma && word > 1 && word + 2 < words) out.push_back(',');
        out.push_back(' ');
      }
      out[start] = static_cast<char>(out[start] - 'a' + 'A');
      out.back() = '.';
      if (i + 1 < sentences_) out.push_back(' ');
    }
    // It ends with a word, not within one.
    const size_t most = type().characters_max;
    if (most == 0 || out.size() - begin <= most) return;
    const size_t space = out.rfind(' ', begin + most - 1);
    if (space == std::string::npos || space <= begin) return;
    const bool closed = out[space - 1] == '.' || out[space - 1] == ',';
    out.resize(closed ? space - 1 : space);
    out.push_back('.');
  }

  int64_t sentences_;
};

}  // namespace

absl::StatusOr<ColumnMaskPtr> MakeAccountMask(const MaskRule& rule, std::string_view key,
                                              const ColumnType& type) {
  const Drawing drawing(rule, key, MaskKindName(rule.with));
  if (rule.with == MaskKind::kCompany) {
    return std::make_unique<CompanyMask>(drawing, type, rule.locale.value_or(Locale::kEnglish));
  }
  if (rule.with == MaskKind::kParagraph) {
    return std::make_unique<ParagraphMask>(drawing, type, rule.sentences.value_or(3));
  }
  if (rule.with == MaskKind::kUserName) {
    const auto length = static_cast<size_t>(rule.length.value_or(UserNameMask::kLength));
    if (length > kTokenSize) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "user_name: `length` is {} at most", kTokenSize);
    }
    PGFLOW_RETURN_IF_ERROR(CheckRoom(rule, length, type));
    const WordList names = rule.locale ? WordsOf(*rule.locale).first_names : FirstNames();
    return std::make_unique<UserNameMask>(drawing, type, names, length);
  }
  constexpr int64_t kShortest = 8;
  const int64_t length = rule.length.value_or(16);
  if (length < kShortest) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "password: `length` is {} at least",
                            kShortest);
  }
  PGFLOW_RETURN_IF_ERROR(CheckRoom(rule, static_cast<size_t>(length), type));
  return std::make_unique<PasswordMask>(drawing, type, static_cast<size_t>(length));
}

}  // namespace pgflow::transformers
