#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/observe/sample_status.h"
#include "engine/observe/status_json.h"
#include "engine/observe/status_text.h"

namespace pgflow::engine {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(StatusJson, ComesBackAsItWas) {
  const std::string json = StatusToJson(SampleStatus());
  const absl::StatusOr<PipelineStatus> back = StatusFromJson(json);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(StatusToJson(*back), json);
  EXPECT_EQ(back->server_lsn, SampleStatus().server_lsn);
  EXPECT_EQ(back->started, SampleStatus().started);
  EXPECT_EQ(back->sinks[0].durable_commit_time, SampleStatus().sinks[0].durable_commit_time);
  EXPECT_EQ(back->sinks[0].write_latency_counts, SampleStatus().sinks[0].write_latency_counts);
  EXPECT_NE(json.find("\"durable_lsn\": \"16/80\""), std::string::npos);
}

TEST(StatusJson, ToleratesMissingFieldsOnly) {
  const absl::StatusOr<PipelineStatus> old = StatusFromJson(R"({"pipeline":"p","later":1})");
  ASSERT_TRUE(old.ok());
  EXPECT_EQ(old->pipeline, "p");
  for (const std::string_view bad :
       {"", "[]", "{}", "{", R"({"pipeline":1})", R"({"pipeline":"p","sinks":[{"name":1}]})"}) {
    EXPECT_EQ(StatusFromJson(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(StatusJson, IsReadableWhateverTheNames) {
  PipelineStatus status;
  status.pipeline = "bad \xFF name";
  EXPECT_TRUE(StatusFromJson(StatusToJson(status)).ok());
}

TEST(StatusText, TellsEverythingThatMatters) {
  EXPECT_EQ(StatusToText(SampleStatus(), absl::FromUnixSeconds(1'700'000'192)),
            "pipeline shop: streaming, up 3m12s\n"
            "source: localhost:5432/shop as postgres\n"
            "slot: pgflow_shop (reserved), 12.3 MiB of WAL retained\n"
            "ddl: all commands\n"
            "position: server 16/100, received 16/F0, acknowledged 16/80\n"
            "received: 1,234,567 events in 12,345 transactions, 94.2 MiB; 2 open, 1 reconnects\n"
            "held: 4.0 KiB in memory, 8.0 KiB in the spool\n"
            "\n"
            "SINK    TYPE      PHASE      FRONTIER    LAG  BEHIND     EVENTS    QUEUE   WRITE  "
            "RETRIES  REJECTED\n"
            "target  postgres  streaming  16/80     128 B  3.0 ms  1,234,000  2.0 KiB  5.0 ms  "
            "      4         5\n"
            "sink target: retrying after: connection lost\n"
            "sink target: 6 changes passed over, as its options say (see the log)\n"
            "\n"
            "snapshot into target: 1 of 2 tables, 1,500 rows, 781.2 KiB\n"
            "TABLE                   ROWS     COPIED    ON DISK  RANGES  STATE\n"
            "public.orders  500 of ~1,000  390.6 KiB  976.6 KiB     1/4  copying\n"
            "public.users           1,000  390.6 KiB  976.6 KiB     4/4  complete\n");
}

TEST(StatusText, OfALogOfMessagesCountsMessages) {
  PipelineStatus status = SampleStatus();
  status.counts_messages = true;
  status.slot = "2 parts of the log";
  const std::string text = StatusToText(status, absl::FromUnixSeconds(1'700'000'192));
  EXPECT_THAT(text, HasSubstr("log: 2 parts of the log\n"));
  EXPECT_THAT(text, HasSubstr("128 messages"));
  EXPECT_THAT(text, HasSubstr("94,489,280,640"));  // And not 16/80.
  EXPECT_THAT(text, Not(HasSubstr("128 B")));
  EXPECT_THAT(text, Not(HasSubstr("WAL")));
  const std::string json = StatusToJson(status);
  EXPECT_THAT(json, HasSubstr("\"lag_messages\": 128"));
  EXPECT_EQ(StatusToText(*StatusFromJson(json), absl::FromUnixSeconds(1'700'000'192)), text);
}

TEST(StatusText, ShowsWhyItFailed) {
  PipelineStatus status;
  status.phase = Phase::kFailed;
  status.error = "table public.t is gone";
  EXPECT_NE(StatusToText(status, absl::Now()).find("error: table public.t is gone\n"),
            std::string::npos);
}

TEST(StatusTest, ShowsEndpointsTheOnesInTroubleFirst) {
  PipelineStatus status;
  status.pipeline = "shop";
  SinkStatus& sink = status.sinks.emplace_back();
  sink.name = "hooks";
  sink.endpoints = {{"1", "delivering", "https://a.example", "", 0, 0, 7, 0},
                    {"2", "failing", "https://b.example", "refused", 3, 900, 0, 1}};
  const absl::StatusOr<PipelineStatus> back = StatusFromJson(StatusToJson(status));
  ASSERT_TRUE(back.ok()) << back.status();
  ASSERT_EQ(back->sinks[0].endpoints.size(), 2U);
  EXPECT_EQ(back->sinks[0].endpoints[1].error, "refused");
  EXPECT_EQ(back->sinks[0].endpoints[1].waiting_bytes, 900U);
  const std::string text = StatusToText(status, absl::Now());
  EXPECT_LT(text.find("b.example"), text.find("a.example")) << text;
  EXPECT_NE(text.find("endpoint 2: refused"), std::string::npos) << text;
}

}  // namespace
}  // namespace pgflow::engine
