// Masks that write addresses of machines and pages: IP, MAC, URL.
#include <algorithm>
#include <array>
#include <utility>

#include "base/status.h"
#include "transformers/mask/constant_forms.h"
#include "transformers/mask/drawn_text.h"

namespace pgflow::transformers {
namespace {

using schemas::Value;
using schemas::ValueKind;

class IpMask final : public ColumnMask {
 public:
  IpMask(const Drawing& drawing, const ColumnType& type, NetworkAddress v4, NetworkAddress v6)
      : drawing_(drawing), type_(type), v4_(std::move(v4)), v6_(std::move(v6)) {}

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const override {
    NetworkAddress address;
    std::string_view essence = value.view();
    if (Read(value, address)) {
      scratch.canonical.clear();
      AppendNetworkBinary(address, false, scratch.canonical);
      essence = scratch.canonical;
    } else if (type_.value_class != ValueClass::kText) {
      scratch.refusal = "the value is no address that can be read";
      return MaskOutcome::kRefused;
    }
    const HashBits bits = drawing_.Of(essence, scratch);
    Write(address, bits, value.kind, scratch, out);
    return MaskOutcome::kWritten;
  }

 private:
  bool Read(const Value& value, NetworkAddress& address) const {
    if (type_.value_class == ValueClass::kText || value.kind == ValueKind::kText) {
      return ParseNetwork(value.view(), address);
    }
    const std::string_view bytes = value.view();
    if (bytes.size() != 8 && bytes.size() != 20) return false;
    address.is_v4 = bytes.size() == 8;
    address.bits = static_cast<unsigned char>(bytes[1]);
    address.bytes = bytes.substr(4);
    return address.bits <= address.bytes.size() * 8;
  }

  void Write(const NetworkAddress& old, HashBits seed, ValueKind kind, MaskScratch& scratch,
             std::string& out) const {
    const bool of_text = type_.value_class == ValueClass::kText;
    const bool fits =
        !of_text || old.is_v4 || type_.characters_max == 0 || type_.characters_max >= kV6Size;
    const NetworkAddress& subnet = old.is_v4 || !fits ? v4_ : v6_;
    NetworkAddress made{subnet.is_v4, fits ? old.bits : 32, subnet.bytes};
    if (of_text && type_.characters_max < kV4Size + 3 && type_.characters_max != 0) made.bits = 32;
    BitStream bits(seed);
    const bool is_cidr = type_.wire == kCidr;
    const unsigned end = is_cidr ? made.bits : static_cast<unsigned>(made.bytes.size() * 8);
    for (unsigned i = 0; i < made.bytes.size() * 8; ++i) {
      const unsigned mask = 0x80U >> i % 8;
      auto byte = static_cast<unsigned char>(made.bytes[i / 8]);
      const bool drawn = i >= subnet.bits && (bits.Next() & 1U) != 0;
      if (drawn) byte = static_cast<unsigned char>(byte | mask);
      if (i >= end) byte = static_cast<unsigned char>(byte & ~mask);
      made.bytes[i / 8] = static_cast<char>(byte);
    }
    scratch.work.clear();
    AppendNetworkBinary(made, is_cidr, scratch.work);
    if (of_text) {
      const sinks::TypeText& text = *sinks::FindTypeText(kInet);
      text.append(scratch.work, text, out);
    } else {
      AppendInForm(scratch.work, kind, type_, out);
    }
  }

 public:
  static constexpr size_t kV4Size = 15;
  static constexpr size_t kV6Size = 39 + 4;

 private:
  Drawing drawing_;
  ColumnType type_;
  NetworkAddress v4_;
  NetworkAddress v6_;
};

class MacMask final : public ColumnMask {
 public:
  static constexpr size_t kSize = 17;

