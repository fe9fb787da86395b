// What becomes of events when the endpoint is slow, picky, broken or away.
#include "sinks/webhook/delivery.h"

#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include <absl/time/clock.h>

#include "sinks/webhook/webhook_fixture_test.h"

namespace pgflow::sinks {
namespace {

using Fault = HttpScript::Fault;
using Texts = std::vector<std::string>;

class DeliveryTest : public WebhookFixture {
 protected:
  // Answers by what the first event of the request says.
  void AnswerTo(std::function<HttpScript(const std::string& text)> answer) {
    server_.SetResponder([answer = std::move(answer)](const HttpReceived& received) {
      return answer(TextsOf(received).front());
    });
  }
  static std::string Culprit(const absl::Status& status) {
    return base::Payload(status, engine::kCulpritPayload);
  }
};

// Each key's events one after the other, while others go side by side: whatever takes how long, and
// rows change their keys.
TEST_F(DeliveryTest, KeepsTheOrderOfEachKey) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  for (const uint64_t batch : {1, 3}) {
    config_.batch.events = batch;
    config_.requests = 6;
    sink_ = nullptr;
    Open();
    const size_t before = server_.RequestCount();
    std::mutex mutex;
    std::map<int, int> under_way;  // Requests by key.
    bool overlapped = false;
    server_.SetResponder([&](const HttpReceived& received) {
      std::set<int> keys;
      const nlohmann::json body = nlohmann::json::parse(received.body);
      for (const auto& event : body.is_array() ? body : nlohmann::json::array({body})) {
        for (const char* image : {"before", "after"}) {
          if (event[image].is_object()) keys.insert(event[image]["id"].get<int>());
        }
      }
      {
        const std::lock_guard lock(mutex);
        for (const int key : keys) overlapped = overlapped || under_way[key]++ > 0;
      }
      base::Pause(absl::Milliseconds(received.body.size() % 5), {});
      const std::lock_guard lock(mutex);
      for (const int key : keys) --under_way[key];
      return Answer(200);
    });
    std::string script = "begin\n";
    for (int i = 0; i < 200; ++i) {
      const int key = static_cast<int>(random() % 12);
      const int other = static_cast<int>(random() % 12);
      switch (random() % 4) {
        case 0:
          script += fmt::format("update items old({}) {} {}\n", key, other, i);
          break;
        case 1:
          script += fmt::format("delete items {}\n", key);
          break;
        default:
          script += fmt::format("update items {} {}\n", key, std::string(1 + random() % 5, 'x'));
      }
    }
    ASSERT_TRUE(Write(script + "commit").ok());
    EXPECT_FALSE(overlapped) << "two requests of one key at a time";
    std::map<int, int64_t> last;  // Ordinal by key.
    size_t count = 0;
    const std::vector<HttpReceived> requests = server_.Requests();
    for (size_t i = before; i < requests.size(); ++i) {
      const nlohmann::json body = nlohmann::json::parse(requests[i].body);
      for (const auto& event : body.is_array() ? body : nlohmann::json::array({body})) {
        ++count;
        const int64_t ordinal = event["transaction"]["ordinal"].get<int64_t>();
        for (const char* image : {"before", "after"}) {
          if (!event[image].is_object()) continue;
          int64_t& newest = last.try_emplace(event[image]["id"].get<int>(), -1).first->second;
          EXPECT_LE(newest, ordinal) << event.dump();
          newest = ordinal;
        }
      }
    }
    EXPECT_EQ(count, 200U);
    EXPECT_GT(server_.in_flight_max(), 1U);
  }
}

TEST_F(DeliveryTest, TriesAgainWithTheSameIdentity) {
  for (const int status : {503, 429, 408}) server_.Add(Answer(status, "busy"));
  Open();
  ASSERT_TRUE(Write("begin lsn=0/500\n insert items 1 a\n insert items 1 b\n commit").ok());
  EXPECT_EQ(Arrived(), Texts({R"(insert 1 "a")", R"(insert 1 "a")", R"(insert 1 "a")",
                              R"(insert 1 "a")", R"(insert 1 "b")"}));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(server_.Requests()[i].Header("idempotency-key"), "0/500:0");
  }
}

TEST_F(DeliveryTest, LeavesTheEndpointAloneAsLongAsItAsks) {
  HttpScript busy = Answer(429);
  busy.headers = {{"Retry-After", "1"}};
  server_.Add(busy);
  config_.requests = 1;
  Open();
  ASSERT_TRUE(Write("begin\n insert items 1 a\n insert items 2 b\n commit").ok());
  const std::vector<HttpReceived> requests = server_.Requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_GE(requests[1].at - requests[0].at, absl::Milliseconds(990)) << "nor for another key";
}

