// Masks that write where somebody lives.
#include "sinks/encoding/integer_text.h"
#include "transformers/mask/drawn_text.h"

namespace pgflow::transformers {
namespace {

class PlaceMask final : public DrawnText {
 public:
  PlaceMask(const Drawing& drawing, const ColumnType& type, MaskKind kind, Locale locale)
      : DrawnText(drawing, type), kind_(kind), locale_(locale), words_(WordsOf(locale)) {}

 private:
  void Draw(std::string_view, HashBits seed, std::string& out) const override {
    BitStream bits(seed);
    switch (kind_) {
      case MaskKind::kCity:
        out.append(Pick(words_.cities, bits));
        return;
      case MaskKind::kState:
        out.append(Pick(words_.states, bits));
        return;
      case MaskKind::kCountry:
        out.append(Pick(words_.countries, bits));
        return;
      case MaskKind::kStreet:
        AppendStreet(bits, out);
        return;
      default:
        AppendAddress(bits, out);
        return;
    }
  }

  void AppendStreet(BitStream& bits, std::string& out) const {
    const std::string_view street = Pick(words_.streets, bits);
    const size_t number = street.find("{}");
    out.append(street.substr(0, number));
    sinks::AppendDigits(static_cast<int64_t>(1 + bits.Below(kHouses)), out);
    out.append(street.substr(number + 2));
  }

  void AppendAddress(BitStream& bits, std::string& out) const {
    AppendStreet(bits, out);
    out.append(", ");
    if (locale_ == Locale::kEnglish) {
      out.append(Pick(words_.cities, bits)).append(", ");
      out.append(Pick(words_.states, bits)).push_back(' ');
      AppendPostcode(locale_, bits, out);
      return;
    }
    AppendPostcode(locale_, bits, out);
    out.append(" ").append(Pick(words_.cities, bits));
  }

  static constexpr uint64_t kHouses = 199;

  MaskKind kind_;
  Locale locale_;
  const LocaleWords& words_;
};

}  // namespace

void AppendPostcode(Locale locale, BitStream& bits, std::string& out) {
  uint64_t number = 0;
  switch (locale) {
    case Locale::kEnglish:
      number = 501 + bits.Below(99'950 - 501 + 1);
      break;
    case Locale::kGerman:
      number = 1067 + bits.Below(99'998 - 1067 + 1);
      break;
    case Locale::kSpanish:  // The first two digits are the province's, 01 to 52.
      number = 1000 + bits.Below(52'000);
      break;
  }
  for (uint64_t unit = 10'000; unit > 0; unit /= 10) {
    out.push_back(static_cast<char>('0' + number / unit % 10));
  }
}

absl::StatusOr<ColumnMaskPtr> MakePlaceMask(const MaskRule& rule, std::string_view key,
                                            const ColumnType& type) {
  return std::make_unique<PlaceMask>(Drawing(rule, key, MaskKindName(rule.with)), type, rule.with,
                                     rule.locale.value_or(Locale::kEnglish));
}

}  // namespace pgflow::transformers
