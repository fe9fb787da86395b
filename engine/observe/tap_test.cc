#include "engine/observe/tap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/observe/tap_access.h"
#include "engine/testing/event_builder.h"

namespace pgflow::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TapTest : public testing::Test {
 protected:
  TapTest() {
    builder_.Table("public.orders (id int4 key, note text)");
    builder_.Table("audit.log (id int4 key)");
  }

  static TapFilter Filter(std::string_view query) { return *TapFilter::FromQuery(query); }
  static std::unique_ptr<TapWatcher> Watch(Tap& tap, std::string_view query = "") {
    auto watcher = tap.Watch(Filter(query));
    EXPECT_TRUE(watcher.ok()) << watcher.status();
    return watcher.ok() ? *std::move(watcher) : nullptr;
  }
  // What is waiting, described: "skipped 3", "insert public.orders 1 a".
  static std::vector<std::string> Taken(TapWatcher& watcher) {
    std::vector<std::string> lines;
    while (const auto item = watcher.Take(absl::ZeroDuration(), {})) {
      if (item->skipped > 0) lines.push_back("skipped " + std::to_string(item->skipped));
      if (item->batch == nullptr) continue;
      for (const ChangeEvent& event : item->batch->events) {
        if (watcher.filter().Wants(event)) lines.push_back(Describe(event));
      }
    }
    return lines;
  }

  EventBuilder builder_;
  Tap tap_{{.sinks = {"one", "two"}}};
};

TEST_F(TapTest, IsWatchedOnlyWhileSomebodyWatches) {
  EXPECT_FALSE(tap_.watched());
  auto first = Watch(tap_);
  auto second = Watch(tap_);
  EXPECT_TRUE(tap_.watched());
  first.reset();
  EXPECT_TRUE(tap_.watched());
  second.reset();
  EXPECT_FALSE(tap_.watched());
}

TEST_F(TapTest, GivesEachWatcherWhatItAskedFor) {
  const auto all = Watch(tap_);
  const auto orders = Watch(tap_, "tables=public.*&operations=update,read");
  const auto other = Watch(tap_, "sink=two");
  tap_.Take("one", builder_.StreamBatch("begin\n insert orders 1 a\n insert log 1\n commit"));
  tap_.Take("one", builder_.StreamBatch("begin\n update orders 1 b\n commit"));
  tap_.Take("one+join", builder_.Snapshot("orders", "7 x"));
  EXPECT_THAT(Taken(*all), ElementsAre("insert public.orders 1 a", "insert audit.log 1",
                                       "update public.orders 1 b", "read public.orders 7 x"));
  EXPECT_THAT(Taken(*orders), ElementsAre("update public.orders 1 b", "read public.orders 7 x"));
  EXPECT_THAT(Taken(*other), ElementsAre());
}

TEST_F(TapTest, LetsGoWhatDoesNotFitAndCountsIt) {
  Tap tap({.sinks = {"one"}, .queue_bytes_max = 3 * sizeof(ChangeEvent) + 60});
  const auto watcher = Watch(tap, "tables=public.orders");
  tap.Take("one", builder_.StreamBatch("begin\n insert orders 1 a\n commit"));
  tap.Take("one", builder_.StreamBatch("begin\n insert orders 2 b\n insert orders 3 c\n"
                                       " insert log 1\n insert orders 4 d\n commit"));
  tap.Take("one", builder_.StreamBatch("begin\n insert log 2\n commit"));
  tap.Take("one", builder_.StreamBatch("begin\n insert orders 5 e\n commit"));
  EXPECT_THAT(Taken(*watcher),
              ElementsAre("insert public.orders 1 a", "skipped 3", "insert public.orders 5 e"));
  tap.Take("one", builder_.Snapshot("orders", "1 a\n2 b\n3 c\n4 d\n5 e"));
  EXPECT_THAT(Taken(*watcher), ElementsAre("skipped 5"));
  tap.Take("one", builder_.Snapshot("orders", "6 f"));
  EXPECT_THAT(Taken(*watcher), ElementsAre("read public.orders 6 f"));
}

