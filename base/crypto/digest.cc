#include "base/crypto/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <climits>

#include "base/check.h"

namespace pgflow::base {
namespace {

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

Digest Sha256(std::string_view bytes) {
  Digest digest;
  unsigned int size = 0;
  const int good =
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  PGFLOW_CHECK(good == 1 && size == digest.size(), "libcrypto computes SHA-256");
  return digest;
}

Digest HmacSha256(std::string_view key, std::string_view bytes) {
  PGFLOW_CHECK(key.size() <= INT_MAX, "a key of a sane size");
  Digest digest;
  unsigned int size = 0;
  const unsigned char* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                   Bytes(bytes), bytes.size(), digest.data(), &size);
  PGFLOW_CHECK(made != nullptr && size == digest.size(), "libcrypto computes HMAC-SHA-256");
  return digest;
}

std::string Hex(const Digest& digest, size_t digits) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * digest.size());
  for (const uint8_t byte : digest) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  if (digits < text.size()) text.resize(digits);
  return text;
}

std::string Base64(const Digest& digest) {
  std::string text(4 * ((digest.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), digest.data(),
                                   static_cast<int>(digest.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

}  // namespace pgflow::base
