// Security: how a client shows itself to the brokers, as options of whatever component has one.
#pragma once

#include <optional>
#include <string>

#include "base/config/config_spec.h"
#include "kafka/settings.h"

namespace pgflow::kafka {

struct TlsConfig {
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  config::Secret key_password;
};

enum class SaslMechanism { kPlain, kScramSha256, kScramSha512 };

struct SaslConfig {
  SaslMechanism mechanism = SaslMechanism::kScramSha512;
  std::string username;
  config::Secret password;
};

config::ConfigSpec<TlsConfig> TlsSpec();
config::ConfigSpec<SaslConfig> SaslSpec();

// The settings that follow. Pure.
void AddSecurity(const std::optional<TlsConfig>& tls, const std::optional<SaslConfig>& sasl,
                 Settings& settings);

}  // namespace pgflow::kafka
