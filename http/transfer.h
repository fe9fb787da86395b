// Transfer: one request after the other on one curl handle; for this room only.
//
// Owned by a Client; one thread. Must not move: curl keeps its address.
#pragma once

#include <curl/curl.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "http/client.h"

namespace pgflow::http {

class Transfer {
 public:
  // Null when there is no memory for it. `options` must outlive it.
  static std::unique_ptr<Transfer> Make(const Client::Options& options);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Prepares the handle, which must be in no multi.
  absl::Status Begin(Request request, Client::Done done);
  // What became of it; afterwards the handle can begin again.
  absl::StatusOr<Response> Finish(CURLcode code);

  CURL* handle() { return handle_.get(); }
  Client::Done TakeDone() { return std::move(done_); }

 private:
  struct FreeHandle {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };

  Transfer(const Client::Options& options, CURL* handle);
  void SetConnection();
  void SetTls();
  void SetAuth();
  void SetMethod();
  bool AddHeader(std::string_view name, std::string_view value);
  absl::Status SetHeaders();
  bool IsConnected() const;
  absl::Status ErrorOf(CURLcode code) const;
  std::string Name() const;

  static size_t OnHeader(const char* bytes, size_t size, size_t count, void* self);
  static size_t OnBody(const char* bytes, size_t size, size_t count, void* self);
  static curl_socket_t OnOpenSocket(void* self, curlsocktype purpose, curl_sockaddr* address);

  const Client::Options& options_;
  const std::unique_ptr<CURL, FreeHandle> handle_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  std::unique_ptr<curl_slist, FreeList> header_list_;
  Request request_;
  Client::Done done_;
  Response response_;
  size_t head_bytes_ = 0;
  std::string refused_address_;  // By the policy; empty: none was.
  bool socket_opened_ = false;
};

}  // namespace pgflow::http
