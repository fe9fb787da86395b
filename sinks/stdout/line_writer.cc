#include "sinks/stdout/line_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

// What a pipe or terminal that poll() calls writable takes without blocking (POSIX: PIPE_BUF).
constexpr size_t kPieceBytes = 4096;
constexpr int kPollMillis = 100;

bool IsRegular(int descriptor) {
  struct stat status {};
  return fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

// write() without the signal that a closed pipe sends: only this thread's mask is touched, because
// the process's disposition belongs to main.
ssize_t WriteWithoutSignal(int descriptor, std::string_view bytes) {
  sigset_t pipe_signal;
  sigset_t before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const ssize_t written = write(descriptor, bytes.data(), bytes.size());
  const int error_number = errno;
  if (written < 0 && error_number == EPIPE && sigismember(&before, SIGPIPE) == 0) {
    const timespec no_wait{};
    sigtimedwait(&pipe_signal, nullptr, &no_wait);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error_number;
  return written;
}

}  // namespace

LineWriter::LineWriter(int descriptor, std::string name, bool owned)
    : descriptor_(descriptor),
      name_(std::move(name)),
      owned_(owned),
      regular_(IsRegular(descriptor)) {}

LineWriter::~LineWriter() {
  if (owned_) close(descriptor_);
}

std::unique_ptr<LineWriter> LineWriter::ForDescriptor(int descriptor, std::string name) {
  return std::unique_ptr<LineWriter>(new LineWriter(descriptor, std::move(name), false));
}

absl::StatusOr<std::unique_ptr<LineWriter>> LineWriter::OpenFile(const std::string& path) {
  // Without blocking: a named pipe that nobody reads must not hang us.
  const int descriptor =
      open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
  if (descriptor < 0) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "file {}: cannot be opened for writing: {}", path, strerror(errno));
  }
  std::unique_ptr<LineWriter> writer(new LineWriter(descriptor, "file " + path, true));
  if (writer->regular_) PGFLOW_RETURN_IF_ERROR(writer->CutUnfinishedLine());
  return writer;
}

// The event of a cut line was not acknowledged, so it comes again.
absl::Status LineWriter::CutUnfinishedLine() const {
  off_t end = lseek(descriptor_, 0, SEEK_END);
  const off_t size = end;
  std::array<char, kPieceBytes> piece;
  while (end > 0) {
    const off_t start = end > off_t{kPieceBytes} ? end - off_t{kPieceBytes} : 0;
    const ssize_t count = pread(descriptor_, piece.data(), static_cast<size_t>(end - start), start);
    if (count <= 0) return ErrorOf(errno);
    const auto* newline =
        static_cast<const char*>(memrchr(piece.data(), '\n', static_cast<size_t>(count)));
    if (newline != nullptr) {
      end = start + (newline - piece.data()) + 1;
      break;
    }
    end = start;
  }
  if (end == size) return absl::OkStatus();
  return ftruncate(descriptor_, end) == 0 ? absl::OkStatus() : ErrorOf(errno);
}

absl::Status LineWriter::ErrorOf(int error_number) const {
  switch (error_number) {
    case EPIPE:
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                              "{}: the program that reads it has closed the pipe; nothing that it "
                              "missed is lost, a new run goes on from the last checkpoint",
                              name_);
    case ENOSPC:
    case EDQUOT:
      return base::MakeStatus(absl::StatusCode::kResourceExhausted, "{}: no space left", name_);
    default:
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "{}: {}", name_,
                              strerror(error_number));
  }
}

absl::Status LineWriter::WaitWritable(std::stop_token stop) const {
  pollfd polled{.fd = descriptor_, .events = POLLOUT, .revents = 0};
  while (!stop.stop_requested()) {
    const int ready = poll(&polled, 1, kPollMillis);
    if (ready > 0) return absl::OkStatus();  // An error shows at the write.
    if (ready < 0 && errno != EINTR) return ErrorOf(errno);
  }
  return base::MakeStatus(absl::StatusCode::kCancelled, "{}: stopped while its reader was slow",
                          name_);
}

absl::Status LineWriter::Write(std::string_view lines, std::stop_token stop) {
  base::MutexLock lock(&mutex_);
  if (!lines.empty()) synced_ = false;
  while (!lines.empty()) {
    std::string_view piece = lines;
    if (!regular_) {
      PGFLOW_RETURN_IF_ERROR(WaitWritable(stop));
      piece = lines.substr(0, kPieceBytes);
    }
    const ssize_t written = WriteWithoutSignal(descriptor_, piece);
    if (written < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return ErrorOf(errno);
    }
    lines.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status LineWriter::Sync() {
  base::MutexLock lock(&mutex_);
  if (synced_ || !regular_) return absl::OkStatus();
  if (fdatasync(descriptor_) != 0) return ErrorOf(errno);
  synced_ = true;
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
