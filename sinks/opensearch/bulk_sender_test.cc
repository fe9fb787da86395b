// The bulk sender against a server that fails in every way one does: nothing is lost, and what is
// sent twice changes nothing.
#include "sinks/opensearch/bulk_sender.h"

#include <map>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/scripted_http_server.h"

namespace pgflow::sinks {
namespace {

using engine::HttpReceived;
using engine::HttpScript;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

// Documents with versions, as an index with external_gte keeps them. Thread-safe.
class VersionedIndex {
 public:
  // What becomes of each item; nothing: it is applied. The answer's JSON.
  using Fate = std::function<std::optional<Json>(const std::string& id)>;

  std::string Apply(const std::string& body, const Fate& fate = nullptr) {
    const std::lock_guard lock(mutex_);
    Json items = Json::array();
    bool errors = false;
    std::istringstream lines(body);
    for (std::string line; std::getline(lines, line);) {
      const Json action = Json::parse(line);
      const std::string verb = action.begin().key();
      const std::string id = action[verb]["_id"];
      std::string source;
      if (verb == "index") std::getline(lines, source);
      std::optional<Json> failed = fate == nullptr ? std::nullopt : fate(id);
      if (!failed.has_value()) failed = Write(id, action[verb]["version"], source);
      errors |= failed->value("status", 0) >= 300;
      items.push_back({{verb, *failed}});
    }
    return Json({{"errors", errors}, {"items", items}}).dump();
  }

  // "id=source id=source", by id.
  std::string Documents() const {
    const std::lock_guard lock(mutex_);
    std::string text;
    for (const auto& [id, document] : documents_) {
      if (!document.source.empty()) text += (text.empty() ? "" : " ") + id + "=" + document.source;
    }
    return text;
  }

 private:
  struct Document {
    uint64_t version = 0;
    std::string source;  // Empty: deleted.
  };

  Json Write(const std::string& id, uint64_t version, const std::string& source) {
    const auto found = documents_.find(id);
    if (found != documents_.end() && found->second.version > version) {
      return {{"status", 409}, {"error", {{"type", "version_conflict_engine_exception"}}}};
    }
    const bool missing = found == documents_.end() || found->second.source.empty();
    documents_[id] = {version, source};
    return {{"status", source.empty() && missing ? 404 : 200}};
  }

  mutable std::mutex mutex_;
  std::map<std::string, Document> documents_;
};

Json Failure(int status, const std::string& type) {
  return {{"status", status}, {"error", {{"type", type}, {"reason", "because"}}}};
}

class BulkSenderTest : public testing::Test {
 protected:
  BulkSenderTest() {
    config_.url = server_.Url("");
    config_.connection.request_timeout = absl::Milliseconds(500);
    server_.SetResponder([this](const HttpReceived& request) { return Applied(request); });
  }
  void TearDown() override { server_.Stop(); }

  HttpScript Applied(const HttpReceived& request, const VersionedIndex::Fate& fate = nullptr) {
    HttpScript script;
    script.body = index_.Apply(request.body, fate);
    return script;
  }
  static HttpScript Status(int status) {
    HttpScript script;
    script.status = status;
    script.body = R"({"error":{"type":"es_rejected_execution_exception","reason":"full"}})";
    return script;
  }
  static HttpScript Faulty(HttpScript::Fault fault) {
    HttpScript script;
    script.fault = fault;
    script.body = R"({"errors":false,"items":[{"index":{"status":200}}]})";
    return script;
  }

  // Documents `first` to `last`, tagged with their numbers.
  static BulkBody Body(int first, int last, uint64_t version = 1) {
    static const BulkTarget kTarget("items", false);
    BulkBody body;
    for (int i = first; i <= last; ++i) {
      body.BeginIndex(kTarget, std::to_string(i), version) += fmt::format("{{\"v\":{}}}", version);
      body.FinishIndex(static_cast<uint64_t>(i));
    }
    return body;
  }
  absl::StatusOr<std::vector<RefusedItem>> Send(std::vector<BulkBody> bodies,
                                                std::stop_token stop = {}) {
    if (cluster_ == nullptr) cluster_ = *Cluster::Make(config_, "pgflow/test");
    BulkSender sender(*cluster_, 2, patience_);
    return sender.Send(std::move(bodies), BulkSender::Visibility::kLater, std::move(stop));
  }
  std::vector<std::string> Bodies() const {
    std::vector<std::string> bodies;
    for (const HttpReceived& request : server_.Requests()) bodies.push_back(request.body);
    return bodies;
  }

