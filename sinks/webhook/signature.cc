#include "sinks/webhook/signature.h"

#include <utility>

#include <absl/strings/escaping.h>

#include "base/crypto/digest.h"
#include "base/status.h"

namespace pgflow::sinks {
namespace {

constexpr std::string_view kPrefix = "whsec_";
constexpr size_t kKeyBytesMin = 24;  // Both bounds are the specification's.
constexpr size_t kKeyBytesMax = 64;

}  // namespace

absl::StatusOr<Signer> Signer::Make(const std::vector<std::string>& secrets) {
  std::vector<std::string> keys;
  keys.reserve(secrets.size());
  for (const std::string& secret : secrets) {
    std::string key;
    const bool good = secret.starts_with(kPrefix) &&
                      absl::Base64Unescape(secret.substr(kPrefix.size()), &key) &&
                      key.size() >= kKeyBytesMin && key.size() <= kKeyBytesMax;
    if (!good) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "secrets: number {} is not whsec_ and then {} to {} bytes in base64; "
                              "make one with: echo whsec_$(openssl rand -base64 32)",
                              keys.size() + 1, kKeyBytesMin, kKeyBytesMax);
    }
    keys.push_back(std::move(key));
  }
  return Signer(std::move(keys));
}

std::string Signer::Sign(std::string_view id, int64_t timestamp, std::string_view body) const {
  const std::string content = fmt::format("{}.{}.{}", id, timestamp, body);
  std::string signatures;
  for (const std::string& key : keys_) {
    if (!signatures.empty()) signatures += ' ';
    signatures += "v1," + base::Base64(base::HmacSha256(key, content));
  }
  return signatures;
}

}  // namespace pgflow::sinks