TEST_F(DeliveryTest, SurvivesBrokenAnswers) {
  config_.connection.request_timeout = absl::Milliseconds(200);
  Open();
  for (const Fault fault :
       {Fault::kGarbage, Fault::kCloseAtOnce, Fault::kCloseInAnswer, Fault::kHang}) {
    HttpScript script = Answer(200, std::string(1000, 'x'));
    script.fault = fault;
    server_.Add(script);
    const size_t before = server_.RequestCount();
    ASSERT_TRUE(Write("begin\n insert items 1 a\n commit").ok());
    EXPECT_GE(server_.RequestCount(), before + 2);
    EXPECT_EQ(Arrived().back(), R"(insert 1 "a")");
  }
}

TEST_F(DeliveryTest, TakesLongAnswers) {
  server_.Add(Answer(200, std::string(5 << 20, 'x')));
  Open();
  ASSERT_TRUE(Write("begin\n insert items 1 a\n commit").ok());
  EXPECT_EQ(server_.RequestCount(), 1U);
}

TEST_F(DeliveryTest, StopsAtOnce) {
  HttpScript hang;
  hang.fault = Fault::kHang;
  for (const bool answers : {false, true}) {
    // One that does not answer; one whose answer makes the sink wait.
    HttpScript rest = Answer(503);
    rest.headers = {{"Retry-After", "5"}};
    server_.Add(answers ? rest : hang);
    Open();
    const size_t before = server_.RequestCount();
    std::stop_source stop;
    absl::Time stopped;
    std::jthread stopper([&] {
      server_.WaitForRequests(before + 1);
      base::Pause(absl::Milliseconds(50), {});
      stopped = absl::Now();
      stop.request_stop();
    });
    const absl::Status status =
        Write("begin\n insert items 1 a\n commit", stop.get_token()).status();
    stopper.join();
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
    EXPECT_LT(absl::Now() - stopped, absl::Milliseconds(500));
  }
}

TEST_F(DeliveryTest, HalvesWhatIsTooLarge) {
  config_.batch.events = 100;
  config_.requests = 1;
  server_.SetResponder(
      [](const HttpReceived& received) { return Answer(received.body.size() > 2000 ? 413 : 200); });
  Open();
  std::string script = "begin\n";
  for (int i = 0; i < 40; ++i) script += fmt::format("insert items {} a\n", i);
  ASSERT_TRUE(Write(script + "commit").ok());
  std::set<std::string> taken;
  for (const HttpReceived& request : server_.Requests()) {
    if (request.body.size() > 2000) continue;
    for (const std::string& text : TextsOf(request)) taken.insert(text);
  }
  EXPECT_EQ(taken.size(), 40U);
  const size_t before = server_.RequestCount();
  ASSERT_TRUE(Write(script + "commit").ok());
  for (size_t i = before; i < server_.RequestCount(); ++i) {
    EXPECT_LE(server_.Requests()[i].body.size(), 2000U) << "it has learnt the size";
  }
}

TEST_F(DeliveryTest, FindsTheOneEventThatIsRefused) {
  config_.batch.events = 50;
  config_.requests = 1;
  server_.SetResponder([](const HttpReceived& received) {
    return Answer(received.body.find("poison") == std::string::npos ? 200 : 422, "no poison");
  });
  Open();
  std::string script = "begin lsn=0/500\n";
  for (int i = 0; i < 40; ++i) {
    script += fmt::format("insert items {} {}\n", i, i == 17 || i == 18 ? "poison" : "a");
  }
  const absl::StatusOr<engine::WriteResult> result = Write(script + "commit");
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->rejections.size(), 2U);
  EXPECT_EQ(result->rejections[0].position, (engine::Position{postgres::Lsn(0x500), 17}));
  EXPECT_EQ(result->rejections[1].position, (engine::Position{postgres::Lsn(0x500), 18}));
  const absl::Status& error = result->rejections[0].error;
  EXPECT_EQ(error.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Culprit(error), "0/500:17");
  EXPECT_NE(base::Message(error).find("public.items at 0/500:17: 422 no poison"),
            std::string_view::npos)
      << error;
  std::set<std::string> taken;
  for (const HttpReceived& request : server_.Requests()) {
    if (request.body.find("poison") != std::string::npos) continue;
    for (const std::string& text : TextsOf(request)) taken.insert(text);
  }
  EXPECT_EQ(taken.size(), 38U);
  EXPECT_LT(server_.RequestCount(), 30U);
}