TEST_F(TapTest, RefusesWhatItCannotGive) {
  EXPECT_THAT(std::string(base::Message(tap_.Watch(Filter("sink=three")).status())),
              HasSubstr("no 'three'; it has one, two"));
  Tap closed({.sinks = {"one"}, .watchers_max = 0});
  EXPECT_EQ(closed.Watch({}).status().code(), absl::StatusCode::kFailedPrecondition);
  Tap narrow({.sinks = {"one"}, .watchers_max = 1});
  auto first = Watch(narrow);
  EXPECT_EQ(narrow.Watch({}).status().code(), absl::StatusCode::kResourceExhausted);
  first.reset();
  EXPECT_TRUE(narrow.Watch({}).ok());
}

TEST_F(TapTest, CountsTablesForAWhileAfterAQuestion) {
  Tap tap({.sinks = {"one"}, .counting_time = absl::Milliseconds(200)});
  EXPECT_TRUE(tap.Activity().empty());
  EXPECT_TRUE(tap.watched());
  tap.Take("one", builder_.StreamBatch("begin\n insert orders 1 abc\n insert orders 2 d\n"
                                       " delete orders 1\n insert log 1\n commit"));
  tap.Take("one", builder_.Snapshot("orders", "1 a\n2 b"));
  const auto totals = *ActivityFromJson(ActivityToJson(tap.Activity()));
  ASSERT_EQ(totals.size(), 2U);
  EXPECT_EQ(totals[0].sink, "one");
  EXPECT_EQ(totals[0].table.ToString(), "public.orders");
  EXPECT_THAT(totals[0].changes, ElementsAre(2, 2, 0, 1, 0, 0));
  EXPECT_EQ(totals[0].bytes, 4U + 2U + 1U + 8U);
  EXPECT_THAT(totals[1].changes, ElementsAre(0, 1, 0, 0, 0, 0));
  absl::SleepFor(absl::Milliseconds(250));
  tap.Take("one", builder_.StreamBatch("begin\n insert orders 3 x\n commit"));
  EXPECT_FALSE(tap.watched());
  EXPECT_TRUE(tap.Activity().empty());
}

TEST(TapFilter, SaysWhatIsWrongWithAQuery) {
  const auto error = [](std::string_view query) {
    return std::string(base::Message(TapFilter::FromQuery(query).status()));
  };
  EXPECT_THAT(error("operations=insrt"), HasSubstr("'insrt' is none of read, insert"));
  EXPECT_THAT(error("tables=orders"), HasSubstr("'public.orders'"));
  EXPECT_THAT(error("limit=x"), HasSubstr("limit: 'x'"));
  EXPECT_THAT(error("limit=0"), HasSubstr("limit: '0'"));
  EXPECT_THAT(error("table=a.b"), HasSubstr("'table' is none of"));
  EXPECT_THAT(error("sink=%2"), HasSubstr("hexadecimal"));
}

TEST(TapFilter, ReadsWhatItWrites) {
  TapFilter filter;
  filter.tables = {"public.a b", "sa&les.*"};
  filter.operations = {Operation::kInsert, Operation::kSchemaChange};
  filter.sink = "ta+get%";
  filter.limit = 12;
  const auto read = TapFilter::FromQuery(filter.ToQuery());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->tables, filter.tables);
  EXPECT_EQ(read->operations, filter.operations);
  EXPECT_EQ(read->sink, filter.sink);
  EXPECT_EQ(read->limit, filter.limit);
}

TEST(RefuseTap, KnowsProgramsOfThisMachine) {
  for (const char* host :
       {"localhost", "localhost:9187", "127.0.0.1:9187", "[::1]:9187", "10.1.2.3:9187"}) {
    EXPECT_EQ(RefuseTap("127.0.0.1", host), std::nullopt) << host;
  }
  EXPECT_EQ(RefuseTap("127.9.9.9", "localhost"), std::nullopt);
  EXPECT_EQ(RefuseTap("::1", "localhost"), std::nullopt);
  EXPECT_EQ(RefuseTap("::ffff:127.0.0.1", "localhost"), std::nullopt);
  for (const char* peer : {"10.1.2.3", "::ffff:10.1.2.3", "fe80::1", "", "localhost"}) {
    EXPECT_NE(RefuseTap(peer, "localhost"), std::nullopt) << peer;
  }
  for (const char* host : {"evil.example", "evil.example:9187", "", "localhost.evil.example"}) {
    EXPECT_NE(RefuseTap("127.0.0.1", host), std::nullopt) << host;
  }
}

}  // namespace
}  // namespace pgflow::engine
