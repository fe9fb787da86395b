// Signer: the signature of the Standard Webhooks specification, version v1: HMAC-SHA256 over
// "id.timestamp.body".
//
// Immutable, thread-safe. Errors of Make never repeat a secret.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace pgflow::sinks {

class Signer {
 public:
  // Secrets as "whsec_BASE64" of 24 to 64 bytes; while one is being replaced, both are given and
  // both sign. kInvalidArgument names the secret that is none by its number.
  static absl::StatusOr<Signer> Make(const std::vector<std::string>& secrets);

  bool has_secrets() const { return !keys_.empty(); }
  // The value of webhook-signature: "v1,SIGNATURE v1,SIGNATURE", in the order of the secrets.
  std::string Sign(std::string_view id, int64_t timestamp, std::string_view body) const;

 private:
  explicit Signer(std::vector<std::string> keys) : keys_(std::move(keys)) {}

  std::vector<std::string> keys_;
};

}  // namespace pgflow::sinks
