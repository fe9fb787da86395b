#include "tests/integration/webhook_receiver.h"

#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "sinks/webhook/signature.h"

namespace pgflow::tests {
namespace {

constexpr char kSecret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

// "0/16B3748:7" as numbers that compare.
std::pair<uint64_t, uint64_t> PositionOf(const std::string& text) {
  char* end = nullptr;
  const uint64_t high = std::strtoull(text.c_str(), &end, 16);
  const uint64_t low = std::strtoull(end + 1, &end, 16);
  return {high << 32 | low, std::strtoull(end + 1, nullptr, 10)};
}

// The id or v of an image; nothing where the event has no such row.
std::optional<int64_t> FieldOf(const nlohmann::json& event, const char* image, const char* field) {
  const auto row = event.find(image);
  if (row == event.end() || !row->is_object()) return std::nullopt;
  return row->at(field).get<int64_t>();
}

}  // namespace

WebhookReceiver::WebhookReceiver() {
  server_.SetResponder([this](const engine::HttpReceived& request) { return OnRequest(request); });
}

void WebhookReceiver::RefuseValue(int64_t v) {
  const std::lock_guard lock(mutex_);
  refused_value_ = v;
}

std::string WebhookReceiver::Sink(const std::string& more) const {
  return fmt::format(
      "webhook: {{url: \"{}\", secrets: [\"{}\"], private_addresses: allow, "
      "retry: {{initial: 20ms, max: 500ms, error_after: 2s}}{}{}}}",
      server_.Url("/hook"), kSecret, more.empty() ? "" : ", ", more);
}

engine::HttpScript WebhookReceiver::OnRequest(const engine::HttpReceived& request) {
  const std::lock_guard lock(mutex_);
  CheckSignature(request);
  engine::HttpScript answer;
  const Json body = Json::parse(request.body, nullptr, false);
  if (body.is_discarded()) {
    Problem("a body that is no JSON: " + request.body);
    return answer;
  }
  const Json events = body.is_array() ? body : Json::array({body});
  for (const Json& event : events) {
    if (FieldOf(event, "after", "v") == refused_value_) {
      answer.status = 422;
      answer.body = "not this value";
      return answer;
    }
  }
  for (const Json& event : events) {
    // Rows of a snapshot share a position; alone, each has a key of its own.
    const bool read = event["operation"] == "read";
    const std::string key = request.Header("idempotency-key");
    std::string id = key;
    if (read && body.is_array()) id += event.dump();
    if (!read) id = event["position"].get<std::string>();
    if (!body.is_array() && key != id) Problem("another key: " + id);
    if (seen_.insert(id).second) {
      Take(event);
    } else {
      ++repetitions_;
    }
  }
  return answer;
}

void WebhookReceiver::CheckSignature(const engine::HttpReceived& request) {
  const auto signer = sinks::Signer::Make({kSecret});
  const std::string timestamp = request.Header("webhook-timestamp");
  const std::string expected =
      signer->Sign(request.Header("webhook-id"), std::atoll(timestamp.c_str()), request.body);
  if (request.Header("webhook-signature") != expected) Problem("a wrong signature");
}

void WebhookReceiver::Take(const Json& event) {
  ++taken_;
  const auto position = PositionOf(event["position"].get<std::string>());
  const bool read = event["operation"] == "read";
  if (read) ++reads_;
  std::set<int64_t> ids;
  for (const char* image : {"before", "after"}) {
    if (const auto id = FieldOf(event, image, "id")) ids.insert(*id);
  }
  for (const int64_t id : ids) {
    auto& newest = newest_[id];
    if (position < newest && !read) Problem("overtaken: " + event.dump());
    newest = std::max(newest, position);
  }
  if (event["operation"] == "truncate") rows_.clear();
  if (const auto id = FieldOf(event, "before", "id")) rows_.erase(*id);
  if (const auto id = FieldOf(event, "after", "id")) rows_[*id] = *FieldOf(event, "after", "v");
}

void WebhookReceiver::Problem(const std::string& text) {
  if (problems_.size() < 2000) problems_ += text + "\n";
}

std::string WebhookReceiver::Rows() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [id, v] : rows_) text += fmt::format("{}{}={}", text.empty() ? "" : " ", id, v);
  return text;
}

std::string WebhookReceiver::Problems() const {
  const std::lock_guard lock(mutex_);
  return problems_;
}
size_t WebhookReceiver::taken() const {
  const std::lock_guard lock(mutex_);
  return taken_;
}
size_t WebhookReceiver::repetitions() const {
  const std::lock_guard lock(mutex_);
  return repetitions_;
}
size_t WebhookReceiver::reads() const {
  const std::lock_guard lock(mutex_);
  return reads_;
}

std::string WebhookRowsSql(const std::string& table) {
  return fmt::format("SELECT coalesce(string_agg(id || '=' || v, ' ' ORDER BY id), '') FROM {}",
                     table);
}

}  // namespace pgflow::tests
