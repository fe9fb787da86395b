#include "http/transfer.h"

#include <sys/socket.h>

#include <algorithm>

#include "base/status.h"
#include "http/gzip.h"
#include "http/url.h"

namespace pgflow::http {
namespace {

constexpr size_t kHeadBytesMax = 64 << 10;

long Millis(absl::Duration duration) {
  return static_cast<long>(std::max<int64_t>(1, absl::ToInt64Milliseconds(duration)));
}

void SetText(CURL* handle, CURLoption option, const std::string& text) {
  curl_easy_setopt(handle, option, text.empty() ? nullptr : text.c_str());
}

bool HasBody(const Request& request) {
  return !request.body.empty() || request.method == "POST" || request.method == "PUT" ||
         request.method == "PATCH";
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

std::unique_ptr<Transfer> Transfer::Make(const Client::Options& options) {
  CURL* handle = curl_easy_init();
  if (handle == nullptr) return nullptr;
  return std::unique_ptr<Transfer>(new Transfer(options, handle));
}

Transfer::Transfer(const Client::Options& options, CURL* handle)
    : options_(options), handle_(handle) {
  SetConnection();
  SetTls();
  SetAuth();
}

void Transfer::SetConnection() {
  const ConnectionConfig& connection = options_.connection;
  CURL* handle = handle_.get();
  curl_easy_setopt(handle, CURLOPT_PRIVATE, this);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error_text_.data());
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  // A cancelled request does not wait for a resolver that hangs.
  curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_2TLS});
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "pgflow/" PGFLOW_VERSION);
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, Millis(connection.connect_timeout));
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, Millis(connection.request_timeout));
  // An empty text, unlike none, keeps curl from reading the environment.
  curl_easy_setopt(handle, CURLOPT_PROXY, connection.proxy.value().c_str());
  curl_easy_setopt(handle, CURLOPT_NOPROXY, "");
  curl_easy_setopt(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &Transfer::OnHeader);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &Transfer::OnBody);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, &Transfer::OnOpenSocket);
  curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, this);
}

void Transfer::SetTls() {
  const TlsConfig& tls = options_.connection.tls;
  CURL* handle = handle_.get();
  curl_easy_setopt(handle, CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  if (!tls.ca_file.empty()) {
    curl_easy_setopt(handle, CURLOPT_CAINFO, tls.ca_file.c_str());
    curl_easy_setopt(handle, CURLOPT_CAPATH, nullptr);  // These authorities and no others.
  }
  SetText(handle, CURLOPT_SSLCERT, tls.certificate_file);
  SetText(handle, CURLOPT_SSLKEY, tls.key_file.empty() ? tls.certificate_file : tls.key_file);
  SetText(handle, CURLOPT_KEYPASSWD, tls.key_password.value());
}

void Transfer::SetAuth() {
  const AuthConfig& auth = options_.connection.auth;
  CURL* handle = handle_.get();
  if (!auth.username.empty()) {
    curl_easy_setopt(handle, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(handle, CURLOPT_USERNAME, auth.username.c_str());
    curl_easy_setopt(handle, CURLOPT_PASSWORD, auth.password.value().c_str());
  }
  if (auth.aws.has_value()) {
    const std::string provider = "aws:amz:" + auth.aws->region + ":" + auth.aws->service;
    curl_easy_setopt(handle, CURLOPT_AWS_SIGV4, provider.c_str());
    curl_easy_setopt(handle, CURLOPT_USERNAME, auth.aws->access_key_id.value().c_str());
    curl_easy_setopt(handle, CURLOPT_PASSWORD, auth.aws->secret_access_key.value().c_str());
  }
}

absl::Status Transfer::Begin(Request request, Client::Done done) {
  request_ = std::move(request);
  done_ = std::move(done);
  response_ = {};
  head_bytes_ = 0;
  refused_address_.clear();
  socket_opened_ = false;
  error_text_[0] = '\0';
  if (request_.compression == Request::Compression::kGzip && !request_.body.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(request_.body, Gzip(request_.body));
    request_.headers.emplace_back("Content-Encoding", "gzip");
  }
  PGFLOW_RETURN_IF_ERROR(SetHeaders());
  if (!std::ranges::all_of(request_.url, [](char c) { return c > ' ' && c != 0x7F; }) ||
      curl_easy_setopt(handle(), CURLOPT_URL, request_.url.c_str()) != CURLE_OK) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "{}: a malformed URL", Name());
  }
  // Many requests to one server share a connection where it speaks HTTP/2.
  curl_easy_setopt(handle(), CURLOPT_PIPEWAIT, request_.url.starts_with("https:") ? 1L : 0L);
  SetMethod();
  return absl::OkStatus();
}

void Transfer::SetMethod() {
  const std::string& method = request_.method;
  const char* const custom = method.c_str();
  if (HasBody(request_)) {
    curl_easy_setopt(handle(), CURLOPT_POST, 1L);
    curl_easy_setopt(handle(), CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request_.body.size()));
    curl_easy_setopt(handle(), CURLOPT_POSTFIELDS, request_.body.data());
    curl_easy_setopt(handle(), CURLOPT_CUSTOMREQUEST, method == "POST" ? nullptr : custom);
    return;
  }
  curl_easy_setopt(handle(), CURLOPT_POSTFIELDS, nullptr);
  curl_easy_setopt(handle(), CURLOPT_HTTPGET, 1L);
  if (method == "HEAD") curl_easy_setopt(handle(), CURLOPT_NOBODY, 1L);
  const bool own_word = method == "GET" || method == "HEAD";
  curl_easy_setopt(handle(), CURLOPT_CUSTOMREQUEST, own_word ? nullptr : custom);
}

