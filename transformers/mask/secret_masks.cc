// Masks by cryptography: HMAC-SHA-256 and AES-SIV.
#include <openssl/evp.h>

#include <array>
#include <utility>

#include "base/check.h"
#include "base/crypto/digest.h"
#include "base/status.h"
#include "sinks/encoding/type_binary.h"
#include "transformers/mask/column_mask.h"
#include "transformers/mask/keyed_hash.h"

namespace pgflow::transformers {
namespace {

using schemas::Value;
using schemas::ValueKind;

struct FreeCipher {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// HMAC-SHA-256 of many values under one key: what the key does to both hashes is done once.
class KeyedDigest {
 public:
  explicit KeyedDigest(const base::Digest& key)
      : inner_(Begin(key, 0x36)), outer_(Begin(key, 0x5C)) {}

  bool Append(std::string_view bytes, base::Digest& digest) const {
    const Context context(EVP_MD_CTX_new());
    EVP_MD_CTX* running = context.get();
    return running != nullptr && EVP_MD_CTX_copy_ex(running, inner_.get()) == 1 &&
           EVP_DigestUpdate(running, bytes.data(), bytes.size()) == 1 &&
           EVP_DigestFinal_ex(running, digest.data(), nullptr) == 1 &&
           EVP_MD_CTX_copy_ex(running, outer_.get()) == 1 &&
           EVP_DigestUpdate(running, digest.data(), digest.size()) == 1 &&
           EVP_DigestFinal_ex(running, digest.data(), nullptr) == 1;
  }

 private:
  using Context = std::unique_ptr<EVP_MD_CTX, FreeCipher>;
  static constexpr size_t kBlockSize = 64;

  static Context Begin(const base::Digest& key, unsigned char padding) {
    std::array<unsigned char, kBlockSize> block;
    block.fill(padding);
    for (size_t i = 0; i < key.size(); ++i) block[i] = key[i] ^ padding;
    Context context(EVP_MD_CTX_new());
    const bool good = context != nullptr &&
                      EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1 &&
                      EVP_DigestUpdate(context.get(), block.data(), block.size()) == 1;
    PGFLOW_CHECK(good, "SHA-256 is part of every OpenSSL");
    return context;
  }

  Context inner_;
  Context outer_;
};

class HashMask final : public ColumnMask {
 public:
  HashMask(std::string_view key, const ColumnType& type, size_t length)
      : type_(type), length_(length), digest_(base::HmacSha256(key, "pgflow mask hash")) {}

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const override {
    std::string_view canonical;
    base::Digest digest{};
    if (!ReadCanonical(value, type_, scratch.canonical, canonical) ||
        !digest_.Append(canonical, digest)) {
      scratch.refusal = "the value cannot be hashed";
      return MaskOutcome::kRefused;
    }
    static constexpr std::string_view kHex = "0123456789abcdef";
    for (size_t i = 0; i < length_; ++i) {
      out.push_back(kHex[i % 2 == 0 ? digest[i / 2] >> 4U : digest[i / 2] & 15U]);
    }
    return MaskOutcome::kWritten;
  }

 private:
  ColumnType type_;
  size_t length_;
  KeyedDigest digest_;
};

constexpr size_t kTagSize = 16;

// RFC 4648, section 5, without padding: fits into an identifier, an address or a URL.
void AppendBase64Url(std::string_view bytes, std::string& out) {
  static constexpr std::string_view kSymbols =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  uint32_t pending = 0;
  unsigned bits = 0;
  for (const char c : bytes) {
    pending = pending << 8U | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6; bits -= 6) out.push_back(kSymbols[(pending >> (bits - 6)) & 63U]);
  }
  if (bits > 0) out.push_back(kSymbols[(pending << (6 - bits)) & 63U]);
}

// The synthetic IV and then the ciphertext, as RFC 5297 has them. The empty value stays empty:
// OpenSSL 3.0 does not encrypt it.
class AesSivMask final : public ColumnMask {
 public:
  using Cipher = std::unique_ptr<EVP_CIPHER, FreeCipher>;
  using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

