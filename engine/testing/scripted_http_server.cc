#include "engine/testing/scripted_http_server.h"

#include <strings.h>
#include <sys/socket.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>

#include <absl/time/clock.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "base/check.h"
#include "base/mutex.h"
#include "base/pause.h"

namespace pgflow::engine {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr uint64_t kBodyBytesMax = uint64_t{1} << 30;

HttpReceived ToReceived(const http::request<http::string_body>& request, uint64_t connection) {
  HttpReceived received;
  received.method = std::string(request.method_string());
  received.target = std::string(request.target());
  for (const auto& field : request) {
    received.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  received.body = request.body();
  received.at = absl::Now();
  received.connection = connection;
  return received;
}

// The whole answer as bytes: faults need to cut them.
std::string AnswerText(const HttpScript& script) {
  std::string text =
      fmt::format("HTTP/1.1 {} {}\r\n", script.status,
                  std::string(http::obsolete_reason(static_cast<http::status>(script.status))));
  for (const auto& [name, value] : script.headers) {
    text += fmt::format("{}: {}\r\n", name, value);
  }
  const bool bodiless = script.status == 204 || script.status == 304;
  if (!bodiless) text += fmt::format("Content-Length: {}\r\n", script.body.size());
  text += "\r\n";
  if (!bodiless) text += script.body;
  return text;
}

}  // namespace

std::string HttpReceived::Header(std::string_view name) const {
  for (const auto& [candidate, value] : headers) {
    if (strcasecmp(candidate.c_str(), std::string(name).c_str()) == 0) return value;
  }
  return "";
}

// Everything of Asio and Beast; calls that throw are not used, save for unusable certificates.
class ScriptedHttpServer::Acceptor {
 public:
  explicit Acceptor(Options options) : options_(std::move(options)) {
    if (!options_.certificate.empty()) SetTls();
    Start();
  }
  ~Acceptor() { Stop(); }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  void Start() {
    error_code error;
    const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), options_.port);
    acceptor_.emplace(context_);
    acceptor_->open(endpoint.protocol(), error);
    if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_->bind(endpoint, error);
    if (!error) acceptor_->listen(128, error);
    PGFLOW_CHECK(!error, "a port to listen on");
    options_.port = acceptor_->local_endpoint(error).port();
    thread_ = std::jthread([this](const std::stop_token& stop) { Accept(stop); });
  }

  void Stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    ::shutdown(acceptor_->native_handle(), SHUT_RDWR);  // Ends the accept that waits.
    thread_.join();
    acceptor_.reset();
  }

  void Add(HttpScript script) {
    const base::MutexLock lock(&mutex_);
    scripts_.push_back(std::move(script));
  }
  void SetResponder(Responder responder) {
    const base::MutexLock lock(&mutex_);
    responder_ = std::move(responder);
  }
  std::vector<HttpReceived> Requests() const {
    const base::MutexLock lock(&mutex_);
    return received_;
  }
  size_t RequestCount() const {
    const base::MutexLock lock(&mutex_);
    return received_.size();
  }
  bool WaitForRequests(size_t count, absl::Duration patience) const {
    const base::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return received_.size() >= count; };
    return mutex_.AwaitWithTimeout(base::Condition(&enough), patience);
  }
  size_t in_flight_max() const {
    const base::MutexLock lock(&mutex_);
    return in_flight_max_;
  }
  uint16_t port() const { return options_.port; }
  bool has_tls() const { return tls_.has_value(); }

 private:
  void SetTls() {
    tls_.emplace(asio::ssl::context::tls_server);
    tls_->use_certificate_chain(asio::buffer(options_.certificate));
    tls_->use_private_key(asio::buffer(options_.key), asio::ssl::context::pem);
    if (options_.client_authority.empty()) return;
    tls_->add_certificate_authority(asio::buffer(options_.client_authority));
    tls_->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
  }

  void Accept(const std::stop_token& stop) {
    std::vector<std::jthread> connections;
    while (!stop.stop_requested()) {
      error_code error;
      tcp::socket socket(context_);
      acceptor_->accept(socket, error);
      if (error) continue;
      const uint64_t number = ++connections_;
      connections.emplace_back(
          [this, number, socket = std::move(socket)](const std::stop_token& stopped) mutable {
            Serve(std::move(socket), number, stopped);
          });
    }
    for (std::jthread& connection : connections) connection.request_stop();
  }

  void Serve(tcp::socket socket, uint64_t number, const std::stop_token& stop) {
    error_code error;
    socket.set_option(tcp::no_delay(true), error);
    // Before the socket is closed, the callbacks are gone.
    const int descriptor = socket.native_handle();
    const auto cut = [descriptor] { ::shutdown(descriptor, SHUT_RDWR); };
    if (!tls_.has_value()) {
      const std::stop_callback at_stop(stop, cut);
      return Converse(socket, number, stop);
    }
    asio::ssl::stream<tcp::socket> stream(std::move(socket), *tls_);
    const std::stop_callback at_stop(stop, cut);
    stream.handshake(asio::ssl::stream_base::server, error);
    if (!error) Converse(stream, number, stop);
  }

  template <typename Stream>
  void Converse(Stream& stream, uint64_t number, const std::stop_token& stop) {
    boost::beast::flat_buffer buffer;
    while (!stop.stop_requested()) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(kBodyBytesMax);
      error_code error;
      http::read(stream, buffer, parser, error);
      if (error) return;
      const HttpReceived received = ToReceived(parser.get(), number);
      const HttpScript script = Take(received);
      if (!base::Pause(script.delay, stop)) return;
      const bool goes_on = Answer(stream, script, stop);
      {
        const base::MutexLock lock(&mutex_);
        --in_flight_;
      }
      if (!goes_on) return;
    }
  }

  HttpScript Take(const HttpReceived& received) {
    Responder responder;
    {
      const base::MutexLock lock(&mutex_);
      received_.push_back(received);
      in_flight_max_ = std::max(in_flight_max_, ++in_flight_);
      if (!scripts_.empty()) {
        HttpScript script = std::move(scripts_.front());
        scripts_.pop_front();
        return script;
      }
      responder = responder_;
    }
    return responder == nullptr ? HttpScript{} : responder(received);
  }

  // False: the connection is to be closed.
  template <typename Stream>
  bool Answer(Stream& stream, const HttpScript& script, const std::stop_token& stop) {
    std::string text = AnswerText(script);
    switch (script.fault) {
      case HttpScript::Fault::kNone:
        break;
      case HttpScript::Fault::kHang: {
        // Until the client gives up, or the server stops.
        error_code error;
        char byte = 0;
        asio::read(stream, asio::buffer(&byte, 1), error);
        return false;
      }
      case HttpScript::Fault::kCloseAtOnce:
        return false;
      case HttpScript::Fault::kCloseInAnswer:
        text.resize(text.size() - script.body.size() / 2 - 1);
        break;
      case HttpScript::Fault::kGarbage:
        text = "\x16\x03\x01 not HTTP at all\r\n\r\n";
        break;
    }
    error_code error;
    asio::write(stream, asio::buffer(text), error);
    return !error && script.fault == HttpScript::Fault::kNone && !stop.stop_requested();
  }

  Options options_;
  asio::io_context context_;
  std::optional<asio::ssl::context> tls_;
  std::optional<tcp::acceptor> acceptor_;
  uint64_t connections_ = 0;  // Of the accepting thread.
  mutable base::Mutex mutex_;
  std::deque<HttpScript> scripts_ ABSL_GUARDED_BY(mutex_);
  Responder responder_ ABSL_GUARDED_BY(mutex_);
  std::vector<HttpReceived> received_ ABSL_GUARDED_BY(mutex_);
  size_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t in_flight_max_ ABSL_GUARDED_BY(mutex_) = 0;
  std::jthread thread_;
};