  VersionedIndex index_;
  engine::ScriptedHttpServer server_;
  OpenSearchSinkConfig config_;
  std::unique_ptr<Cluster> cluster_;
  BulkPatience patience_{.give_up_after = absl::Seconds(10),
                         .first_pause = absl::Milliseconds(20),
                         .pause_max = absl::Milliseconds(60)};
};

TEST_F(BulkSenderTest, SendsAgainWhatTheServerHasNoRoomFor) {
  for (const int status : {429, 503, 502, 429, 503}) server_.Add(Status(status));
  const auto sent = Send({Body(1, 3)});
  ASSERT_TRUE(sent.ok()) << sent.status();
  EXPECT_THAT(*sent, IsEmpty());
  EXPECT_EQ(index_.Documents(), R"(1={"v":1} 2={"v":1} 3={"v":1})");
  const std::vector<HttpReceived> requests = server_.Requests();
  ASSERT_EQ(requests.size(), 6U);
  for (const HttpReceived& request : requests) EXPECT_EQ(request.body, requests[0].body);
  // The pauses double, up to their maximum.
  for (size_t i = 1; i < requests.size(); ++i) {
    const absl::Duration least =
        std::min(patience_.first_pause * (1 << (i - 1)), patience_.pause_max);
    EXPECT_GE(requests[i].at - requests[i - 1].at, least - absl::Milliseconds(2)) << i;
    EXPECT_LT(requests[i].at - requests[i - 1].at, absl::Seconds(5)) << i;
  }
}

TEST_F(BulkSenderTest, GivesUpAServerThatTakesNothing) {
  patience_.give_up_after = absl::Milliseconds(150);
  server_.SetResponder([](const HttpReceived&) { return Status(429); });
  const absl::Time start = absl::Now();
  const absl::Status status = Send({Body(1, 1)}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_TRUE(base::IsRetryable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("full"));
  EXPECT_GE(absl::Now() - start, patience_.give_up_after);
  EXPECT_LT(server_.RequestCount(), 12U);
}

// One item a round is progress, however long the whole takes.
TEST_F(BulkSenderTest, DoesNotGiveUpWhileItemsGetThrough) {
  patience_.give_up_after = absl::Milliseconds(100);
  patience_.pause_max = absl::Milliseconds(40);
  std::atomic<int> round{0};
  server_.SetResponder([&](const HttpReceived& request) {
    const int taken = ++round;
    return Applied(request, [taken](const std::string& id) -> std::optional<Json> {
      if (std::stoi(id) <= taken) return std::nullopt;
      return Failure(429, "circuit_breaking_exception");
    });
  });
  const absl::Time start = absl::Now();
  const auto sent = Send({Body(1, 10)});
  ASSERT_TRUE(sent.ok()) << sent.status();
  EXPECT_GT(absl::Now() - start, 2 * patience_.give_up_after);
  EXPECT_EQ(server_.RequestCount(), 10U);
  EXPECT_THAT(index_.Documents(), HasSubstr("10={"));
}

TEST_F(BulkSenderTest, SendsOnlyTheItemsAgainThatWereNotDone) {
  std::atomic<bool> first{true};
  server_.SetResponder([&](const HttpReceived& request) {
    const bool fails = first.exchange(false);
    return Applied(request, [fails](const std::string& id) -> std::optional<Json> {
      if (id == "3") return Failure(400, "mapper_parsing_exception");
      if (!fails) return std::nullopt;
      if (id == "2") return Failure(429, "es_rejected_execution_exception");
      if (id == "4") return Failure(503, "unavailable_shards_exception");
      return std::nullopt;
    });
  });
  const auto sent = Send({Body(1, 5)});
  ASSERT_TRUE(sent.ok()) << sent.status();
  ASSERT_EQ(sent->size(), 1U);
  EXPECT_EQ((*sent)[0].tag, 3U);
  EXPECT_THAT((*sent)[0].reason, HasSubstr("mapper_parsing_exception: because"));
  BulkBody again = Body(2, 2);
  again.Copy(Body(4, 4), Body(4, 4).items()[0]);
  EXPECT_THAT(Bodies(), ElementsAre(Body(1, 5).bytes(), again.bytes()));
  EXPECT_EQ(index_.Documents(), R"(1={"v":1} 2={"v":1} 4={"v":1} 5={"v":1})");
}

TEST_F(BulkSenderTest, AnOlderVersionAndAMissingDocumentAreDone) {
  ASSERT_TRUE(Send({Body(1, 1, 7)}).ok());
  BulkBody body = Body(1, 1, 5);
  body.Delete(BulkTarget("items", false), "2", 5, 2);
  const auto sent = Send({std::move(body)});
  ASSERT_TRUE(sent.ok()) << sent.status();
  EXPECT_THAT(*sent, IsEmpty());
  EXPECT_EQ(index_.Documents(), R"(1={"v":7})");
  EXPECT_EQ(server_.RequestCount(), 2U);
}

TEST_F(BulkSenderTest, NoAnswerIsAnErrorAndTheRepetitionChangesNothing) {
  for (const auto fault : {HttpScript::Fault::kHang, HttpScript::Fault::kCloseAtOnce,
                           HttpScript::Fault::kCloseInAnswer, HttpScript::Fault::kGarbage}) {
    server_.Add(Faulty(fault));
    const absl::Time start = absl::Now();
    const absl::Status status = Send({Body(1, 2)}).status();
    // A connection that ends before an answer is taken for one that was idle too long: the client
    // sends the request again by itself.
    const bool repeated = fault == HttpScript::Fault::kCloseAtOnce && status.ok();
    EXPECT_TRUE(repeated || base::IsRetryable(status)) << static_cast<int>(fault) << " " << status;
    EXPECT_LT(absl::Now() - start, absl::Seconds(10));
    ASSERT_TRUE(Send({Body(1, 2)}).ok());
    EXPECT_EQ(index_.Documents(), R"(1={"v":1} 2={"v":1})");
  }
}

TEST_F(BulkSenderTest, AnAnswerThatIsNoneForTheseItemsIsAnError) {
  for (const std::string answer :
       {"", "<html>proxy</html>", R"({"errors":false,"items":[)", R"({"errors":false})",
        R"({"errors":false,"items":[{"index":{"status":200}}]})",
        R"({"errors":true,"items":[{"index":{"status":200}},{"index":{}}]})"}) {
    HttpScript script;
    script.body = answer;
    server_.Add(script);
    const absl::Status status = Send({Body(1, 2)}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << answer << " " << status;
  }
}

TEST_F(BulkSenderTest, WhatWillNotPassIsSaidAtOnce) {
  server_.Add(Status(401));
  EXPECT_EQ(Send({Body(1, 1)}).status().code(), absl::StatusCode::kUnauthenticated);
  server_.SetResponder([this](const HttpReceived& request) {
    return Applied(request, [](const std::string&) { return Failure(403, "security_exception"); });
  });
  EXPECT_EQ(Send({Body(1, 1)}).status().code(), absl::StatusCode::kPermissionDenied);
  server_.SetResponder([this](const HttpReceived& request) {
    return Applied(request, [](const std::string&) { return Failure(404, "index_not_found"); });
  });
  EXPECT_EQ(Send({Body(1, 1)}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(server_.RequestCount(), 3U);
}

TEST_F(BulkSenderTest, HalvesWhatIsTooLarge) {
  server_.SetResponder([this](const HttpReceived& request) {
    const size_t largest = 2 * Body(1, 1).bytes().size();
    const bool huge = request.body.find(R"("_id":"5")") != std::string::npos;
    return huge || request.body.size() > largest ? Status(413) : Applied(request);
  });
  const auto sent = Send({Body(1, 7)});
  ASSERT_TRUE(sent.ok()) << sent.status();
  ASSERT_EQ(sent->size(), 1U);
  EXPECT_EQ((*sent)[0].tag, 5U);
  EXPECT_EQ(index_.Documents(), R"(1={"v":1} 2={"v":1} 3={"v":1} 4={"v":1} 6={"v":1} 7={"v":1})");
}

TEST_F(BulkSenderTest, AStopEndsAPause) {
  patience_.first_pause = patience_.pause_max = absl::Seconds(60);
  server_.SetResponder([](const HttpReceived&) { return Status(503); });
  std::stop_source stop;
  const std::jthread stopper([&] {
    EXPECT_TRUE(server_.WaitForRequests(1));
    stop.request_stop();
  });
  const absl::Time start = absl::Now();
  EXPECT_EQ(Send({Body(1, 1)}, stop.get_token()).status().code(), absl::StatusCode::kCancelled);
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
}

// Requests fail before or after they were applied; the caller repeats what was not confirmed, in
// order, as the lane does.
TEST_F(BulkSenderTest, NothingIsLostOrGoesBackUnderRandomFaults) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  std::mutex mutex;
  config_.connection.request_timeout = absl::Seconds(5);
  patience_.first_pause = absl::Milliseconds(1);
  patience_.pause_max = absl::Milliseconds(5);
  server_.SetResponder([&](const HttpReceived& request) {
    const std::lock_guard lock(mutex);
    const auto dice = random() % 8;
    if (dice == 0) return Status(429);
    if (dice == 1) return Faulty(HttpScript::Fault::kCloseAtOnce);
    HttpScript script = Applied(request, [&](const std::string&) -> std::optional<Json> {
      if (random() % 6 == 0) return Failure(429, "es_rejected_execution_exception");
      return std::nullopt;
    });
    if (dice == 2) script.fault = HttpScript::Fault::kCloseInAnswer;
    if (dice == 3) script.fault = HttpScript::Fault::kCloseAtOnce;
    return script;
  });
  for (uint64_t version = 1; version <= 15; ++version) {
    int tries = 0;
    while (true) {
      ASSERT_LT(++tries, 200);
      const auto sent = Send({Body(10, 14, version), Body(15, 19, version)});
      if (sent.ok()) break;
      ASSERT_TRUE(base::IsRetryable(sent.status())) << sent.status();
    }
    std::string expected;
    for (int i = 10; i < 20; ++i) {
      expected += fmt::format("{}{}={{\"v\":{}}}", i == 10 ? "" : " ", i, version);
    }
    ASSERT_EQ(index_.Documents(), expected);
  }
}

}  // namespace
}  // namespace pgflow::sinks
