#include "sinks/stdout/rotating_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "base/log.h"
#include "base/status.h"
#include "http/gzip.h"

namespace pgflow::sinks {
namespace {

constexpr std::string_view kCompressed = ".gz";
constexpr std::string_view kPart = ".gz.part";
// Compressed at a time: one member of the gzip file.
constexpr size_t kMemberBytes = 4 << 20;

struct NumberedFile {
  uint64_t number = 0;
  std::string path;
  bool compressed = false;
};

std::filesystem::path DirectoryOf(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent;
}

absl::Status ErrorOf(const std::string& path, std::string_view what, int error_number) {
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  return base::MakeStatus(
      full ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kFailedPrecondition,
      "file {}: {}: {}", path, what, strerror(error_number));
}

// The files with a number that belong to `path`, the oldest first.
std::vector<NumberedFile> NumberedFiles(const std::string& path) {
  std::vector<NumberedFile> files;
  std::error_code ignored;
  const std::string start = std::filesystem::path(path).filename().string() + ".";
  for (const auto& entry : std::filesystem::directory_iterator(DirectoryOf(path), ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(start)) continue;
    NumberedFile file{0, entry.path().string(), false};
    const char* end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + start.size(), end, file.number);
    if (error != std::errc() || rest == name.data() + start.size()) continue;
    const std::string_view suffix(rest, static_cast<size_t>(end - rest));
    // A crash left it when it compressed; nobody does while this looks.
    if (suffix == kPart) unlink(file.path.c_str());
    if (!suffix.empty() && suffix != kCompressed) continue;
    file.compressed = suffix == kCompressed;
    files.push_back(std::move(file));
  }
  std::ranges::sort(
      files, {}, [](const NumberedFile& file) { return std::pair(file.number, !file.compressed); });
  return files;
}

absl::Status SyncPath(const std::string& path, int flags) {
  const int descriptor = open(path.c_str(), flags | O_CLOEXEC);
  if (descriptor < 0) return ErrorOf(path, "cannot be opened", errno);
  const int outcome = fsync(descriptor);
  const int error_number = errno;
  close(descriptor);
  return outcome == 0 ? absl::OkStatus() : ErrorOf(path, "cannot be synced", error_number);
}

// When the file was made, where the file system knows; else now.
absl::Time BirthOf(const std::string& path) {
  struct statx status {};
  const bool known = statx(AT_FDCWD, path.c_str(), 0, STATX_BTIME, &status) == 0 &&
                     (status.stx_mask & STATX_BTIME) != 0;
  return known ? absl::FromUnixSeconds(status.stx_btime.tv_sec) : absl::Now();
}

// The plain file goes when the compressed one is durable: a crash leaves one of the two, or both
// with the same lines, of which the plain one goes then.
absl::Status Compress(const std::string& path, const std::stop_token& stop) {
  const std::string part = path + std::string(kPart);
  {
    std::ifstream from(path, std::ios::binary);
    std::ofstream to(part, std::ios::binary | std::ios::trunc);
    std::string bytes(kMemberBytes, '\0');
    while (from.good() && !stop.stop_requested()) {
      from.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      const auto count = static_cast<size_t>(from.gcount());
      if (count == 0) break;
      PGFLOW_ASSIGN_OR_RETURN(const std::string member,
                              http::Gzip(std::string_view(bytes.data(), count)));
      to.write(member.data(), static_cast<std::streamsize>(member.size()));
    }
    to.flush();
    if (stop.stop_requested()) {
      unlink(part.c_str());
      return absl::CancelledError("stopped");
    }
    if (from.bad() || !to.good()) return ErrorOf(part, "cannot be written", errno);
  }
  PGFLOW_RETURN_IF_ERROR(SyncPath(part, O_RDWR));
  const std::string compressed = path + std::string(kCompressed);
  if (rename(part.c_str(), compressed.c_str()) != 0) {
    return ErrorOf(part, "cannot be renamed", errno);
  }
  PGFLOW_RETURN_IF_ERROR(SyncPath(DirectoryOf(path), O_RDONLY | O_DIRECTORY));
  if (unlink(path.c_str()) != 0) return ErrorOf(path, "cannot be removed", errno);
  return absl::OkStatus();
}

void CompressAll(const std::vector<std::string>& paths, const std::stop_token& stop) {
  for (const std::string& path : paths) {
    const absl::Status status = Compress(path, stop);
    if (stop.stop_requested()) return;
    // It stays as it is, and is tried again after the next one.
    if (!status.ok()) base::LogWarning("{}; it stays uncompressed", base::Message(status));
  }
}

}  // namespace

