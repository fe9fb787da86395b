// ScratchKafka: a private, real Kafka broker (KRaft, one node) for one test.
//
// Its directory and ports are its own, in a new directory under $TMPDIR (or /tmp); the destructor
// stops it and removes them. It does not outlive the test process, however that ends. Needs Java
// and the archives that `scripts/install-servers kafka` fetches. Takes some seconds to start.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "engine/testing/subprocess.h"
#include "engine/testing/test_certificate.h"

namespace pgflow::engine {

// Two more listeners, with TLS; one of them asks for a name and a password, too. What its users may
// do is what Allow says; whoever comes by another listener may do everything.
struct ScratchKafkaSecurity {
  TestCertificate certificate;
  std::map<std::string, std::string> users;  // Name and password: SCRAM-SHA-256 and PLAIN.
};

struct ScratchKafkaOptions {
  // Lines of server.properties, over the defaults: no topics by themselves, one replica, 256 MiB
  // of heap.
  std::vector<std::pair<std::string, std::string>> settings;
  std::optional<ScratchKafkaSecurity> security;
};

// One thread at a time.
class ScratchKafka {
 public:
  // Formats the storage and starts the broker.
  static absl::StatusOr<std::unique_ptr<ScratchKafka>> Make(
      const ScratchKafkaOptions& options = {});
  ~ScratchKafka();
  ScratchKafka(const ScratchKafka&) = delete;
  ScratchKafka& operator=(const ScratchKafka&) = delete;

  // All of these keep the port. Start returns when a message was acknowledged.
  absl::Status Start();
  absl::Status Stop();
  // SIGKILL: what the page cache has survives, open transactions are left to the next start.
  absl::Status Kill9();
  absl::Status Restart();
  // SIGSTOP and SIGCONT: a broker, or network, that stalls.
  absl::Status Freeze();
  absl::Status Thaw();
  bool running();

  std::string bootstrap() const;  // "127.0.0.1:port"
  // With security: TLS with SASL, and TLS alone.
  std::string sasl_bootstrap() const;
  std::string tls_bootstrap() const;
  // Rules "user TYPE name OPERATION", in the words of Kafka's ResourceType and AclOperation; a name
  // is a prefix, or *.
  absl::Status Allow(const std::vector<std::string>& rules) const;
  pid_t pid() const { return server_ == nullptr ? -1 : server_->pid(); }
  // The end of the broker's log, for the message of a failed test.
  std::string LogTail() const;

 private:
  ScratchKafka() = default;
  absl::Status WriteSettings(const ScratchKafkaOptions& options) const;
  // A command line of java with the broker's archives.
  std::vector<std::string> Java(std::vector<std::string> arguments) const;
  absl::Status WaitUntilReady();

  std::string archives_;
  std::string directory_;
  int port_ = 0;
  int controller_port_ = 0;
  int sasl_port_ = 0;
  int tls_port_ = 0;
  bool frozen_ = false;
  std::unique_ptr<Subprocess> server_;
};

}  // namespace pgflow::engine