bool Transfer::AddHeader(std::string_view name, std::string_view value) {
  if (!IsHeader(name, value)) return false;
  // "Name;" is how curl is told to send a header without a value.
  const std::string line =
      value.empty() ? fmt::format("{};", name) : fmt::format("{}: {}", name, value);
  curl_slist* longer = curl_slist_append(header_list_.get(), line.c_str());
  if (longer == nullptr) return false;
  static_cast<void>(header_list_.release());
  header_list_.reset(longer);
  return true;
}

absl::Status Transfer::SetHeaders() {
  header_list_.reset(curl_slist_append(nullptr, "Expect:"));  // Costs a round trip, or a second.
  bool good = header_list_ != nullptr;
  std::string_view bad;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (good && !AddHeader(name, value)) {
      good = false;
      bad = name;
    }
  };
  const ConnectionConfig& connection = options_.connection;
  for (const auto& [name, value] : request_.headers) add(name, value);
  for (const auto& [name, value] : connection.headers) {
    if (FindHeader(request_.headers, name).empty()) add(name, value);
  }
  if (!connection.auth.bearer_token.empty()) {
    add("Authorization", "Bearer " + connection.auth.bearer_token.value());
  }
  if (connection.auth.aws.has_value() && !connection.auth.aws->session_token.empty()) {
    add("X-Amz-Security-Token", connection.auth.aws->session_token.value());
  }
  if (HasBody(request_) && FindHeader(request_.headers, "Content-Type").empty() &&
      !connection.headers.contains("Content-Type")) {
    add("Content-Type", "application/octet-stream");
  }
  if (!good) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "{}: the header '{}' cannot be sent: not a name, or a line break in "
                            "its value",
                            Name(), bad);
  }
  curl_easy_setopt(handle(), CURLOPT_HTTPHEADER, header_list_.get());
  return absl::OkStatus();
}

absl::StatusOr<Response> Transfer::Finish(CURLcode code) {
  if (code != CURLE_OK && !response_.body_cut) return ErrorOf(code);
  long status = 0;
  curl_easy_getinfo(handle(), CURLINFO_RESPONSE_CODE, &status);
  response_.status = static_cast<int>(status);
  request_ = {};
  return std::move(response_);
}

// This transfer, to an opened connection or one that was there.
bool Transfer::IsConnected() const {
  long port = 0;
  curl_easy_getinfo(handle_.get(), CURLINFO_PRIMARY_PORT, &port);
  return port != 0;
}

absl::Status Transfer::ErrorOf(CURLcode code) const {
  if (!refused_address_.empty() && !socket_opened_) {
    return base::MakeStatus(absl::StatusCode::kPermissionDenied,
                            "{}: {} is a private address, which is refused unless it is allowed",
                            Name(), refused_address_);
  }
  if (head_bytes_ > kHeadBytesMax) {
    return base::MakeStatus(absl::StatusCode::kUnavailable,
                            "{}: the head of the answer is longer than {} bytes", Name(),
                            kHeadBytesMax);
  }
  auto error = absl::StatusCode::kUnavailable;
  std::string_view remedy;
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      error = absl::StatusCode::kDeadlineExceeded;
      break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      error = absl::StatusCode::kUnauthenticated;
      remedy = "; does connection.tls.ca_file have the authority of the server's certificate?";
      break;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
      error = absl::StatusCode::kFailedPrecondition;
      remedy = "; check the files under connection.tls";
      break;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      // What is no HTTP at all also counts as a protocol that is not supported.
      if (!IsConnected()) error = absl::StatusCode::kFailedPrecondition;
      break;
    default:
      break;
  }
  // Of a proxy that it cannot use curl repeats the whole URL, user and password too.
  const bool of_proxy = !options_.connection.proxy.empty() && !IsConnected();
  if (of_proxy) remedy = "; check connection.proxy";
  const bool explained = error_text_[0] != '\0' && code != CURLE_URL_MALFORMAT && !of_proxy;
  return base::MakeStatus(error, "{}: {}{}", Name(),
                          explained ? error_text_.data() : curl_easy_strerror(code), remedy);
}

std::string Transfer::Name() const {
  if (!request_.name.empty()) return request_.name;
  const absl::StatusOr<Url> url = ParseUrl(request_.url);
  return request_.method + " " + (url.ok() ? url->Shown() : "the configured URL");
}

size_t Transfer::OnHeader(const char* bytes, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const std::string_view line(bytes, size * count);
  transfer.head_bytes_ += line.size();
  if (transfer.head_bytes_ > kHeadBytesMax) return 0;
  if (line.starts_with("HTTP/")) {
    transfer.response_.headers.clear();  // After a 100, or a proxy's answer.
    return line.size();
  }
  const size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    transfer.response_.headers.emplace_back(Trimmed(line.substr(0, colon)),
                                            Trimmed(line.substr(colon + 1)));
  }
  return line.size();
}

size_t Transfer::OnBody(const char* bytes, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const std::string_view piece(bytes, size * count);
  const size_t room = transfer.options_.response_bytes_max - transfer.response_.body.size();
  transfer.response_.body.append(piece.substr(0, room));
  if (piece.size() <= room) return piece.size();
  transfer.response_.body_cut = true;
  return 0;
}

curl_socket_t Transfer::OnOpenSocket(void* self, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(self);
  // Behind a proxy this is the proxy's own address.
  const bool judged = transfer.options_.addresses == AddressPolicy::kPublicOnly &&
                      transfer.options_.connection.proxy.empty();
  if (judged && !IsPublicAddress(&address->addr, address->addrlen)) {
    transfer.refused_address_ = AddressText(&address->addr, address->addrlen);
    return CURL_SOCKET_BAD;
  }
  transfer.socket_opened_ = true;
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

}  // namespace pgflow::http