std::unique_ptr<RotatingWriter> RotatingWriter::ForDescriptor(int descriptor, std::string name) {
  return std::unique_ptr<RotatingWriter>(
      new RotatingWriter("", {}, LineWriter::ForDescriptor(descriptor, std::move(name))));
}

absl::StatusOr<std::unique_ptr<RotatingWriter>> RotatingWriter::OpenFile(
    const std::string& path, const RotationOptions& options) {
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<LineWriter> file, LineWriter::OpenFile(path));
  std::unique_ptr<RotatingWriter> writer(new RotatingWriter(path, options, std::move(file)));
  if (!options.rotates()) return writer;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "file {}: it is no ordinary file, so it cannot be rotated", path);
  }
  base::MutexLock lock(&writer->mutex_);
  writer->size_ = std::filesystem::file_size(path, error);
  writer->born_ = BirthOf(path);
  writer->Tidy();
  return writer;
}

bool RotatingWriter::IsDue(size_t more) const {
  if (torn_ || size_ == 0) return false;
  if (options_.size_max.has_value() && more > 0 && size_ + more > *options_.size_max) return true;
  return options_.age_max.has_value() && absl::Now() - born_ >= *options_.age_max;
}

absl::Status RotatingWriter::Rotate() {
  // Before it gets its name: a file with a number is durable.
  PGFLOW_RETURN_IF_ERROR(writer_->Sync());
  if (compressor_.joinable()) compressor_.join();
  const std::vector<NumberedFile> files = NumberedFiles(path_);
  const uint64_t number = files.empty() ? 1 : files.back().number + 1;
  const std::string aside = fmt::format("{}.{:06}", path_, number);
  if (rename(path_.c_str(), aside.c_str()) != 0) {
    return ErrorOf(path_, fmt::format("cannot be renamed to {}", aside), errno);
  }
  PGFLOW_ASSIGN_OR_RETURN(writer_, LineWriter::OpenFile(path_));
  PGFLOW_RETURN_IF_ERROR(SyncPath(DirectoryOf(path_), O_RDONLY | O_DIRECTORY));
  size_ = 0;
  born_ = absl::Now();
  Tidy();
  return absl::OkStatus();
}

void RotatingWriter::Tidy() {
  // Two must not work at one file; one is compressed in seconds.
  if (compressor_.joinable()) compressor_.join();
  std::vector<NumberedFile> files = NumberedFiles(path_);
  // Both forms: it was stopped between the two renames.
  for (size_t i = 1; i < files.size(); ++i) {
    if (files[i].number == files[i - 1].number) unlink(files[i].path.c_str());
  }
  files = NumberedFiles(path_);
  std::vector<std::string> plain;
  for (size_t i = 0; i < files.size(); ++i) {
    const NumberedFile& file = files[i];
    if (options_.keep > 0 && files.size() - i > options_.keep) {
      unlink(file.path.c_str());
    } else if (!file.compressed) {
      plain.push_back(file.path);
    }
  }
  if (!options_.compress || plain.empty()) return;
  compressor_ = std::jthread([plain](const std::stop_token& stop) { CompressAll(plain, stop); });
}

absl::Status RotatingWriter::Write(std::string_view lines, std::stop_token stop) {
  base::MutexLock lock(&mutex_);
  if (options_.rotates() && IsDue(0)) PGFLOW_RETURN_IF_ERROR(Rotate());
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    const std::string_view first = end == lines.npos ? lines : lines.substr(0, end + 1);
    if (IsDue(first.size())) PGFLOW_RETURN_IF_ERROR(Rotate());
    const std::string_view piece = lines.substr(0, std::max(first.size(), FittingSize(lines)));
    const absl::Status status = writer_->Write(piece, stop);
    torn_ = torn_ || !status.ok();
    PGFLOW_RETURN_IF_ERROR(status);
    size_ += piece.size();
    lines.remove_prefix(piece.size());
  }
  return absl::OkStatus();
}

size_t RotatingWriter::FittingSize(std::string_view lines) const {
  if (!options_.size_max.has_value() || torn_) return lines.size();
  const uint64_t room = *options_.size_max - std::min(size_, *options_.size_max);
  if (lines.size() <= room) return lines.size();
  return lines.substr(0, room).rfind('\n') + 1;  // 0 when there is none.
}

absl::Status RotatingWriter::Sync() {
  base::MutexLock lock(&mutex_);
  return writer_->Sync();
}

}  // namespace pgflow::sinks
