#include "engine/testing/scratch_opensearch.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "base/check.h"
#include "base/status.h"
#include "engine/testing/local_http.h"
#include "engine/testing/scratch_cluster.h"

namespace pgflow::engine {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(2);
constexpr absl::Duration kPoll = absl::Milliseconds(50);

}  // namespace

absl::StatusOr<std::unique_ptr<ScratchOpenSearch>> ScratchOpenSearch::Make(
    const ScratchOpenSearchOptions& options) {
  std::unique_ptr<ScratchOpenSearch> server(new ScratchOpenSearch(options));
  const char* chosen = std::getenv("PGFLOW_SEARCH_SERVER");
  server->product_ = options.product;
  if (server->product_.empty()) server->product_ = chosen == nullptr ? "opensearch" : chosen;
  PGFLOW_ASSIGN_OR_RETURN(server->archives_, FindServerArchives(server->product_));
  PGFLOW_ASSIGN_OR_RETURN(server->port_, FindFreePort());
  PGFLOW_ASSIGN_OR_RETURN(server->transport_port_, FindFreePort());
  PGFLOW_ASSIGN_OR_RETURN(server->directory_, MakeScratchDirectory("osscratch-", RunAs()));
  std::filesystem::create_directory(server->directory_ + "/config");
  PGFLOW_RETURN_IF_ERROR(server->Start());
  return server;
}

ScratchOpenSearch& ScratchOpenSearch::Shared() {
  static const std::unique_ptr<ScratchOpenSearch> server = [] {
    auto made = Make();
    if (!made.ok()) fmt::print(stderr, "{}\n", base::Message(made.status()));
    PGFLOW_CHECK(made.ok(), "a scratch OpenSearch can be had");
    return *std::move(made);
  }();
  return *server;
}

ScratchOpenSearch::~ScratchOpenSearch() {
  node_.reset();
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

absl::Status ScratchOpenSearch::Start() {
  if (running()) return absl::OkStatus();
  const std::string root = PGFLOW_SOURCE_DIRECTORY;
  const char* program =
      product_ == "elasticsearch" ? "ElasticsearchNode.java" : "OpenSearchNode.java";
  std::vector<std::string> command = {"/usr/bin/java",
                                      "-Xms" + options_.heap,
                                      "-Xmx" + options_.heap,
                                      "-XX:+UseSerialGC",
                                      "-XX:TieredStopAtLevel=1",
                                      "-cp",
                                      archives_ + "/*",
                                      root + "/engine/testing/servers/" + program,
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
  for (const auto& [name, value] : options_.settings) {
    command.push_back(fmt::format("{}={}", name, value));
  }
  PGFLOW_ASSIGN_OR_RETURN(node_, Subprocess::Start({.command = std::move(command),
                                                    .run_as = RunAs(),
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

std::string ScratchOpenSearch::LogTail() const { return TailOfFile(directory_ + "/node.log"); }

absl::StatusOr<std::string> ScratchOpenSearch::Request(const std::string& method,
                                                       const std::string& path,
                                                       const std::string& body) const {
  return LocalHttp(port_, method, path, body);
}

}  // namespace pgflow::engine
