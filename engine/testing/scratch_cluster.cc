#include "engine/testing/scratch_cluster.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>

#include "base/status.h"

namespace pgflow::engine {
namespace {

namespace fs = std::filesystem;

constexpr int kFirstPort = 20000;
constexpr int kLastPort = 32000;

std::optional<int> ParseInt(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct ProcessLine {
  char state = 'X';
  pid_t parent = 0;
};

// "pid (name) state ppid ..." of /proc/pid/stat; the name may hold anything, so from its last ')'.
std::optional<ProcessLine> ReadProcess(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos || name_end + 4 >= line.size()) return std::nullopt;
  ProcessLine process;
  process.state = line[name_end + 2];
  process.parent = std::atoi(line.c_str() + name_end + 4);
  return process;
}

// Made aside and moved into place whole, so that two tests at once cannot see a half one.
absl::Status MakeTemplate(const std::string& bin, const RunAs& run_as, const std::string& place) {
  std::string aside = place + ".new-XXXXXX";
  if (mkdtemp(aside.data()) == nullptr ||
      (run_as.switch_user && chown(aside.c_str(), run_as.uid, run_as.gid) != 0)) {
    return base::MakeStatus(absl::StatusCode::kInternal, "cannot make a directory at {}", aside);
  }
  PGFLOW_RETURN_IF_ERROR(RunProgram({bin + "/initdb", "-D", aside, "-U", "postgres", "-A", "trust",
                                     "-E", "UTF8", "--locale=C", "--no-sync"},
                                    run_as)
                             .status());
  std::error_code error;
  fs::rename(aside, place, error);
  if (error) {
    // Another test was faster.
    std::error_code ignored;
    fs::remove_all(aside, ignored);
    if (!fs::exists(place)) {
      return base::MakeStatus(absl::StatusCode::kInternal,
                              "cannot keep a cluster template at {}: {}", place, error.message());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> FindPostgresBinaries() {
  if (const char* set = std::getenv("PGFLOW_PG_BIN"); set != nullptr && *set != '\0') {
    if (access((std::string(set) + "/postgres").c_str(), X_OK) == 0) return std::string(set);
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "PGFLOW_PG_BIN is {}, but there is no `postgres` in it", set);
  }
  int newest = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/usr/lib/postgresql", error)) {
    const int version = ParseInt(entry.path().filename().string()).value_or(0);
    const fs::path server = entry.path() / "bin" / "postgres";
    if (version > newest && access(server.c_str(), X_OK) == 0) newest = version;
  }
  if (newest > 0) return "/usr/lib/postgresql/" + std::to_string(newest) + "/bin";
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "no Postgres server in /usr/lib/postgresql: install Debian's `postgresql`, "
      "or set PGFLOW_PG_BIN to the directory of its programs");
}

absl::Status CopyTemplateCluster(const std::string& bin, const RunAs& run_as,
                                 const std::string& data_directory) {
  PGFLOW_ASSIGN_OR_RETURN(std::string version, RunProgram({bin + "/postgres", "-V"}, run_as));
  std::erase_if(version, [](unsigned char c) { return std::isalnum(c) == 0 && c != '.'; });
  const std::string place = "/tmp/pgflow-initdb-" + version + "-" + std::to_string(run_as.uid);
  struct stat found {};
  if (lstat(place.c_str(), &found) != 0) {
    PGFLOW_RETURN_IF_ERROR(MakeTemplate(bin, run_as, place));
  } else if (found.st_uid != run_as.uid || !S_ISDIR(found.st_mode)) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "{} belongs to somebody else: remove it", place);
  }
  return RunProgram({"/bin/cp", "-a", place, data_directory}, run_as).status();
}

absl::StatusOr<std::string> FindServerArchives(const std::string& name) {
  const std::string script = std::string(PGFLOW_SOURCE_DIRECTORY) + "/scripts/install-servers";
  PGFLOW_ASSIGN_OR_RETURN(std::string where, RunProgram({script, "--where", name}, RunAs()));
  while (where.ends_with('\n')) where.pop_back();
  where += "/lib";
  if (std::filesystem::exists(where)) return where;
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "no {} at {}: run scripts/install-servers {}", name, where, name);
}

absl::StatusOr<std::string> MakeScratchDirectory(std::string_view prefix, const RunAs& run_as) {
  const char* temporary = std::getenv("TMPDIR");
  std::string directory =
      fmt::format("{}/{}XXXXXX", temporary == nullptr ? "/tmp" : temporary, prefix);
  if (mkdtemp(directory.data()) == nullptr) {
    return base::MakeStatus(absl::StatusCode::kInternal, "make {}: {}", directory,
                            std::strerror(errno));
  }
  if (run_as.switch_user && chown(directory.c_str(), run_as.uid, run_as.gid) != 0) {
    return base::MakeStatus(absl::StatusCode::kInternal, "chown {}: {}", directory,
                            std::strerror(errno));
  }
  return directory;
}

std::string TailOfFile(const std::string& path) {
  constexpr size_t kTailBytes = 4000;
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return text.size() > kTailBytes ? text.substr(text.size() - kTailBytes) : text;
}

absl::StatusOr<int> FindFreePort() {
  std::mt19937 random(std::random_device{}());
  std::uniform_int_distribution<int> ports(kFirstPort, kLastPort);
  for (int attempt = 0; attempt < 200; ++attempt) {
    const int port = ports(random);
    const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool is_free =
        bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    close(descriptor);
    if (is_free) return port;
  }
  return absl::Status(absl::StatusCode::kResourceExhausted, "no free port on 127.0.0.1");
}

std::vector<pid_t> FindProcesses(const std::string& directory, pid_t parent) {
  std::vector<pid_t> found;
  std::error_code error;
  const fs::path wanted = fs::canonical(directory, error);
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    const std::optional<int> pid = ParseInt(entry.path().filename().string());
    if (!pid.has_value() || !ProcessLives(*pid)) continue;
    // The link is unreadable in some containers; the parent is then what there is to go by.
    std::error_code unreadable;
    const fs::path working = fs::read_symlink(entry.path() / "cwd", unreadable);
    const std::optional<ProcessLine> process = ReadProcess(*pid);
    const bool related =
        parent > 0 && (*pid == parent || (process.has_value() && process->parent == parent));
    if (related || (!unreadable && working == wanted)) found.push_back(*pid);
  }
  return found;
}

bool ProcessLives(pid_t pid) {
  const std::optional<ProcessLine> process = ReadProcess(pid);
  return process.has_value() && process->state != 'Z' && process->state != 'X';
}

}  // namespace pgflow::engine
