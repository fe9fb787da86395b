// Values that a user wrote, in the two forms that values are sent in: also of types that nothing
// but a mask writes (inet, cidr, macaddr, macaddr8, interval, time, money, point, bit, varbit).
//
// Pure functions of text; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "postgres/types/oid.h"
#include "schemas/value.h"
#include "transformers/mask/column_type.h"

namespace pgflow::transformers {

inline constexpr postgres::Oid kInet = 869, kCidr = 650, kMacaddr = 829, kMacaddr8 = 774,
                               kMoney = 790, kBit = 1560, kVarbit = 1562;

// A value of a type in both of its forms.
struct BothForms {
  std::string text;
  std::string binary;

  std::string_view in(schemas::ValueKind kind) const {
    return kind == schemas::ValueKind::kText ? text : binary;
  }
};

// kInvalidArgument: a text that is no value of the type or does not fit it, or a type whose values
// cannot be written.
absl::StatusOr<BothForms> FormsOf(const std::string& text, const ColumnType& type);

// The binary form of a text as the server or a person writes it; of the types named above only.
// False (`out` is then unchanged) when it is no value of the type.
bool AppendConstantBinary(std::string_view text, const ColumnType& type, std::string& out);

// An address and how many bits of it are the network's, with or without "/bits".
struct NetworkAddress {
  bool is_v4 = true;
  unsigned bits = 32;
  std::string bytes;
};
bool ParseNetwork(std::string_view text, NetworkAddress& address);
// As network_send writes it: family, bits, whether it is a cidr, size, address.
void AppendNetworkBinary(const NetworkAddress& address, bool is_cidr, std::string& out);
// Six or eight bytes with : or - between them.
bool ParseMac(std::string_view text, std::string& bytes);

}  // namespace pgflow::transformers
