#include "transformers/mask/keyed_hash.h"

#include <bit>
#include <cstring>
#include <random>
#include <string>

#include "base/crypto/digest.h"

namespace pgflow::transformers {
namespace {

uint64_t LoadLittleEndian(const char* from) {
  uint64_t word = 0;
  std::memcpy(&word, from, sizeof(word));
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

struct SipState {
  uint64_t v0;
  uint64_t v1;
  uint64_t v2;
  uint64_t v3;

  SipState(uint64_t k0, uint64_t k1)
      : v0(0x736f6d6570736575U ^ k0),
        v1(0x646f72616e646f6dU ^ k1 ^ 0xeeU),  // 0xee: the variant of 128 bits.
        v2(0x6c7967656e657261U ^ k0),
        v3(0x7465646279746573U ^ k1) {}

  void Round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void Absorb(uint64_t word) {
    v3 ^= word;
    Round();
    Round();
    v0 ^= word;
  }
  uint64_t Squeeze() {
    for (int i = 0; i < 4; ++i) Round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

}  // namespace

KeyedHash KeyedHash::Derive(std::string_view secret, std::string_view purpose) {
  const base::Digest digest = base::HmacSha256(secret, std::string("pgflow mask ").append(purpose));
  const auto* bytes = reinterpret_cast<const char*>(digest.data());
  return {LoadLittleEndian(bytes), LoadLittleEndian(bytes + sizeof(uint64_t))};
}

HashBits KeyedHash::Hash(std::string_view bytes) const {
  SipState state(key_low_, key_high_);
  const uint64_t size = bytes.size();
  while (bytes.size() >= sizeof(uint64_t)) {
    state.Absorb(LoadLittleEndian(bytes.data()));
    bytes.remove_prefix(sizeof(uint64_t));
  }
  uint64_t last = size << 56U;
  for (size_t i = 0; i < bytes.size(); ++i) {
    last |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  state.Absorb(last);
  state.v2 ^= 0xeeU;
  HashBits bits;
  bits.low = state.Squeeze();
  state.v1 ^= 0xddU;
  bits.high = state.Squeeze();
  return bits;
}

uint64_t KeyedHash::HashNumber(uint64_t number, uint64_t round) const {
  SipState state(key_low_, key_high_);
  state.Absorb(number);
  state.Absorb(round);
  state.v2 ^= 0xeeU;
  return state.Squeeze();
}

HashBits Randomness::Next() {
  if (count_ == 0) {
    std::random_device device;
    const auto word = [&device] { return uint64_t{device()} << 32U | device(); };
    const uint64_t low = word();
    hash_ = KeyedHash(low, word());
  }
  ++count_;
  return hash_.Hash({reinterpret_cast<const char*>(&count_), sizeof(count_)});
}

uint64_t BitStream::Below(uint64_t bound) {
  if (bound == 0) return Next();
  if ((bound & (bound - 1)) == 0) return Next() & (bound - 1);
  // The part of 2^64 that is no multiple of `bound` would make small numbers likelier.
  const uint64_t surplus = (0 - bound) % bound;
  uint64_t drawn = Next();
  while (drawn < surplus) drawn = Next();
  return drawn % bound;
}

}  // namespace pgflow::transformers
