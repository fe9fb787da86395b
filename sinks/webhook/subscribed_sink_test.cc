#include "sinks/webhook/subscribed_sink.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "engine/testing/sink_contract.h"
#include "sinks/webhook/webhook_fixture_test.h"

namespace pgflow::sinks {
namespace {

class SubscribedSinkTest : public WebhookFixture {
 protected:
  void SetUp() override {
    WebhookFixture::SetUp();
    SetUpTables();
    config_.url = {};
    config_.subscriptions.emplace().table = "public.subs";
    config_.retry.max = absl::Milliseconds(20);
    config_.retry.error_after = absl::Milliseconds(20);
    directory_ =
        testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
  }

  void SetUpTables() {
    builder_.Table("public.items (id int4 key, name text)");
    builder_.Table(
        "public.subs (id int4 key, url text, tables text, operations text, condition text, "
        "enabled bool)");
  }
  // Opens a sink on the same state, as a new process would.
  void OpenNew(const std::string& sink = "hooks") {
    sink_.reset();
    sink_ = Make();
    Reopen(sink);
  }
  void Reopen(const std::string& sink = "hooks") {
    const absl::Status opened = sink_->Open({"pipeline", sink, "db", directory_}, {});
    ASSERT_TRUE(opened.ok()) << opened;
    if (sink_->checkpoint_store()->Load()->has_value()) return;
    ASSERT_TRUE(sink_->checkpoint_store()->Begin({1, 1, "db", "slot"}, {}).ok());
  }
  std::string Row(int id, const std::string& more, const std::string& path = "/a") const {
    return fmt::format(" insert subs {} '{}' {}\n", id, server_.Url(path), more);
  }
  void Put(const std::string& script) {
    const auto result = Write("begin\n" + script + " commit");
    ASSERT_TRUE(result.ok()) << result.status();
  }
  template <typename Predicate>
  static bool Eventually(Predicate predicate) {
    for (int i = 0; i < 1000 && !predicate(); ++i) base::Pause(absl::Milliseconds(10), {});
    return predicate();
  }
  // What came to that path.
  std::vector<std::string> At(const std::string& path) const {
    std::vector<std::string> texts;
    for (const HttpReceived& request : server_.Requests()) {
      if (request.target == path) texts.push_back(TextsOf(request)[0]);
    }
    return texts;
  }
  // In any order: they are of several rows.
  void ExpectAt(const std::string& path, std::vector<std::string> texts) {
    EXPECT_TRUE(Eventually([&] { return At(path).size() >= texts.size(); }));
    std::vector<std::string> arrived = At(path);
    std::ranges::sort(arrived);
    std::ranges::sort(texts);
    EXPECT_EQ(arrived, texts);
  }
  engine::EndpointStatus Status(const std::string& name) const {
    for (engine::EndpointStatus& each : sink_->endpoints()) {
      if (each.name == name) return std::move(each);
    }
    return {};
  }
  bool AllDelivered() const {
    for (const engine::EndpointStatus& each : sink_->endpoints()) {
      if (each.waiting != 0) return false;
    }
    return true;
  }

