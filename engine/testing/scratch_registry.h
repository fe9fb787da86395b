// ScratchRegistry: a private, real schema registry (Apicurio, with Confluent's API) for one test
// program, and Avro's own reader.
//
// In memory, on a port of its own; the destructor ends it. It does not outlive the test process,
// however that ends. Needs Java and the archives that `scripts/install-servers registry` fetches.
// Takes some seconds to start: one a test program, shared by its tests.
#pragma once

#include <memory>
#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/testing/subprocess.h"

namespace pgflow::engine {

// One thread at a time.
class ScratchRegistry {
 public:
  static absl::StatusOr<std::unique_ptr<ScratchRegistry>> Make();
  ~ScratchRegistry();
  ScratchRegistry(const ScratchRegistry&) = delete;
  ScratchRegistry& operator=(const ScratchRegistry&) = delete;

  // What clients are told: http://127.0.0.1:port/apis/ccompat/v7
  std::string url() const;
  // One request under that URL: the answer's body. kInternal with it when the status is not 2xx.
  absl::StatusOr<std::string> Request(const std::string& method, const std::string& path,
                                      const std::string& body = "") const;

  // Messages as Avro's own library decodes them with the registry's schemas, a JSON object a line.
  // A line of `messages` has the key and the value in base64, or - for none.
  absl::StatusOr<std::string> Decode(const std::string& messages) const;

 private:
  ScratchRegistry() = default;
  absl::Status WaitUntilReady();

  std::string archives_;
  std::string directory_;
  int port_ = 0;
  std::unique_ptr<Subprocess> server_;
};

}  // namespace pgflow::engine
