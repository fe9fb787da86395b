#include "engine/observe/admin_server.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <list>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"
#include "engine/observe/admin_response.h"
#include "engine/observe/tap_access.h"

namespace pgflow::engine {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Response = http::response<http::string_body>;

constexpr std::chrono::seconds kRequestTimeout(2);
constexpr std::chrono::milliseconds kStopCheckInterval(100);
constexpr uint32_t kRequestBytesMax = 8192;
constexpr size_t kClientsMax = 64;

Response ToHttp(const AdminResponse& answer, const http::request<http::empty_body>& request) {
  Response response(static_cast<http::status>(answer.code), request.version());
  response.set(http::field::content_type, answer.content_type);
  response.set(http::field::cache_control, "no-store");
  response.keep_alive(false);
  response.body() = answer.body;
  response.prepare_payload();
  // HEAD: the length of the body, without it.
  if (request.method() == http::verb::head) response.body().clear();
  return response;
}

std::string_view View(const boost::beast::string_view& text) { return {text.data(), text.size()}; }

AdminResponse Answer(const http::request<http::empty_body>& request, const StatusFunction& status,
                     Tap* tap) {
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    return {405, "text/plain; charset=utf-8", "only GET\n"};
  }
  return RespondTo(View(request.target()), status, tap);
}

bool AsksForTap(const http::request<http::empty_body>& request) {
  const std::string_view target = View(request.target());
  return request.method() == http::verb::get && target.substr(0, target.find('?')) == "/tap";
}

}  // namespace

// Everything of Asio and Beast; the calls that throw are not used.
class AdminServer::Listener {
 public:
  Listener() : acceptor_(context_) {}

