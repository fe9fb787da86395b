#include "tests/integration/pgflow_process.h"

#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include "base/check.h"

namespace pgflow::tests {
namespace {

std::string ProgramPath() {
  const char* set = std::getenv("PGFLOW_PROGRAM");
  return set != nullptr && *set != '\0' ? set : PGFLOW_PROGRAM_PATH;
}

// A program with a sanitizer on a machine that is busy takes a while to reach its first line.
constexpr absl::Duration kListensAfter = absl::Seconds(10);

// Whether the main thread of process `pid` blocks `signal`, as proc(5) has it.
bool Blocks(pid_t pid, int signal) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; file >> word;) {
    uint64_t blocked = 0;
    if (word == "SigBlk:" && file >> std::hex >> blocked) {
      return (blocked >> static_cast<unsigned>(signal - 1) & 1U) != 0;
    }
  }
  return false;
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  const char* temporary = std::getenv("TMPDIR");
  path_ = std::string(temporary == nullptr ? "/tmp" : temporary) + "/pgflow-test-XXXXXX";
  PGFLOW_CHECK(mkdtemp(path_.data()) != nullptr, "the temporary directory takes new ones");
}

TemporaryDirectory::~TemporaryDirectory() {
  if (std::getenv("PGFLOW_TEST_KEEP") != nullptr) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteFile(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

size_t CountOf(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

bool Eventually(const std::function<bool()>& condition, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    if (condition()) return true;
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(20));
  }
}

std::unique_ptr<PgflowProcess> PgflowProcess::Start(Options options) {
  std::vector<std::string> command;
  if (options.file_bytes_max > 0) {
    // Without the signal a write beyond the limit is an error, as on a full disk.
    command = {"/bin/sh",
               "-c",
               "trap '' XFSZ; exec \"$@\"",
               "sh",
               "/usr/bin/prlimit",
               "--fsize=" + std::to_string(options.file_bytes_max)};
  }
  command.push_back(ProgramPath());
  command.insert(command.end(), options.arguments.begin(), options.arguments.end());
  std::error_code missing;
  const uintmax_t size = std::filesystem::file_size(options.output_file, missing);
  absl::StatusOr<std::unique_ptr<engine::Subprocess>> process = engine::Subprocess::Start(
      {.command = std::move(command), .run_as = {}, .output_file = options.output_file});
  EXPECT_TRUE(process.ok()) << process.status();
  if (!process.ok()) abort();
  return std::unique_ptr<PgflowProcess>(new PgflowProcess(*std::move(process), std::move(options),
                                                          missing ? 0 : static_cast<size_t>(size)));
}

void PgflowProcess::Signal(int signal) {
  if (signal == SIGINT || signal == SIGTERM) {
    // Not every command takes signals, and one that has ended takes none.
    Eventually([&] { return !running() || Blocks(pid(), signal); }, kListensAfter);
  }
  process_->Signal(signal);
}

void PgflowProcess::Kill9() {
  process_->Signal(SIGKILL);
  process_->Wait(kPatience);
}

int PgflowProcess::WaitForExit(absl::Duration timeout) {
  const std::optional<int> status = process_->Wait(timeout);
  if (!status.has_value()) return -1;
  return WIFSIGNALED(*status) ? 128 + WTERMSIG(*status) : WEXITSTATUS(*status);
}

std::string PgflowProcess::Output() const {
  std::string all = ReadFile(options_.output_file);
  return all.size() < output_start_ ? all : all.substr(output_start_);
}

bool PgflowProcess::Printed(std::string_view text) const {
  return Output().find(text) != std::string::npos;
}

bool PgflowProcess::WaitForOutput(std::string_view text, absl::Duration timeout) {
  return Eventually([&] { return Printed(text) || !running(); }, timeout) && Printed(text);
}

uint64_t PgflowProcess::ResidentBytes() {
  if (!running()) return 0;
  std::ifstream file("/proc/" + std::to_string(pid()) + "/status");
  for (std::string word; file >> word;) {
    uint64_t kib = 0;
    if (word == "VmRSS:" && file >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace pgflow::tests
