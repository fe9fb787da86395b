#include "engine/testing/scratch_registry.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "base/status.h"
#include "engine/testing/local_http.h"
#include "engine/testing/scratch_cluster.h"

namespace pgflow::engine {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(2);
constexpr absl::Duration kPoll = absl::Milliseconds(50);
constexpr const char* kApi = "/apis/ccompat/v7";

}  // namespace

absl::StatusOr<std::unique_ptr<ScratchRegistry>> ScratchRegistry::Make() {
  std::unique_ptr<ScratchRegistry> registry(new ScratchRegistry());
  PGFLOW_ASSIGN_OR_RETURN(registry->archives_, FindServerArchives("registry"));
  PGFLOW_ASSIGN_OR_RETURN(registry->port_, FindFreePort());
  PGFLOW_ASSIGN_OR_RETURN(registry->directory_, MakeScratchDirectory("registryscratch-", RunAs()));
  std::string program;
  for (const auto& file : std::filesystem::directory_iterator(registry->archives_)) {
    if (file.path().filename().string().ends_with("-runner.jar")) program = file.path();
  }
  PGFLOW_ASSIGN_OR_RETURN(
      registry->server_,
      Subprocess::Start(
          {.command = {"/usr/bin/java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                       "-Dquarkus.http.host=127.0.0.1",
                       fmt::format("-Dquarkus.http.port={}", registry->port_), "-jar", program},
           .run_as = RunAs(),
           .output_file = registry->directory_ + "/server.log",
           .death_signal = SIGKILL}));
  PGFLOW_RETURN_IF_ERROR(registry->WaitUntilReady());
  return registry;
}

ScratchRegistry::~ScratchRegistry() {
  server_.reset();
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

absl::Status ScratchRegistry::WaitUntilReady() {
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline) {
    if (Request("GET", "/subjects").ok()) return absl::OkStatus();
    if (server_->Wait(kPoll).has_value()) break;
  }
  return base::MakeStatus(absl::StatusCode::kUnavailable,
                          "scratch registry at port {} did not start; its log ends:\n{}", port_,
                          TailOfFile(directory_ + "/server.log"));
}

std::string ScratchRegistry::url() const {
  return fmt::format("http://127.0.0.1:{}{}", port_, kApi);
}

absl::StatusOr<std::string> ScratchRegistry::Request(const std::string& method,
                                                     const std::string& path,
                                                     const std::string& body) const {
  return LocalHttp(port_, method, kApi + path, body);
}

absl::StatusOr<std::string> ScratchRegistry::Decode(const std::string& messages) const {
  const std::string file = directory_ + "/messages";
  std::ofstream(file) << messages;
  const std::string reader =
      std::string(PGFLOW_SOURCE_DIRECTORY) + "/engine/testing/servers/AvroReader.java";
  return RunProgram({"/usr/bin/java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
                     archives_ + "/*", reader, url(), file},
                    RunAs());
}

}  // namespace pgflow::engine
