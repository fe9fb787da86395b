#include "base/crypto/name_uuid.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>

#include "base/check.h"

namespace pgflow::base {

std::string NameUuid(std::string_view name) {
  std::array<uint8_t, 16> digest{};
  unsigned int size = 0;
  const int good = EVP_Digest(name.data(), name.size(), digest.data(), &size, EVP_md5(), nullptr);
  PGFLOW_CHECK(good == 1 && size == digest.size(), "libcrypto computes MD5");
  digest[6] = static_cast<uint8_t>((digest[6] & 0x0F) | 0x30);
  digest[8] = static_cast<uint8_t>((digest[8] & 0x3F) | 0x80);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < digest.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text.push_back(kDigits[digest[i] >> 4]);
    text.push_back(kDigits[digest[i] & 15]);
  }
  return text;
}

}  // namespace pgflow::base