  std::string directory_;
};

using Texts = std::vector<std::string>;

TEST_F(SubscribedSinkTest, KeepsTheContract) {
  std::filesystem::create_directories(directory_);
  std::filesystem::current_path(directory_);  // Where the contract has its state.
  EXPECT_EQ(engine::CheckSinkContract({.make = [this] { return Make(); }, .snapshot = true}),
            Texts());
}

TEST_F(SubscribedSinkTest, ASubscriptionCountsFromItsOwnPlaceOn) {
  OpenNew();
  Put(" insert items 1 a\n" + Row(1, "{public.items} null null t") + " insert items 2 b\n");
  // What is under way when a row changes is sent again.
  EXPECT_TRUE(Eventually([&] { return AllDelivered(); }));
  Put(" insert items 3 c\n update subs 1 unchanged unchanged '{delete}' null t\n"
      " insert items 4 d\n delete items 3\n");
  ASSERT_TRUE(sink_->Close({}).ok());
  ExpectAt("/a", {R"(insert 2 "b")", R"(insert 3 "c")", "delete 3"});
}

TEST_F(SubscribedSinkTest, ChangesDisablesAndDeletes) {
  OpenNew();
  Put(Row(1, "{public.items} null null t") + Row(2, "{public.*} null 'id > 10' t", "/b"));
  Put(" insert items 1 a\n insert items 11 b\n insert log x\n");
  ExpectAt("/a", {R"(insert 1 "a")", R"(insert 11 "b")"});
  ExpectAt("/b", {R"(insert 11 "b")"});
  // `log` has no such column.
  EXPECT_TRUE(Eventually([&] { return Status("2").state == "ended"; }));
  EXPECT_NE(Status("2").error.find("condition"), std::string::npos) << Status("2").error;
  const std::string url = server_.Url("/c");
  EXPECT_TRUE(Eventually([&] { return AllDelivered(); }));
  Put(fmt::format(" update subs 1 '{}' unchanged null null t\n insert items 2 c\n", url));
  ExpectAt("/c", {R"(insert 2 "c")"});
  EXPECT_TRUE(Eventually([&] { return AllDelivered(); }));
  Put(fmt::format(" update subs 1 '{}' unchanged null null f\n insert items 3 d\n", url));
  EXPECT_EQ(Status("1").state, "disabled");
  Put(fmt::format(" update subs 1 '{}' unchanged null null t\n insert items 4 e\n", url));
  ExpectAt("/c", {R"(insert 2 "c")", R"(insert 4 "e")"});
  EXPECT_TRUE(Eventually([&] { return AllDelivered(); }));
  Put(" delete subs 1\n insert items 5 f\n");
  EXPECT_EQ(Status("1").name, "");
  Put(Row(3, "{public.items} null null t", "/d") + " insert items 6 g\n truncate subs\n");
  EXPECT_TRUE(sink_->endpoints().empty());
  EXPECT_EQ(At("/c").size(), 2U);
}

TEST_F(SubscribedSinkTest, AnEventGoesWhereTheRowPointsAtItsPlace) {
  constexpr int kRows = 20;  // One after the other: there is time to be wrong.
  OpenNew();
  std::string rows;
  for (int id = 1; id <= kRows; ++id) rows += Row(id, "{public.items} null null t", "/even");
  Put(rows);
  Texts odd;
  Texts even;
  for (int i = 1; i <= 6; ++i) {
    const std::string path = i % 2 == 0 ? "/even" : "/odd";
    std::string script;
    for (int id = 1; id <= kRows; ++id) {
      script += fmt::format(" update subs {} '{}' unchanged null null t\n", id, server_.Url(path));
    }
    Put(script + fmt::format(" insert items {} x\n", i));
    Texts& expected = i % 2 == 0 ? even : odd;
    expected.insert(expected.end(), kRows, fmt::format("insert {} \"x\"", i));
    EXPECT_TRUE(Eventually([&] { return AllDelivered(); }));
  }
  ExpectAt("/odd", odd);
  ExpectAt("/even", even);
}

TEST_F(SubscribedSinkTest, ABadRowIsReportedAndStopsNothing) {
  OpenNew();
  Put(" insert subs 1 'nonsense hush' null null null t\n insert subs 2 'http://[::1]:1/hush' null "
      "'{read}' null t\n" +
      Row(3, "{public.items} null null t") + " insert items 1 a\n");
  ExpectAt("/a", {R"(insert 1 "a")"});
  EXPECT_EQ(Status("1").state, "rejected");
  EXPECT_EQ(Status("2").state, "rejected");
  for (const engine::EndpointStatus& each : sink_->endpoints()) {
    EXPECT_EQ(each.error.find("hush"), std::string::npos) << each.error;
  }
  EXPECT_TRUE(Eventually([&] { return AllDelivered(); }));
}

TEST_F(SubscribedSinkTest, RefusesPrivateAddressesForOneEndpointOnly) {
  config_.private_addresses = PrivateAddresses::kRefuse;
  OpenNew();
  Put(Row(1, "{public.items} null null t") + " insert items 1 a\n");
  EXPECT_TRUE(Eventually([&] { return Status("1").state == "failing"; }));
  EXPECT_EQ(server_.RequestCount(), 0U);
  EXPECT_EQ(Status("1").waiting, 1U);
  Put(" insert items 2 b\n");
  EXPECT_EQ(Status("1").waiting, 2U);
}

TEST_F(SubscribedSinkTest, OneThatIsDownHoldsBackNobodyAndGetsAllLater) {
  engine::ScriptedHttpServer other;
  OpenNew();
  Put(Row(1, "{public.items} null null t") +
      fmt::format(" insert subs 2 '{}' null null null t\n", other.Url("/o")));
  other.Stop();
  for (int i = 0; i < 5; ++i) Put(fmt::format(" insert items {} x\n", i));
  EXPECT_TRUE(Eventually([&] { return Status("1").delivered == 5; }));
  EXPECT_TRUE(Eventually([&] { return Status("2").state == "failing"; }));
  EXPECT_EQ(Status("2").waiting, 5U);
  OpenNew();  // The backlog is the state directory's.
  EXPECT_EQ(Status("2").waiting, 5U);
  other.Restart();
  EXPECT_TRUE(Eventually([&] { return other.RequestCount() >= 5 && AllDelivered(); }));
  EXPECT_EQ(other.RequestCount(), 5U);
  EXPECT_EQ(At("/a").size(), 5U);
}

TEST_F(SubscribedSinkTest, ADeletedOneLeavesNothingBehind) {
  engine::ScriptedHttpServer other;
  OpenNew();
  Put(fmt::format(" insert subs 2 '{}' null null null t\n", other.Url()));
  other.Stop();
  Put(" insert items 1 x\n insert items 2 x\n");
  Put(" delete subs 2\n");
  auto outbox = Outbox::Open(directory_, Outbox::FileOf("pipeline", "hooks"), 1);
  ASSERT_TRUE(outbox.ok());
  EXPECT_TRUE((*outbox)->Subscriptions()->empty());
  EXPECT_EQ((*outbox)->BacklogOf(1)->events, 0U);
  EXPECT_TRUE((*outbox)->Read(1, 10, 100)->empty());
}

TEST_F(SubscribedSinkTest, PartsOfATransactionCountWithItsCommit) {
  OpenNew();
  Put(Row(1, "{public.items} null null t"));
  const auto part = [&](const std::string& script, bool ends) {
    batches_.clear();
    batches_.push_back(builder_.StreamBatch(script));
    return sink_->Write({batches_,
                         ends,
                         {batches_.back().transactions().back().commit_lsn,
                          batches_.back().transactions().back().end_lsn}},
                        {});
  };
  ASSERT_TRUE(
      part("begin lsn=0/9000\n insert items 1 a\n" + Row(2, "{public.items} null null t", "/b"),
           false)
          .ok());
  OpenNew();  // Killed there: nothing of it was, and it comes again.
  EXPECT_EQ(Status("2").name, "");
  batches_.clear();
  builder_ = engine::EventBuilder();
  SetUpTables();
  ASSERT_TRUE(
      part("begin lsn=0/9000\n insert items 1 a\n" + Row(2, "{public.items} null null t", "/b"),
           false)
          .ok());
  EXPECT_EQ(server_.RequestCount(), 0U);
  ASSERT_TRUE(part("insert items 2 b\n commit", true).ok());
  ExpectAt("/a", {R"(insert 1 "a")", R"(insert 2 "b")"});
  ExpectAt("/b", {R"(insert 2 "b")"});
}

TEST_F(SubscribedSinkTest, ARefusedEventIsTriedAgainAndHoldsBackItsRowOnly) {
  std::atomic<bool> refuse{true};
  server_.SetResponder([&](const HttpReceived& request) {
    const bool bad = request.body.find("bad") != std::string::npos;
    return Answer(bad && refuse ? 422 : 200, "no");
  });
  OpenNew();
  Put(Row(1, "{public.items} null null t"));
  Put(" insert items 1 bad\n insert items 2 b\n update items 1 good\n");
  EXPECT_TRUE(Eventually([&] { return Status("1").delivered == 1; }));
  EXPECT_TRUE(Eventually([&] { return Status("1").state == "refusing"; }));
  EXPECT_EQ(Status("1").waiting, 2U);
  refuse = false;
  EXPECT_TRUE(Eventually([&] { return Status("1").waiting == 0; }));
  EXPECT_TRUE(Eventually([&] { return Status("1").state == "delivering"; }));
  EXPECT_EQ(At("/a").back(), R"(update 1 "good")");
}

TEST_F(SubscribedSinkTest, ARefusedEventIsDroppedWhereThatIsConfigured) {
  config_.subscriptions->when_refused = WhenRefused::kDrop;
  server_.SetResponder([](const HttpReceived& request) {
    return Answer(request.body.find("bad") != std::string::npos ? 422 : 200);
  });
  OpenNew();
  Put(Row(1, "{public.items} null null t"));
  Put(" insert items 1 bad\n update items 1 good\n");
  EXPECT_TRUE(Eventually([&] { return Status("1").waiting == 0; }));
  EXPECT_EQ(Status("1").delivered, 1U);
  EXPECT_EQ(Status("1").dropped, 1U);
}

TEST_F(SubscribedSinkTest, AFullBacklogWaitsOrEndsAsConfigured) {
  config_.subscriptions->backlog = {1 << 20};
  OpenNew();
  engine::ScriptedHttpServer other;
  Put(fmt::format(" insert subs 2 '{}' null null null t\n", other.Url()));
  other.Stop();
  Put(" insert items 1 " + std::string((1 << 20) + 1, 'x') + "\n");
  EXPECT_EQ(Write("begin\n insert items 2 x\n commit").status().code(),
            absl::StatusCode::kResourceExhausted);
  config_.subscriptions->when_full = WhenFull::kEnd;
  OpenNew();
  Put(" insert items 2 x\n");
  EXPECT_EQ(Status("2").state, "ended");
  EXPECT_EQ(Status("2").waiting, 0U);
  OpenNew();
  EXPECT_EQ(Status("2").state, "ended");
  Put(fmt::format(" update subs 2 '{}' null null null t\n insert items 3 c\n", other.Url("/n")));
  other.Restart();
  EXPECT_TRUE(Eventually([&] { return Status("2").delivered == 1; }));
}

TEST_F(SubscribedSinkTest, MoreThanConfiguredGetNothing) {
  config_.subscriptions->endpoints_max = 1;
  OpenNew();
  Put(Row(1, "{public.items} null null t") + Row(2, "{public.items} null null t", "/b") +
      " insert items 1 a\n");
  ExpectAt("/a", {R"(insert 1 "a")"});
  EXPECT_EQ(Status("2").state, "rejected");
  Put(" delete subs 1\n insert items 2 b\n");
  ExpectAt("/b", {R"(insert 2 "b")"});
}

TEST_F(SubscribedSinkTest, RowsOfTheFirstCopyAreSubscriptionsAndNothingElse) {
  OpenNew();
  const schemas::TableSchemaPtr subs = builder_.FindTable("subs");
  const engine::TablePlan plan{subs->table, subs, nullptr};
  ASSERT_TRUE(sink_->checkpoint_store()->BeginTable({subs->table, {}, "", {}, false, {}}).ok());
  std::unique_ptr<engine::SnapshotLane> lane = *sink_->OpenLane({});
  ASSERT_TRUE(lane->BeginRange(plan, {0, 5}, {}).ok());
  engine::Batch rows = builder_.Snapshot(
      "subs", fmt::format("7 '{}' '{{public.items}}' null null t", server_.Url("/s")));
  ASSERT_TRUE(lane->Write(rows, {}).ok());
  engine::Batch items = builder_.Snapshot("items", "1 a");
  ASSERT_TRUE(lane->Write(items, {}).ok());
  ASSERT_TRUE(lane->FinishRange({}).ok());
  EXPECT_EQ((*sink_->checkpoint_store()->Load())->tables[0].finished.size(), 1U);
  Put(" insert items 2 b\n");
  ExpectAt("/s", {R"(insert 2 "b")"});
  ASSERT_TRUE(sink_->ResetTable(plan, {}).ok());
  Put(" insert items 3 b\n");
  EXPECT_TRUE(sink_->endpoints().empty());
}

TEST_F(SubscribedSinkTest, TheLaneThatJoinsTablesPutsIntoTheSameOutbox) {
  OpenNew();
  Put(Row(1, "{public.items} null null t"));
  std::unique_ptr<engine::Sink> main = std::move(sink_);
  OpenNew("hooks+join");
  Put(" insert items 5 joined\n");
  EXPECT_TRUE(sink_->endpoints().empty());
  EXPECT_TRUE(Eventually([&] { return At("/a").size() == 1; }));
  ASSERT_TRUE(sink_->checkpoint_store()->Forget().ok());
  sink_ = std::move(main);
  EXPECT_EQ(sink_->endpoints().size(), 1U);
  Put(" insert items 6 b\n");
  ExpectAt("/a", {R"(insert 5 "joined")", R"(insert 6 "b")"});
}

TEST_F(SubscribedSinkTest, WhatWaitsIsCountedWhoeverPutItIn) {
  engine::ScriptedHttpServer other;
  OpenNew();
  Put(fmt::format(" insert subs 1 '{}' null null null t\n", other.Url()));
  other.Stop();
  Put(" insert items 1 x\n");
  const uint64_t bytes = Status("1").waiting_bytes;
  const std::unique_ptr<engine::Sink> main = std::move(sink_);
  OpenNew("hooks+join");
  Put(" insert items 2 \u00fc\n");
  std::vector<engine::EndpointStatus> seen = main->endpoints();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].waiting, 2U);
  EXPECT_EQ(seen[0].waiting_bytes, 2 * bytes + 1);
  other.Restart();
  EXPECT_TRUE(Eventually([&] { return main->endpoints()[0].delivered == 2; }));
  seen = main->endpoints();
  EXPECT_EQ(seen[0].waiting, 0U);
  EXPECT_EQ(seen[0].waiting_bytes, 0U);
}

