#include "sinks/webhook/webhook_sink.h"

#include <set>

#include "engine/testing/sink_contract.h"
#include "sinks/webhook/webhook_fixture_test.h"

namespace pgflow::sinks {
namespace {

class WebhookSinkTest : public WebhookFixture {};

TEST_F(WebhookSinkTest, KeepsTheContract) {
  for (const uint64_t events : {1, 100}) {
    config_.batch.events = events;
    EXPECT_EQ(engine::CheckSinkContract({.make = [this] { return Make(); }, .snapshot = true}),
              std::vector<std::string>());
  }
}

TEST_F(WebhookSinkTest, PostsAnEventWithItsPositionAndSignature) {
  const std::string secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  config_.secrets = {secret};
  config_.connection.auth.bearer_token = config::Secret("t");
  config_.connection.headers = {{"X-Tenant", "a"}};
  Open();
  ASSERT_TRUE(Write("begin lsn=0/500\n insert items 1 'an apple'\n commit").ok());
  EXPECT_EQ(*sink_->Durable({}), end_);
  ASSERT_EQ(server_.RequestCount(), 1U);
  const HttpReceived request = server_.Requests()[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/hook?token=hush");
  EXPECT_EQ(request.Header("content-type"), "application/json");
  EXPECT_EQ(request.Header("idempotency-key"), "0/500:0");
  EXPECT_EQ(request.Header("webhook-id"), "0/500:0");
  EXPECT_EQ(request.Header("authorization"), "Bearer t");
  EXPECT_EQ(request.Header("x-tenant"), "a");
  const int64_t timestamp = std::stoll(request.Header("webhook-timestamp"));
  EXPECT_LE(std::abs(timestamp - absl::ToUnixSeconds(absl::Now())), 60);
  EXPECT_EQ(request.Header("webhook-signature"),
            Signer::Make({secret})->Sign("0/500:0", timestamp, request.body));
  EXPECT_EQ(TextsOf(request), std::vector<std::string>({R"(insert 1 "an apple")"}));
}

TEST_F(WebhookSinkTest, PostsTheUsersOwnBody) {
  config_.payload_template = R"({"text":"{{ operation }} {{ row.name }}"})";
  config_.subscribe.tables = {"public.items"};
  Open();
  ASSERT_TRUE(Write("begin lsn=0/500\n insert items 1 '\"a\"'\n insert log x\n commit").ok());
  ASSERT_EQ(server_.RequestCount(), 1U);
  EXPECT_EQ(server_.Requests()[0].body, R"({"text":"insert \"a\""})");
  EXPECT_EQ(server_.Requests()[0].Header("content-type"), "application/json");
  EXPECT_EQ(server_.Requests()[0].Header("idempotency-key"), "0/500:0");
}

TEST_F(WebhookSinkTest, RefusesATemplateThatCannotWork) {
  config_.payload_template = "{{ nme }}";
  EXPECT_EQ(WebhookSink::Make(config_).status().code(), absl::StatusCode::kInvalidArgument);
  config_.payload_template = "{{ table }}";
  config_.template_kind = TemplateKind::kText;
  EXPECT_TRUE(WebhookSink::Make(config_).ok());
  config_.batch.events = 2;
  EXPECT_EQ(WebhookSink::Make(config_).status().code(), absl::StatusCode::kInvalidArgument);
}

// The signature must hold for whoever unpacks the body first, as receivers do.
TEST_F(WebhookSinkTest, CompressesBodiesAndSignsWhatTheyHold) {
  config_.secrets = {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
  config_.payload_template = R"({"text":"{{ row.name }}"})";
  config_.compression = http::Request::Compression::kGzip;
  Open();
  const std::string name(1000, 'a');
  ASSERT_TRUE(Write("begin lsn=0/500\n insert items 1 " + name + "\n commit").ok());
  const HttpReceived request = server_.Requests()[0];
  EXPECT_EQ(request.Header("content-encoding"), "gzip");
  EXPECT_TRUE(request.body.starts_with("\x1f\x8b"));
  EXPECT_LT(request.body.size(), 200U);
  const int64_t timestamp = std::stoll(request.Header("webhook-timestamp"));
  EXPECT_EQ(
      request.Header("webhook-signature"),
      Signer::Make(config_.secrets)->Sign("0/500:0", timestamp, R"({"text":")" + name + "\"}"));
}

TEST_F(WebhookSinkTest, TellsThePartsOfASharedLogApart) {
  sink_ = Make();
  ASSERT_TRUE(sink_->Open({"shop.orders.3", "webhook", "db"}, {}).ok());
  ASSERT_TRUE(Write("begin lsn=0/500\n insert items 1 a\n commit").ok());
  ASSERT_EQ(server_.RequestCount(), 1U);
  EXPECT_EQ(server_.Requests()[0].Header("idempotency-key"), "orders.3/0/500:0");
}

TEST_F(WebhookSinkTest, PostsArraysWhoseIdentityIsTheirContent) {
  config_.batch.events = 2;
  config_.requests = 1;
  Open();
  const std::string script =
      "begin lsn=0/500\n insert items 1 a\n insert items 2 b\n"
      " insert items 3 c\n commit";
  ASSERT_TRUE(Write(script).ok());
  ASSERT_TRUE(Rewrite().ok());
  const std::vector<HttpReceived> requests = server_.Requests();
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_EQ(TextsOf(requests[0]), std::vector<std::string>({R"(insert 1 "a")", R"(insert 2 "b")"}));
  EXPECT_TRUE(nlohmann::json::parse(requests[1].body).is_array()) << "an array of one, too";
  std::set<std::string> keys;
  for (const HttpReceived& request : requests) keys.insert(request.Header("idempotency-key"));
  EXPECT_EQ(keys.size(), 2U) << "the same again for the same events";
  EXPECT_EQ(requests[0].Header("idempotency-key").substr(0, 10), "0/500:0-2-");
}

TEST_F(WebhookSinkTest, BoundsABodyByBytes) {
  config_.batch.events = 100;
  config_.batch.bytes = {1024};
  config_.requests = 1;
  Open();
  std::string script = "begin\n";
  for (int i = 0; i < 20; ++i)
    script += fmt::format("insert items {} {}\n", i, std::string(100, 'x'));
  ASSERT_TRUE(Write(script + "commit").ok());
  EXPECT_EQ(Arrived().size(), 20U);
  EXPECT_GT(server_.RequestCount(), 4U);
  for (const HttpReceived& request : server_.Requests()) EXPECT_LE(request.body.size(), 1024U + 2);
}

TEST_F(WebhookSinkTest, SendsOnlyWhatIsSubscribedAndStillMovesOn) {
  config_.subscribe.tables = {"public.items"};
  config_.subscribe.operations = {"delete"};
  Open();
  ASSERT_TRUE(Write("begin\n insert items 1 a\n insert log x\n commit").ok());
  EXPECT_EQ(*sink_->Durable({}), end_);
  EXPECT_EQ(server_.RequestCount(), 0U);
  std::unique_ptr<engine::SnapshotLane> lane = *sink_->OpenLane({});
  engine::Batch rows = builder_.Snapshot("items", "1 a");
  ASSERT_TRUE(lane->Write(rows, {}).ok());
  EXPECT_EQ(server_.RequestCount(), 0U);
}

TEST_F(WebhookSinkTest, NamesSnapshotRowsSoThatEachIsTheSameAgain) {
  config_.requests = 4;
  Open();
  const auto keys_of = [&](std::string_view table, std::string_view rows) {
    const size_t before = server_.RequestCount();
    std::unique_ptr<engine::SnapshotLane> lane = *sink_->OpenLane({});
    EXPECT_TRUE(lane->BeginRange({}, {}, {}).ok());
    engine::Batch batch = builder_.Snapshot(table, rows);
    batch.set_snapshot_lsn(postgres::Lsn(0x80));
    EXPECT_TRUE(lane->Write(batch, {}).ok());
    EXPECT_TRUE(lane->FinishRange({}).ok());
    std::set<std::string> keys;
    const std::vector<HttpReceived> requests = server_.Requests();
    for (size_t i = before; i < requests.size(); ++i) {
      keys.insert(requests[i].Header("idempotency-key"));
    }
    return keys;
  };
  const std::set<std::string> keys = keys_of("items", "1 a\n2 a\n3 a");
  EXPECT_EQ(keys.size(), 3U);
  EXPECT_EQ(keys.begin()->substr(0, 5), "0/80:");
  EXPECT_EQ(keys_of("items", "3 a\n1 a\n2 a"), keys);
  const std::set<std::string> alike = keys_of("log", "x\ny\nx\nx");
  EXPECT_EQ(alike.size(), 4U) << "rows without a key, three of them alike";
  EXPECT_EQ(keys_of("log", "x\nx\nx\ny"), alike);
}

TEST_F(WebhookSinkTest, RefusesPrivateAddressesUnlessAllowed) {
  config_.private_addresses = PrivateAddresses::kRefuse;
  Open();
  const absl::Status status = Write("begin\n insert items 1 a\n commit").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_EQ(server_.RequestCount(), 0U);
}

TEST_F(WebhookSinkTest, ChecksTheEndpointAndTheTables) {
  config_.subscribe.changed_columns = {"name"};
  engine::TablePlan plan;
  plan.schema = builder_.FindTable("items");
  plan.source_table = plan.schema->table;
  server_.Add(Answer(405));
  auto findings = Make()->Check({}, {&plan, 1}, {});
  ASSERT_TRUE(findings.ok() && findings->size() == 2U);
  EXPECT_EQ((*findings)[0].severity, engine::Finding::Severity::kOk);
  EXPECT_EQ((*findings)[1].severity, engine::Finding::Severity::kWarning);
  EXPECT_EQ(server_.Requests()[0].method, "HEAD");
  config_.private_addresses = PrivateAddresses::kRefuse;
  findings = Make()->Check({}, {}, {});
  ASSERT_TRUE(findings.ok() && findings->size() == 1U);
  EXPECT_EQ((*findings)[0].severity, engine::Finding::Severity::kError);
}

TEST_F(WebhookSinkTest, RefusesBadConfigurationWithoutShowingSecrets) {
  const auto refuses = [](WebhookConfig config) {
    const absl::Status status = WebhookSink::Make(std::move(config)).status();
    EXPECT_EQ(base::Message(status).find("hush"), std::string_view::npos) << status;
    return status.code() == absl::StatusCode::kInvalidArgument;
  };
  WebhookConfig config = config_;
  config.url = config::Secret("hush://x");
  EXPECT_TRUE(refuses(config));
  config = config_;
  config.secrets = {"whsec_hush"};
  EXPECT_TRUE(refuses(config));
  config = config_;
  config.connection.headers = {{"X", "hush\n"}};
  EXPECT_TRUE(refuses(config));
  config = config_;
  config.subscribe.tables = {"items"};
  EXPECT_TRUE(refuses(config));
  config = config_;
  config.retry.initial = absl::Minutes(1);
  EXPECT_TRUE(refuses(config));
}

}  // namespace
}  // namespace pgflow::sinks
