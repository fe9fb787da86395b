// ScratchOpenSearch: a private, real OpenSearch node for one test program.
//
// Its data directory and ports are its own, in a new directory under $TMPDIR (or /tmp); the
// destructor stops it and removes them. It does not outlive the test process, however that ends.
// Archives: what scripts/install-servers fetched. A start takes four seconds or more: one node a
// test program, shared by its tests.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/testing/subprocess.h"

namespace pgflow::engine {

struct ScratchOpenSearchOptions {
  // Over the defaults: one node, free ports, no limits by disk space.
  std::vector<std::pair<std::string, std::string>> settings;
  std::string heap = "512m";
  // Another server than the usual one: elasticsearch, opensearch1 (scripts/install-servers NAME).
  // Empty: what the environment's PGFLOW_SEARCH_SERVER says, so that tests can run against each.
  std::string product;
};

// One thread at a time.
class ScratchOpenSearch {
 public:
  static absl::StatusOr<std::unique_ptr<ScratchOpenSearch>> Make(
      const ScratchOpenSearchOptions& options = {});
  // The one of this program, made at the first call. Ends the program when it cannot be.
  static ScratchOpenSearch& Shared();
  ~ScratchOpenSearch();
  ScratchOpenSearch(const ScratchOpenSearch&) = delete;
  ScratchOpenSearch& operator=(const ScratchOpenSearch&) = delete;

  // All of these keep port and data, so that URLs stay valid. Start returns when the node answers
  // and its indices can be written.
  absl::Status Start();
  absl::Status Stop();
  absl::Status Kill9();
  absl::Status Restart();
  // SIGSTOP and SIGCONT: a server, or network, that stalls.
  void Freeze();
  void Thaw();
  bool running() { return node_ != nullptr && node_->running(); }

  // http://127.0.0.1:port
  std::string url() const;
  int port() const { return port_; }
  // The end of the node's log, for the message of a failed test.
  std::string LogTail() const;

  // One request, for what a test looks at: the answer's body. kInternal with the body when the
  // status is not 2xx.
  absl::StatusOr<std::string> Request(const std::string& method, const std::string& path,
                                      const std::string& body = "") const;

 private:
  explicit ScratchOpenSearch(ScratchOpenSearchOptions options) : options_(std::move(options)) {}
  absl::Status WaitUntilReady();

  const ScratchOpenSearchOptions options_;
  std::string product_;
  std::string archives_;
  std::string directory_;
  int port_ = 0;
  int transport_port_ = 0;
  std::unique_ptr<Subprocess> node_;
};

}  // namespace pgflow::engine
