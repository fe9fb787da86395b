// SHA-256 and its HMAC, of libcrypto, the only room that knows it. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgflow::base {

using Digest = std::array<uint8_t, 32>;

Digest Sha256(std::string_view bytes);
Digest HmacSha256(std::string_view key, std::string_view bytes);

// The first `digits` of it in lower-case hex, at most 64.
std::string Hex(const Digest& digest, size_t digits = 64);
std::string Base64(const Digest& digest);

}  // namespace pgflow::base
