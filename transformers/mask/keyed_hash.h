// KeyedHash: a pseudo-random function of a value under a secret key, and the bits drawn from it.
//
// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF"):
// without the key nothing can be told of a value from its hash but that equal values hash equally.
// KeyedHash is immutable and thread-safe; BitStream and Randomness belong to one thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace pgflow::transformers {

struct HashBits {
  uint64_t low = 0;
  uint64_t high = 0;

  friend bool operator==(const HashBits&, const HashBits&) = default;
};

class KeyedHash {
 public:
  KeyedHash() = default;
  KeyedHash(uint64_t key_low, uint64_t key_high) : key_low_(key_low), key_high_(key_high) {}
  // A key of its own for each purpose, out of one secret.
  static KeyedHash Derive(std::string_view secret, std::string_view purpose);

  HashBits Hash(std::string_view bytes) const;
  // The same of a number: what a permutation's rounds draw.
  uint64_t HashNumber(uint64_t number, uint64_t round) const;

 private:
  uint64_t key_low_ = 0;
  uint64_t key_high_ = 0;
};

// Bits that nobody can tell in advance, in a key of the system's randomness. One thread.
class Randomness {
 public:
  HashBits Next();

 private:
  KeyedHash hash_;
  uint64_t count_ = 0;  // 0: without a key as yet.
};

// As many bits as a generator wants, all of them determined by the seed (SplitMix64).
class BitStream {
 public:
  explicit BitStream(HashBits seed) : state_(seed.low), step_(seed.high | 1U) {}

  uint64_t Next() {
    state_ += step_;
    uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31U);
  }
  // Each of 0 .. bound - 1 as likely as the others; 0 means 2^64.
  uint64_t Below(uint64_t bound);

 private:
  uint64_t state_;
  uint64_t step_;
};

}  // namespace pgflow::transformers
