#include "engine/testing/scratch_opensearch.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <absl/time/clock.h>

#include "base/status.h"
#include "engine/testing/local_http.h"
#include "engine/testing/scratch_cluster.h"

namespace pgflow::engine {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(2);
constexpr absl::Duration kPoll = absl::Milliseconds(50);

std::string Trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

RunAs Ourselves() {
  RunAs run_as;
  run_as.uid = getuid();
  run_as.gid = getgid();
  return run_as;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ScratchOpenSearch>> ScratchOpenSearch::Make(
    const ScratchOpenSearchOptions& options) {
  std::unique_ptr<ScratchOpenSearch> server(new ScratchOpenSearch(options));
  const std::string root = PGFLOW_SOURCE_DIRECTORY;
  PGFLOW_ASSIGN_OR_RETURN(
      const std::string where,
      RunProgram({"/bin/bash", root + "/scripts/install-servers", "--where", "opensearch"},
                 Ourselves()));
  server->archives_ = Trimmed(where) + "/lib";
  if (!std::filesystem::exists(server->archives_)) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "no OpenSearch in {}: run scripts/install-deps test",
                            server->archives_);
  }
  PGFLOW_ASSIGN_OR_RETURN(server->port_, FindFreePort());
  PGFLOW_ASSIGN_OR_RETURN(server->transport_port_, FindFreePort());
  const char* temporary = std::getenv("TMPDIR");
  std::string directory =
      std::string(temporary == nullptr ? "/tmp" : temporary) + "/osscratch-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) {
    return base::MakeStatus(absl::StatusCode::kInternal, "make {}: {}", directory,
                            std::strerror(errno));
  }
  server->directory_ = directory;
  std::filesystem::create_directory(directory + "/config");
  PGFLOW_RETURN_IF_ERROR(server->Start());
  return server;
}

ScratchOpenSearch::~ScratchOpenSearch() {
  node_.reset();
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

absl::Status ScratchOpenSearch::Start() {
  if (running()) return absl::OkStatus();
  const std::string root = PGFLOW_SOURCE_DIRECTORY;
  std::vector<std::string> command = {"/usr/bin/java",
                                      "-Xms" + options_.heap,
                                      "-Xmx" + options_.heap,
                                      "-XX:+UseSerialGC",
                                      "-XX:TieredStopAtLevel=1",
                                      "-cp",
                                      archives_ + "/*",
                                      root + "/engine/testing/servers/OpenSearchNode.java",
                                      directory_,
                                      "path.data=" + directory_ + "/data",
                                      "path.logs=" + directory_ + "/logs",
                                      "cluster.name=scratch",
                                      "node.name=scratch",
                                      "discovery.type=single-node",
                                      "network.host=127.0.0.1",
                                      "http.port=" + std::to_string(port_),
                                      "transport.port=" + std::to_string(transport_port_),
                                      "cluster.routing.allocation.disk.threshold_enabled=false"};
  for (const auto& [name, value] : options_.settings) command.push_back(name + "=" + value);
  PGFLOW_ASSIGN_OR_RETURN(node_, Subprocess::Start({.command = std::move(command),
                                                    .run_as = Ourselves(),
                                                    .output_file = directory_ + "/node.log",
                                                    .death_signal = SIGKILL}));
  return WaitUntilReady();
}

absl::Status ScratchOpenSearch::WaitUntilReady() {
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline) {
    // Yellow: every primary is there. Replicas have no second node to be on.
    const auto health = Request("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s");
    if (health.ok()) return absl::OkStatus();
    if (node_->Wait(kPoll).has_value()) break;
  }
  return base::MakeStatus(absl::StatusCode::kUnavailable,
                          "scratch OpenSearch at port {} did not start; its log ends:\n{}", port_,
                          LogTail());
}

absl::Status ScratchOpenSearch::Stop() {
  if (!running()) return absl::OkStatus();
  node_->Signal(SIGTERM);
  if (node_->Wait(kPatience).has_value()) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kDeadlineExceeded,
                          "scratch OpenSearch at port {} does not stop; its log ends:\n{}", port_,
                          LogTail());
}

absl::Status ScratchOpenSearch::Kill9() {
  if (!running()) return absl::OkStatus();
  node_->Signal(SIGKILL);
  if (node_->Wait(kPatience).has_value()) return absl::OkStatus();
  return absl::DeadlineExceededError("scratch OpenSearch does not end");
}

absl::Status ScratchOpenSearch::Restart() {
  PGFLOW_RETURN_IF_ERROR(Stop());
  return Start();
}

void ScratchOpenSearch::Freeze() {
  if (running()) node_->Signal(SIGSTOP);
}

void ScratchOpenSearch::Thaw() {
  if (running()) node_->Signal(SIGCONT);
}

std::string ScratchOpenSearch::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

std::string ScratchOpenSearch::LogTail() const {
  std::ifstream file(directory_ + "/node.log");
  const std::string log{std::istreambuf_iterator<char>(file), {}};
  return log.size() > 4000 ? log.substr(log.size() - 4000) : log;
}

absl::StatusOr<std::string> ScratchOpenSearch::Request(const std::string& method,
                                                       const std::string& path,
                                                       const std::string& body) const {
  return LocalHttp(port_, method, path, body);
}

}  // namespace pgflow::engine