TEST_F(SubscribedSinkTest, PipelinesThatShareADirectoryKeepApart) {
  OpenNew();
  Put(Row(1, "{public.items} null null t"));
  EXPECT_EQ(sink_->endpoints().size(), 1U);
  const std::unique_ptr<engine::Sink> other = Make();
  ASSERT_TRUE(other->Open({"other", "hooks", "db", directory_}, {}).ok());
  EXPECT_TRUE(other->endpoints().empty());
}

TEST_F(SubscribedSinkTest, LeavesNoSecretsBehindWhenItIsForgotten) {
  OpenNew();
  Put(Row(1, "{public.items} null null t", "/a-secret-path"));
  const auto is_in_file = [this] {
    sink_.reset();  // The last one closes the file for good.
    std::ifstream file(directory_ + "/webhook-pipeline-hooks.db", std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    EXPECT_FALSE(bytes.empty());
    return bytes.find("a-secret-path") != std::string::npos;
  };
  EXPECT_TRUE(is_in_file());
  OpenNew();
  ASSERT_TRUE(sink_->checkpoint_store()->Forget().ok());
  EXPECT_FALSE(is_in_file());
}

TEST_F(SubscribedSinkTest, RefusesWhatCannotBe) {
  const auto error = [this] { return WebhookSink::Make(config_).status().code(); };
  config_.url = config::Secret("https://a.example");
  EXPECT_EQ(error(), absl::StatusCode::kInvalidArgument);
  config_.url = {};
  config_.connection.auth.bearer_token = config::Secret("t");
  EXPECT_EQ(error(), absl::StatusCode::kInvalidArgument);
  config_.connection.auth.bearer_token = {};
  config_.subscriptions->table = "subs";
  EXPECT_EQ(error(), absl::StatusCode::kInvalidArgument);
  config_.subscriptions.reset();
  EXPECT_EQ(error(), absl::StatusCode::kInvalidArgument) << "neither url nor subscriptions";
  config_.subscriptions.emplace().table = "public.subs";
  EXPECT_EQ(Make()->Open({"shop.orders.3", "hooks", "db", directory_}, {}).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(SubscribedSinkTest, ChecksItsTable) {
  OpenNew();
  const schemas::TableSchemaPtr subs = builder_.FindTable("subs");
  std::vector<engine::TablePlan> plans = {{subs->table, subs, nullptr}};
  auto findings = sink_->Check({}, plans, {});
  ASSERT_EQ(findings->size(), 2U) << "text is no list";
  EXPECT_NE((*findings)[0].problem.find("'tables'"), std::string::npos);
  findings = sink_->Check({}, {}, {});
  EXPECT_EQ((*findings)[0].severity, engine::Finding::Severity::kError);
  EXPECT_NE((*findings)[0].remedy.find("CREATE TABLE"), std::string::npos);
}

}  // namespace
}  // namespace pgflow::sinks
