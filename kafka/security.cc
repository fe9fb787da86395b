#include "kafka/security.h"

#include <string_view>

namespace pgflow::kafka {
namespace {

std::string_view MechanismName(SaslMechanism mechanism) {
  switch (mechanism) {
    case SaslMechanism::kPlain:
      return "PLAIN";
    case SaslMechanism::kScramSha256:
      return "SCRAM-SHA-256";
    case SaslMechanism::kScramSha512:
      return "SCRAM-SHA-512";
  }
  return "";
}

}  // namespace

config::ConfigSpec<TlsConfig> TlsSpec() {
  config::ConfigSpec<TlsConfig> spec;
  spec.Field("ca_file", &TlsConfig::ca_file,
             "PEM file of the authorities that may have signed the brokers' certificates. Empty: "
             "those of the system.")
      .Example("/etc/ssl/kafka-ca.pem");
  spec.Field("certificate_file", &TlsConfig::certificate_file,
             "PEM file of our certificate, where the brokers want one.");
  spec.Field("key_file", &TlsConfig::key_file, "PEM file of its private key.");
  spec.Field("key_password", &TlsConfig::key_password, "The key's password, if it has one.");
  return spec;
}

config::ConfigSpec<SaslConfig> SaslSpec() {
  config::ConfigSpec<SaslConfig> spec;
  spec.Field("mechanism", &SaslConfig::mechanism, "How the password is shown to the brokers.")
      .Choice({{"PLAIN", SaslMechanism::kPlain},
               {"SCRAM-SHA-256", SaslMechanism::kScramSha256},
               {"SCRAM-SHA-512", SaslMechanism::kScramSha512}});
  spec.Field("username", &SaslConfig::username, "Who we are.").Required();
  spec.Field("password", &SaslConfig::password, "And the proof.")
      .Required()
      .Example("${KAFKA_PASSWORD}");
  return spec;
}

void AddSecurity(const std::optional<TlsConfig>& tls, const std::optional<SaslConfig>& sasl,
                 Settings& settings) {
  if (tls.has_value()) {
    const auto set = [&](const char* name, const std::string& value) {
      if (!value.empty()) settings[name] = value;
    };
    set("ssl.ca.location", tls->ca_file);
    set("ssl.certificate.location", tls->certificate_file);
    set("ssl.key.location", tls->key_file);
    set("ssl.key.password", tls->key_password.value());
  }
  if (sasl.has_value()) {
    settings["sasl.mechanisms"] = MechanismName(sasl->mechanism);
    settings["sasl.username"] = sasl->username;
    settings["sasl.password"] = sasl->password.value();
  }
  if (tls.has_value() || sasl.has_value()) {
    settings["security.protocol"] = !sasl.has_value() ? "ssl"
                                    : tls.has_value() ? "sasl_ssl"
                                                      : "sasl_plaintext";
  }
}

}  // namespace pgflow::kafka