  MacMask(const Drawing& drawing, const ColumnType& type) : drawing_(drawing), type_(type) {}

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const override {
    const bool of_text = type_.value_class == ValueClass::kText;
    std::string_view essence = value.view();
    if (of_text || value.kind == ValueKind::kText) {
      if (ParseMac(value.view(), scratch.canonical)) {
        essence = scratch.canonical;
      } else if (!of_text) {
        scratch.refusal = "the value is no address that can be read";
        return MaskOutcome::kRefused;
      }
    }
    BitStream bits(drawing_.Of(essence, scratch));
    const size_t size = type_.wire == kMacaddr8 ? 8 : 6;
    scratch.work.clear();
    for (size_t i = 0; i < size; ++i) scratch.work.push_back(static_cast<char>(bits.Next() >> 56U));
    // Of one machine, and of nobody's range.
    scratch.work[0] = static_cast<char>((static_cast<unsigned char>(scratch.work[0]) & 0xFCU) | 2U);
    if (of_text) {
      const size_t begin = out.size();
      const sinks::TypeText& text = *sinks::FindTypeText(kMacaddr);
      text.append(scratch.work, text, out);
      if (value.view().find('-') != std::string_view::npos) {
        std::replace(out.begin() + static_cast<ptrdiff_t>(begin), out.end(), ':', '-');
      }
    } else {
      AppendInForm(scratch.work, value.kind, type_, out);
    }
    return MaskOutcome::kWritten;
  }

 private:
  Drawing drawing_;
  ColumnType type_;
};

class UrlMask final : public DrawnText {
 public:
  UrlMask(const Drawing& drawing, const ColumnType& type, const std::string& domain)
      : DrawnText(drawing, type), begin_("https://" + domain + "/") {}

  size_t size_min() const { return begin_.size() + kTokenSize; }

 private:
  void Draw(std::string_view, HashBits bits, std::string& out) const override {
    const std::string_view word = LatinWords()[(bits.low ^ bits.high) % LatinWords().size()];
    const size_t most = type().characters_max;
    out.append(begin_);
    if (most == 0 || size_min() + word.size() + 1 <= most) out.append(word).append("/");
    AppendToken(bits, out);
  }

  std::string begin_;
};

absl::StatusOr<ColumnMaskPtr> MakeIp(const MaskRule& rule, const Drawing& drawing,
                                     const ColumnType& type) {
  NetworkAddress v4;
  NetworkAddress v6;
  NetworkAddress written;
  ParseNetwork("10.0.0.0/8", v4);
  ParseNetwork("fd00::/8", v6);
  if (rule.subnet.has_value()) {
    if (!ParseNetwork(*rule.subnet, written)) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "ip: `subnet` '{}' is no address with a prefix length, as 10.0.0.0/8",
                              *rule.subnet);
    }
    (written.is_v4 ? v4 : v6) = written;
  }
  for (NetworkAddress* subnet : {&v4, &v6}) {
    for (unsigned i = subnet->bits; i < subnet->bytes.size() * 8; ++i) {
      char& byte = subnet->bytes[i / 8];
      byte = static_cast<char>(static_cast<unsigned char>(byte) & ~(0x80U >> i % 8));
    }
  }
  PGFLOW_RETURN_IF_ERROR(CheckRoom(rule, IpMask::kV4Size, type));
  return std::make_unique<IpMask>(drawing, type, std::move(v4), std::move(v6));
}

}  // namespace

absl::StatusOr<ColumnMaskPtr> MakeNetworkMask(const MaskRule& rule, std::string_view key,
                                              const ColumnType& type) {
  const Drawing drawing(rule, key, MaskKindName(rule.with));
  if (rule.with == MaskKind::kIp) return MakeIp(rule, drawing, type);
  if (rule.with == MaskKind::kMac) {
    PGFLOW_RETURN_IF_ERROR(CheckRoom(rule, MacMask::kSize, type));
    return std::make_unique<MacMask>(drawing, type);
  }
  auto url = std::make_unique<UrlMask>(drawing, type, rule.domain.value_or("example.com"));
  PGFLOW_RETURN_IF_ERROR(CheckRoom(rule, url->size_min(), type));
  return url;
}

}  // namespace pgflow::transformers