  absl::Status Listen(const std::string& host, uint16_t port) {
    const auto failed = [&](const error_code& error) {
      const bool in_use = error == asio::error::address_in_use;
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "admin.listen {}:{}: {}{}",
                              host, port, error.message(),
                              in_use ? "; another program (another pgflow?) has this port, choose "
                                       "another one"
                                     : "");
    };
    error_code error;
    tcp::resolver resolver(context_);
    const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
    if (error || found.empty()) return failed(error);
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(64, error);
    return error ? failed(error) : absl::OkStatus();
  }

  uint16_t port() {
    error_code ignored;
    return acceptor_.local_endpoint(ignored).port();
  }

  void Run(const StatusFunction& status, const AdminTap& tap, const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (!accepting_) Accept(status, tap);
      context_.restart();
      context_.run_for(kStopCheckInterval);
      if (!accepting_) base::Pause(absl::FromChrono(kStopCheckInterval), stop);
      std::erase_if(streams_, [](const auto& stream) { return stream->ended(); });
    }
    streams_.clear();
    error_code ignored;
    acceptor_.close(ignored);
    for (const auto& client : clients_) client->stream.close();
    // The handlers refer to this object: they must have run.
    context_.restart();
    context_.run();
  }

 private:
  // A connection that is to ask one thing; ends with the last handler that holds it.
  struct Client {
    explicit Client(tcp::socket socket) : stream(std::move(socket)) {
      parser.header_limit(kRequestBytesMax);
    }
    beast::tcp_stream stream;
    beast::flat_buffer buffer;
    http::request_parser<http::empty_body> parser;
    Response response;
    std::optional<http::response_serializer<http::string_body>> serializer;
  };
  using ClientPtr = std::shared_ptr<Client>;

  void Accept(const StatusFunction& status, const AdminTap& tap) {
    accepting_ = true;
    acceptor_.async_accept([&](const error_code& error, tcp::socket socket) {
      accepting_ = false;
      // Out of descriptors, say: trying again at once would only burn the processor.
      if (error) return;
      Take(std::move(socket), status, tap);
      Accept(status, tap);
    });
  }

  void Take(tcp::socket socket, const StatusFunction& status, const AdminTap& tap) {
    // Who waits longest without a word makes room for who may have something to ask.
    if (clients_.size() >= kClientsMax) {
      clients_.front()->stream.close();
      clients_.pop_front();
    }
    const ClientPtr client = std::make_shared<Client>(std::move(socket));
    clients_.push_back(client);
    client->stream.expires_after(kRequestTimeout);
    http::async_read(client->stream, client->buffer, client->parser,
                     [this, client, &status, &tap](const error_code& error, size_t) {
                       clients_.remove(client);
                       if (!error) Serve(client, status, tap);
                     });
  }

  void Serve(const ClientPtr& client, const StatusFunction& status, const AdminTap& tap) {
    const http::request<http::empty_body>& request = client->parser.get();
    AdminResponse answer;
    if (tap.tap == nullptr || !AsksForTap(request)) {
      answer = Answer(request, status, tap.tap);
    } else if (std::unique_ptr<TapWatcher> watcher = Watch(request, client->stream, tap, answer);
               watcher != nullptr) {
      error_code error;
      const int descriptor = client->stream.release_socket().release(error);
      if (error) return;
      streams_.push_back(std::make_unique<TapStream>(descriptor, std::move(watcher), tap.format()));
      return;
    }
    Send(client, answer);
  }

  // Null: `answer` says why not.
  static std::unique_ptr<TapWatcher> Watch(const http::request<http::empty_body>& request,
                                           beast::tcp_stream& stream, const AdminTap& tap,
                                           AdminResponse& answer) {
    const auto refuse = [&answer](int code, std::string_view why) {
      answer = {code, "text/plain; charset=utf-8", std::string(why) + "\n"};
      return nullptr;
    };
    error_code error;
    const std::string peer = stream.socket().remote_endpoint(error).address().to_string();
    const auto refused = RefuseTap(error ? "" : peer, View(request[http::field::host]));
    if (refused.has_value()) return refuse(403, *refused);
    const std::string_view target = View(request.target());
    const size_t query = std::min(target.find('?'), target.size() - 1);
    auto filter = TapFilter::FromQuery(target.substr(query + 1));
    if (!filter.ok()) return refuse(400, base::Message(filter.status()));
    auto watcher = tap.tap->Watch(*std::move(filter));
    if (watcher.ok()) return *std::move(watcher);
    const absl::StatusCode code = watcher.status().code();
    return refuse(code == absl::StatusCode::kInvalidArgument     ? 400
                  : code == absl::StatusCode::kResourceExhausted ? 503
                                                                 : 403,
                  base::Message(watcher.status()));
  }

  void Send(const ClientPtr& client, const AdminResponse& answer) {
    const http::request<http::empty_body>& request = client->parser.get();
    client->response = ToHttp(answer, request);
    client->serializer.emplace(client->response);
    client->stream.expires_after(kRequestTimeout);
    const auto end = [this, client](const error_code& error, size_t) {
      clients_.remove(client);
      error_code ignored;
      if (!error) client->stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    };
    clients_.push_back(client);
    if (request.method() == http::verb::head) {
      http::async_write_header(client->stream, *client->serializer, end);
    } else {
      http::async_write(client->stream, *client->serializer, end);
    }
  }

  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  bool accepting_ = false;
  std::list<ClientPtr> clients_;  // Whose request, or whose taking of the answer, is waited for.
  std::list<std::unique_ptr<TapStream>> streams_;
};

AdminServer::AdminServer(std::string host, uint16_t port, StatusFunction status, AdminTap tap)
    : host_(std::move(host)), port_(port), status_(std::move(status)), tap_(std::move(tap)) {}

AdminServer::~AdminServer() { Stop(); }

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Make(const std::string& listen,
                                                               StatusFunction status,
                                                               AdminTap tap) {
  const size_t colon = listen.rfind(':');
  uint16_t port = 0;
  bool good = colon != std::string::npos && colon > 0 && colon + 1 < listen.size();
  if (good) {
    const char* end = listen.data() + listen.size();
    const auto parsed = std::from_chars(listen.data() + colon + 1, end, port);
    good = parsed.ec == std::errc() && parsed.ptr == end;
  }
  std::string host = good ? listen.substr(0, colon) : "";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (!good) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "admin.listen: '{}' is not host:port, such as 127.0.0.1:9187", listen);
  }
  return std::unique_ptr<AdminServer>(
      new AdminServer(std::move(host), port, std::move(status), std::move(tap)));
}

absl::Status AdminServer::Start() {
  listener_ = std::make_unique<Listener>();
  PGFLOW_RETURN_IF_ERROR(listener_->Listen(host_, port_));
  bound_port_ = listener_->port();
  thread_ =
      std::jthread([this](const std::stop_token& stop) { listener_->Run(status_, tap_, stop); });
  base::LogDebug("admin port: http://{}:{}/status", host_, bound_port_);
  return absl::OkStatus();
}

void AdminServer::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

}  // namespace pgflow::engine