ScriptedHttpServer::ScriptedHttpServer(Options options)
    : acceptor_(std::make_unique<Acceptor>(std::move(options))) {}
ScriptedHttpServer::~ScriptedHttpServer() = default;

void ScriptedHttpServer::Add(HttpScript script) { acceptor_->Add(std::move(script)); }
void ScriptedHttpServer::SetResponder(Responder responder) {
  acceptor_->SetResponder(std::move(responder));
}
std::vector<HttpReceived> ScriptedHttpServer::Requests() const { return acceptor_->Requests(); }
size_t ScriptedHttpServer::RequestCount() const { return acceptor_->RequestCount(); }
bool ScriptedHttpServer::WaitForRequests(size_t count, absl::Duration patience) const {
  return acceptor_->WaitForRequests(count, patience);
}
size_t ScriptedHttpServer::in_flight_max() const { return acceptor_->in_flight_max(); }
void ScriptedHttpServer::Stop() { acceptor_->Stop(); }
void ScriptedHttpServer::Restart() { acceptor_->Start(); }
uint16_t ScriptedHttpServer::port() const { return acceptor_->port(); }

std::string ScriptedHttpServer::Url(std::string_view path) const {
  return fmt::format("{}://127.0.0.1:{}{}", acceptor_->has_tls() ? "https" : "http", port(), path);
}

}  // namespace pgflow::engine