  AesSivMask(Cipher cipher, std::string key, std::string associated, const ColumnType& type)
      : cipher_(std::move(cipher)),
        key_(std::move(key)),
        associated_(std::move(associated)),
        type_(type) {}

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const override {
    std::string_view plain;
    if (!ReadCanonical(value, type_, scratch.canonical, plain)) {
      scratch.refusal = "the value cannot be read";
      return MaskOutcome::kRefused;
    }
    if (plain.empty()) return MaskOutcome::kKept;
    if (!Encrypt(plain, scratch.work)) {
      scratch.refusal = "OpenSSL could not encrypt the value";
      return MaskOutcome::kRefused;
    }
    if (type_.value_class == ValueClass::kBytes) {
      AppendInForm(scratch.work, value.kind, type_, out);
      return MaskOutcome::kWritten;
    }
    if (type_.characters_max != 0 && (scratch.work.size() * 4 + 2) / 3 > type_.characters_max) {
      scratch.refusal = "the encrypted value is longer than the column's type allows";
      return MaskOutcome::kRefused;
    }
    AppendBase64Url(scratch.work, out);
    return MaskOutcome::kWritten;
  }

 private:
  bool Encrypt(std::string_view plain, std::string& out) const {
    const auto bytes = [](std::string_view text) {
      return reinterpret_cast<const unsigned char*>(text.data());
    };
    const Context context(EVP_CIPHER_CTX_new());
    if (context == nullptr) return false;
    out.resize(kTagSize + plain.size());
    auto* to = reinterpret_cast<unsigned char*>(out.data());
    int size = 0;
    if (EVP_EncryptInit_ex2(context.get(), cipher_.get(), bytes(key_), nullptr, nullptr) != 1) {
      return false;
    }
    if (!associated_.empty() && EVP_EncryptUpdate(context.get(), nullptr, &size, bytes(associated_),
                                                  static_cast<int>(associated_.size())) != 1) {
      return false;
    }
    return EVP_EncryptUpdate(context.get(), to + kTagSize, &size, bytes(plain),
                             static_cast<int>(plain.size())) == 1 &&
           EVP_EncryptFinal_ex(context.get(), to + kTagSize + size, &size) == 1 &&
           EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagSize, to) == 1;
  }

  Cipher cipher_;
  std::string key_;
  std::string associated_;
  ColumnType type_;
};

absl::StatusOr<ColumnMaskPtr> MakeAesSiv(const MaskRule& rule, const ColumnType& type) {
  std::string key;
  if (!sinks::AppendBinaryOfText("\\x" + rule.key_hex->value(), postgres::oid::kBytea, key) ||
      key.size() != 64) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "aes_siv: `key_hex` must be 64 bytes, written as 128 hexadecimal "
                            "digits");
  }
  AesSivMask::Cipher cipher(EVP_CIPHER_fetch(nullptr, "AES-256-SIV", nullptr));
  if (cipher == nullptr) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "aes_siv: this OpenSSL has no AES-256-SIV");
  }
  return std::make_unique<AesSivMask>(std::move(cipher), std::move(key),
                                      rule.associated_data.value_or(""), type);
}

}  // namespace

absl::StatusOr<ColumnMaskPtr> MakeSecretMask(const MaskRule& rule, std::string_view key,
                                             const ColumnType& type) {
  if (rule.with == MaskKind::kAesSiv) return MakeAesSiv(rule, type);
  const auto length = static_cast<size_t>(rule.length.value_or(2 * sizeof(base::Digest)));
  if (length > 2 * sizeof(base::Digest)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "hash: `length` must be 64 at most");
  }
  if (type.characters_max != 0 && length > type.characters_max) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "hash: {} characters do not fit, it has {}; write a shorter `length`",
                            length, type.characters_max);
  }
  return std::make_unique<HashMask>(key, type, length);
}

}  // namespace pgflow::transformers
