// Big-endian reading and writing with bounds, and byte-size constants.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace pgflow::base {

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kGiB = 1024 * kMiB;

template <typename T>
T LoadBigEndian(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  if constexpr (sizeof(T) == 1) {
    return value;
  } else if constexpr (sizeof(T) == 2) {
    return static_cast<T>(__builtin_bswap16(static_cast<uint16_t>(value)));
  } else if constexpr (sizeof(T) == 4) {
    return static_cast<T>(__builtin_bswap32(static_cast<uint32_t>(value)));
  } else {
    static_assert(sizeof(T) == 8);
    return static_cast<T>(__builtin_bswap64(static_cast<uint64_t>(value)));
  }
}

template <typename T>
void StoreBigEndian(char* to, T value) {
  value = LoadBigEndian<T>(reinterpret_cast<const char*>(&value));
  std::memcpy(to, &value, sizeof(T));
}

template <typename T>
void AppendBigEndian(std::string& to, T value) {
  char bytes[sizeof(T)];
  StoreBigEndian(bytes, value);
  to.append(bytes, sizeof(T));
}

// A cursor over untrusted bytes. A read past the end gives zero or empty and makes ok() false for
// good, so a decoder may read a whole structure and check once.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  template <typename T>
  T Read() {
    if (remaining() < sizeof(T)) [[unlikely]] {
      Fail();
      return T{};
    }
    T value = LoadBigEndian<T>(at_);
    at_ += sizeof(T);
    return value;
  }

  std::string_view ReadBytes(uint64_t size) {
    if (remaining() < size) [[unlikely]] {
      Fail();
      return {};
    }
    std::string_view bytes(at_, size);
    at_ += size;
    return bytes;
  }

  // A zero-terminated string, as the Postgres protocol writes names; without its zero.
  std::string_view ReadCString() {
    const void* zero = remaining() == 0 ? nullptr : std::memchr(at_, 0, remaining());
    if (zero == nullptr) [[unlikely]] {
      Fail();
      return {};
    }
    std::string_view text(at_, static_cast<size_t>(static_cast<const char*>(zero) - at_));
    at_ += text.size() + 1;
    return text;
  }

  size_t remaining() const { return static_cast<size_t>(end_ - at_); }
  const char* position() const { return at_; }
  bool ok() const { return ok_; }

 private:
  void Fail() {
    ok_ = false;
    at_ = end_;
  }

  const char* at_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace pgflow::base
