#include "engine/runtime/dead_letter_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "engine/runtime/dead_letter.h"

namespace pgflow::engine {
namespace {

using Json = nlohmann::json;

// How every letter begins: its members are sorted.
constexpr char kBegin[] = "{\"after\":";

absl::Status CannotWrite(const std::string& path, int error) {
  const auto code = error == ENOSPC || error == EDQUOT || error == EFBIG
                        ? absl::StatusCode::kResourceExhausted
                        : absl::StatusCode::kFailedPrecondition;
  return base::MakeStatus(code, "dead letter {}: cannot write: {}", path, std::strerror(error));
}

// Only its user may read rows.
absl::Status WriteAll(const std::string& path, int flags, const std::string& text) {
  const int file = ::open(path.c_str(), flags | O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return CannotWrite(path, errno);
  size_t done = 0;
  int error = 0;
  while (done < text.size() && error == 0) {
    const ssize_t written = ::write(file, text.data() + done, text.size() - done);
    if (written >= 0) {
      done += static_cast<size_t>(written);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0 && ::fsync(file) != 0) error = errno;
  ::close(file);
  return error == 0 ? absl::OkStatus() : CannotWrite(path, error);
}

bool EndsInALine(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in || in.tellg() == std::streampos(0)) return true;
  in.seekg(-1, std::ios::end);
  return in.get() == '\n';
}

absl::Status SyncDirectoryOf(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const std::string directory = parent.empty() ? "." : parent.string();
  const int file = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return CannotWrite(directory, errno);
  const int error = ::fsync(file) == 0 ? 0 : errno;
  ::close(file);
  return error == 0 ? absl::OkStatus() : CannotWrite(directory, error);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadLetterFile(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    if (errno == ENOENT) return lines;
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "dead letter {}: {}; choose a file that can be read and written", path,
                            std::strerror(errno));
  }
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> SplitLetters(const std::string& line, std::vector<std::string>& damaged) {
  if (!SinkOfLetter(line).empty() && DecodeDeadLetter(line).ok()) return {line};
  for (size_t at = line.find(kBegin, 1); at != std::string::npos; at = line.find(kBegin, at + 1)) {
    const std::string rest = line.substr(at);
    if (SinkOfLetter(rest).empty() || !DecodeDeadLetter(rest).ok()) continue;
    damaged.push_back(line.substr(0, at));
    return {rest};
  }
  damaged.push_back(line);
  return {};
}

absl::Status AppendLetters(const std::string& path, const std::vector<std::string>& lines) {
  if (lines.empty()) return absl::OkStatus();
  std::string text = EndsInALine(path) ? "" : "\n";
  for (const std::string& line : lines) text += line + "\n";
  return WriteAll(path, O_APPEND, text);
}

absl::Status ReplaceLetterFile(const std::string& path, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  const std::string next = path + ".next";
  PGFLOW_RETURN_IF_ERROR(WriteAll(next, O_TRUNC, text));
  if (std::rename(next.c_str(), path.c_str()) != 0) return CannotWrite(path, errno);
  return SyncDirectoryOf(path);
}

std::string SinkOfLetter(const std::string& line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  const bool known = json.is_object() && json.contains("sink") && json["sink"].is_string();
  return known ? json["sink"].get<std::string>() : std::string();
}

}  // namespace pgflow::engine