TEST_F(DeliveryTest, HoldsBackWhatFollowsARefusedEventUnderItsKey) {
  for (const uint64_t batch : {1, 10}) {
    config_.batch.events = batch;
    sink_ = nullptr;
    server_.SetResponder([](const HttpReceived& received) {
      return Answer(received.body.find("poison") == std::string::npos ? 200 : 400);
    });
    Open();
    const size_t before = server_.RequestCount();
    const std::string lsn = fmt::format("0/{}00", batch);
    const std::string rows = "insert items 2 b\n update items 1 later\n insert items 3 c\n";
    const absl::Status status =
        Write(fmt::format("begin lsn={}\n insert items 1 poison\n {} commit", lsn, rows)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(Culprit(status), lsn + ":0");
    for (size_t i = before; i < server_.RequestCount(); ++i) {
      const std::string body = server_.Requests()[i].body;
      EXPECT_TRUE(body.find("poison") != std::string::npos ||
                  body.find("later") == std::string::npos)
          << body;
    }
    // The runtime buries the culprit and sends again; what was taken is not sent twice.
    Open();
    const size_t again = server_.RequestCount();
    builder_.StreamBatch(fmt::format("begin lsn={}\n insert items 9 other\n", lsn));
    batches_.clear();
    batches_.push_back(builder_.StreamBatch(rows + "commit"));
    ASSERT_TRUE(Rewrite().ok());
    Texts sent;
    const std::vector<HttpReceived> requests = server_.Requests();
    for (size_t i = again; i < requests.size(); ++i) {
      for (const std::string& text : TextsOf(requests[i])) sent.push_back(text);
    }
    EXPECT_EQ(sent, Texts({R"(update 1 "later")"}));
  }
}

TEST_F(DeliveryTest, ReadsWhichItemsFailed) {
  config_.batch.events = 10;
  config_.requests = 1;
  HttpScript partly = Answer(200, R"({"failed":[{"index":1,"error":"bad name"},
      {"id":"0/500:2","error":"later please","retry":true}]})");
  partly.headers = {{"Content-Type", "application/json"}};
  server_.Add(partly);
  Open();
  const absl::StatusOr<engine::WriteResult> result = Write(R"(begin lsn=0/500
      insert items 1 a
      insert items 2 b
      insert items 3 c
      update items 3 d
      insert items 4 e
      commit)");
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->rejections.size(), 1U);
  EXPECT_EQ(Culprit(result->rejections[0].error), "0/500:1");
  EXPECT_NE(base::Message(result->rejections[0].error).find("bad name"), std::string_view::npos);
  ASSERT_EQ(server_.RequestCount(), 2U);
  EXPECT_EQ(TextsOf(server_.Requests()[1]), Texts({R"(insert 3 "c")", R"(update 3 "d")"}))
      << "with what follows under its key";
}

