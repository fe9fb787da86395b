// DrawnText: the base of masks that write a text of bits drawn from the value.
//
// Immutable; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "transformers/mask/column_mask.h"
#include "transformers/mask/word_lists.h"

namespace pgflow::transformers {

class DrawnText : public ColumnMask {
 public:
  DrawnText(const Drawing& drawing, const ColumnType& type) : drawing_(drawing), type_(type) {}

  MaskOutcome Append(const schemas::Value& value, MaskScratch& scratch,
                     std::string& out) const final {
    std::string_view canonical;
    if (!ReadCanonical(value, type_, scratch.canonical, canonical)) {
      scratch.refusal = "the value's binary form cannot be read";
      return MaskOutcome::kRefused;
    }
    const size_t begin = out.size();
    Draw(canonical, drawing_.Of(canonical, scratch), out);
    if (type_.characters_max != 0 && out.size() - begin > type_.characters_max) {
      // More bytes than characters are allowed: look closer.
      const std::string_view made = std::string_view(out).substr(begin);
      out.resize(begin + PrefixBytes(made, type_.characters_max));
    }
    return MaskOutcome::kWritten;
  }

 protected:
  virtual void Draw(std::string_view value, HashBits bits, std::string& out) const = 0;
  const ColumnType& type() const { return type_; }

 private:
  Drawing drawing_;
  ColumnType type_;
};

inline std::string_view Pick(WordList words, BitStream& bits) {
  return words[bits.Below(words.size())];
}

inline char Digit(BitStream& bits) { return static_cast<char>('0' + bits.Below(10)); }

// 80 bits of the hash: among 10^9 values two are equal with a chance of 4 in 10^7.
inline constexpr size_t kTokenSize = 16;
void AppendToken(HashBits bits, std::string& out);

// Five digits.
void AppendPostcode(Locale locale, BitStream& bits, std::string& out);

// kInvalidArgument: the kind's values have more characters than the column takes, and cut off they
// would not be valid.
absl::Status CheckRoom(const MaskRule& rule, size_t characters, const ColumnType& type);

}  // namespace pgflow::transformers
