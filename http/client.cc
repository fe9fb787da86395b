#include "http/client.h"

#include <curl/curl.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <optional>
#include <utility>
#include <vector>

#include <absl/time/clock.h>

#include "base/check.h"
#include "base/status.h"
#include "http/curl_library.h"
#include "http/transfer.h"

namespace pgflow::http {
namespace {

constexpr absl::Duration kLongestPoll = absl::Seconds(1);

// OpenSSL writes to sockets that may be closed. Only this thread's mask is touched, because the
// process's disposition belongs to main.
class SigpipeBlock {
 public:
  SigpipeBlock() {
    sigemptyset(&pipe_signal_);
    sigaddset(&pipe_signal_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_signal_, &before_);
  }
  ~SigpipeBlock() {
    const timespec no_wait{};
    if (!was_pending_) sigtimedwait(&pipe_signal_, nullptr, &no_wait);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeBlock(const SigpipeBlock&) = delete;
  SigpipeBlock& operator=(const SigpipeBlock&) = delete;

 private:
  sigset_t pipe_signal_;
  sigset_t before_;
  bool was_pending_ = false;
};

}  // namespace

class Client::Multi {
 public:
  explicit Multi(Options options) : options_(std::move(options)), multi_(curl_multi_init()) {
    PGFLOW_CHECK(multi_ != nullptr, "memory for a curl multi handle");
    const auto connections = static_cast<long>(std::max<size_t>(1, options_.connections_max));
    curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
    curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, connections);
  }
  ~Multi() {
    const SigpipeBlock block;
    Cancel();
    idle_.clear();
    curl_multi_cleanup(multi_);
  }
  Multi(const Multi&) = delete;
  Multi& operator=(const Multi&) = delete;

  void Start(Request request, Done done) {
    const SigpipeBlock block;
    std::unique_ptr<Transfer> transfer = TakeTransfer();
    absl::Status status = transfer == nullptr ? absl::ResourceExhaustedError("out of memory")
                                              : transfer->Begin(std::move(request), done);
    if (status.ok() && curl_multi_add_handle(multi_, transfer->handle()) != CURLM_OK) {
      status = absl::ResourceExhaustedError("out of memory");
    }
    if (!status.ok()) {
      failed_.emplace_back(std::move(done), std::move(status));
      if (transfer != nullptr) idle_.push_back(std::move(transfer));
      return;
    }
    active_.push_back(std::move(transfer));
  }

  absl::Status Run(absl::Time until, const std::stop_token& stop) {
    const SigpipeBlock block;
    const std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi_); });
    while (true) {
      if (stop.stop_requested()) {
        Cancel();
        return absl::CancelledError("stopped");
      }
      int running = 0;
      const CURLMcode code = curl_multi_perform(multi_, &running);
      if (code != CURLM_OK) {
        Cancel();
        return base::MakeStatus(absl::StatusCode::kInternal, "curl: {}", curl_multi_strerror(code));
      }
      if (Deliver() || in_flight() == 0) return absl::OkStatus();
      const absl::Duration left = std::min(until - absl::Now(), kLongestPoll);
      if (left <= absl::ZeroDuration()) return absl::OkStatus();
      const auto millis = static_cast<int>(absl::ToInt64Milliseconds(left) + 1);
      curl_multi_poll(multi_, nullptr, 0, millis, nullptr);
    }
  }

  size_t in_flight() const { return active_.size() + failed_.size(); }

  void Cancel() {
    for (std::unique_ptr<Transfer>& transfer : active_) {
      curl_multi_remove_handle(multi_, transfer->handle());
    }
    active_.clear();
    failed_.clear();
  }

 private:
  struct Result {
    Done done;
    absl::StatusOr<Response> response;
  };

  std::unique_ptr<Transfer> TakeTransfer() {
    if (idle_.empty()) return Transfer::Make(options_);
    std::unique_ptr<Transfer> transfer = std::move(idle_.back());
    idle_.pop_back();
    return transfer;
  }

  // Calls `done` of what is done; false when nothing is.
  bool Deliver() {
    std::vector<Result> results;
    results.reserve(failed_.size());
    for (auto& [done, status] : failed_) results.push_back({std::move(done), std::move(status)});
    failed_.clear();
    int queued = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &queued)) {
      if (message->msg == CURLMSG_DONE) {
        results.push_back(Finish(message->easy_handle, message->data.result));
      }
    }
    // Last, because they may start requests, or cancel them.
    for (Result& result : results) result.done(std::move(result.response));
    return !results.empty();
  }

  Result Finish(CURL* handle, CURLcode code) {
    const auto found = std::ranges::find(active_, handle, &Transfer::handle);
    PGFLOW_CHECK(found != active_.end(), "curl ends transfers that were started");
    std::unique_ptr<Transfer> transfer = std::move(*found);
    *found = std::move(active_.back());
    active_.pop_back();
    Result result{transfer->TakeDone(), transfer->Finish(code)};
    curl_multi_remove_handle(multi_, handle);
    idle_.push_back(std::move(transfer));
    return result;
  }

  const Options options_;
  CURLM* const multi_;
  std::vector<std::unique_ptr<Transfer>> active_;
  std::vector<std::unique_ptr<Transfer>> idle_;
  std::vector<std::pair<Done, absl::Status>> failed_;  // Before they began; not yet delivered.
};

Client::Client(std::unique_ptr<Multi> multi) : multi_(std::move(multi)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Make(Options options) {
  PGFLOW_RETURN_IF_ERROR(Validate(options.connection));
  StartCurlLibrary();
  return std::unique_ptr<Client>(new Client(std::make_unique<Multi>(std::move(options))));
}

absl::StatusOr<Response> Client::Send(Request request, std::stop_token stop) {
  std::optional<absl::StatusOr<Response>> result;
  multi_->Start(std::move(request), [&result](absl::StatusOr<Response> response) {
    result.emplace(std::move(response));
  });
  while (!result.has_value()) {
    PGFLOW_RETURN_IF_ERROR(multi_->Run(absl::InfiniteFuture(), stop));
  }
  return *std::move(result);
}

void Client::Start(Request request, Done done) {
  multi_->Start(std::move(request), std::move(done));
}

absl::Status Client::Run(absl::Time until, std::stop_token stop) {
  return multi_->Run(until, stop);
}

size_t Client::in_flight() const { return multi_->in_flight(); }

void Client::Cancel() { multi_->Cancel(); }

}  // namespace pgflow::http