TEST_F(DeliveryTest, StopsWhenNothingWouldBeTaken) {
  config_.connection.auth.bearer_token = config::Secret("hush-token");
  config_.secrets = {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
  for (const int status : {401, 403, 404, 410, 302}) {
    // An endpoint that shows what it was sent.
    server_.SetResponder([status](const HttpReceived& received) {
      return Answer(status, received.Header("authorization") + received.target +
                                " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    });
    Open();
    const absl::Status error = Write("begin\n insert items 1 a\n commit").status();
    EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition) << error;
    for (const char* secret : {"hush", "MfKQ", "/hook"}) {
      EXPECT_EQ(base::Message(error).find(secret), std::string_view::npos) << error;
    }
    EXPECT_NE(base::Message(error).find(std::to_string(status)), std::string_view::npos);
  }
}

TEST_F(DeliveryTest, ReportsAnOutageAndSendsWhatWasNotTaken) {
  config_.retry.error_after = absl::Milliseconds(100);
  std::atomic<bool> down = true;
  AnswerTo([&](const std::string& text) {
    return Answer(down && text == R"(insert 2 "b")" ? 503 : 200, "hush");
  });
  Open();
  const std::string script =
      "begin\n insert items 1 a\n insert items 2 b\n update items 2 c\n"
      " insert items 3 d\n commit";
  const absl::Status error = Write(script).status();
  EXPECT_EQ(error.code(), absl::StatusCode::kUnavailable) << error;
  EXPECT_NE(base::Message(error).find("503"), std::string_view::npos);
  down = false;
  Open();
  const size_t before = server_.RequestCount();
  ASSERT_TRUE(Rewrite().ok());
  Texts sent;
  const std::vector<HttpReceived> requests = server_.Requests();
  for (size_t i = before; i < requests.size(); ++i) {
    sent.push_back(TextsOf(requests[i]).front());
  }
  EXPECT_EQ(sent, Texts({R"(insert 2 "b")", R"(update 2 "c")"}));
  EXPECT_EQ(*sink_->Durable({}), end_);
}

TEST_F(DeliveryTest, ComesThroughWhenTheEndpointWasAway) {
  config_.retry.error_after = absl::Milliseconds(200);
  Open();
  server_.Stop();
  const absl::Time start = absl::Now();
  const absl::Status error = Write("begin\n insert items 1 a\n insert items 2 b\n commit").status();
  EXPECT_EQ(error.code(), absl::StatusCode::kUnavailable) << error;
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_EQ(base::Message(error).find("hush"), std::string_view::npos) << error;
  server_.Restart();
  Open();
  const absl::StatusOr<engine::WriteResult> result = Rewrite();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Arrived().size(), 2U);
}

TEST_F(DeliveryTest, ProbesAFailingEndpointByOneRequestAtATime) {
  config_.retry.circuit_failures = 4;
  config_.requests = 8;
  std::mutex mutex;
  int failures = 0;
  int under_way = 0;
  int side_by_side = 0;
  server_.SetResponder([&](const HttpReceived&) {
    {
      const std::lock_guard lock(mutex);
      ++under_way;
      // The first eight, and repetitions of three of them, may start before anybody knows; from the
      // 18th on it answers again.
      if (failures >= 11 && failures < 17) side_by_side = std::max(side_by_side, under_way);
    }
    base::Pause(absl::Milliseconds(10), {});
    const std::lock_guard lock(mutex);
    --under_way;
    return Answer(++failures <= 17 ? 500 : 200);
  });
  Open();
  std::string script = "begin\n";
  for (int i = 0; i < 40; ++i) script += fmt::format("insert items {} a\n", i);
  ASSERT_TRUE(Write(script + "commit").ok());
  const Texts arrived = Arrived();
  EXPECT_EQ((std::set<std::string>(arrived.begin(), arrived.end()).size()), 40U);
  const std::lock_guard lock(mutex);
  EXPECT_EQ(side_by_side, 1);
}

TEST_F(DeliveryTest, ManyRowsChangeTheirKeysInFewRequests) {
  config_.batch.events = 100;
  config_.requests = 4;
  Open();
  std::string script = "begin\n";
  for (int i = 0; i < 400; ++i) script += fmt::format("update items old({}) {} a\n", i, i + 1000);
  ASSERT_TRUE(Write(script + "commit").ok());
  EXPECT_EQ(Arrived().size(), 400U);
  EXPECT_LT(server_.RequestCount(), 300U);
}

TEST_F(DeliveryTest, ATruncateWaitsForAllAndAllForIt) {
  config_.requests = 8;
  server_.SetResponder([](const HttpReceived& received) {
    HttpScript script;
    script.delay = absl::Milliseconds(received.body.size() % 10);
    return script;
  });
  Open();
  std::string script = "begin\n";
  for (int i = 0; i < 20; ++i)
    script += fmt::format("insert items {} {}\n", i, std::string(i + 1, 'x'));
  script += "truncate items\n";
  for (int i = 0; i < 20; ++i) script += fmt::format("insert items {} a\n", i);
  ASSERT_TRUE(Write(script + "commit").ok());
  const Texts arrived = Arrived();
  ASSERT_EQ(arrived.size(), 41U);
  EXPECT_EQ(arrived[20], "truncate");
  EXPECT_EQ(server_.Requests()[21].at - server_.Requests()[20].at > absl::ZeroDuration(), true);
}

TEST_F(DeliveryTest, RejectsSnapshotRowsOneByOne) {
  config_.batch.events = 10;
  server_.SetResponder([](const HttpReceived& received) {
    return Answer(received.body.find("poison") == std::string::npos ? 200 : 400);
  });
  Open();
  std::unique_ptr<engine::SnapshotLane> lane = *sink_->OpenLane({});
  ASSERT_TRUE(lane->BeginRange({}, {}, {}).ok());
  engine::Batch rows = builder_.Snapshot("items", "1 a\n2 poison\n3 c");
  const absl::StatusOr<engine::WriteResult> result = lane->Write(rows, {});
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->rejections.size(), 1U);
  EXPECT_EQ(result->rejections[0].event, 1U);
}

}  // namespace
}  // namespace pgflow::sinks
