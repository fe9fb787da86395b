#include "transformers/route/route_transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"

namespace pgflow::transformers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RouteTest : public testing::Test {
 protected:
  RouteTest() {
    builder_.Table("public.events (id int4 key, kind text, note text)");
    builder_.Table("public.full_events (id int4 key, kind text, note text) full");
    builder_.Table("audit.log (id int4 key)");
  }

  static RouteConfig Config(std::vector<RouteRule> rules) {
    RouteConfig config;
    config.rules = std::move(rules);
    return config;
  }
  static RouteConfig ByKind() {
    return Config({{"public.*events", "kind = 'order'", "public.order_events"},
                   {"public.*events", "kind = 'visit'", "visits"}});
  }

  // The events, or the error alone.
  std::vector<std::string> Stream(RouteConfig config, const std::string& script) {
    auto made = RouteTransformer::Make(std::move(config));
    if (!made.ok()) return {std::string(base::Message(made.status()))};
    batch_.emplace(builder_.StreamBatch("begin\n" + script + "\ncommit"));
    const absl::Status status = (*made)->Transform(*batch_);
    culprit_ = base::Payload(status, engine::kCulpritPayload);
    if (!status.ok()) return {std::string(base::Message(status))};
    return engine::Describe(*batch_);
  }

  engine::EventBuilder builder_;
  std::optional<engine::Batch> batch_;
  std::string culprit_;
};

TEST_F(RouteTest, TakesTheFirstRuleThatMatches) {
  EXPECT_THAT(
      Stream(Config({{"public.events", "kind = 'order'", "public.order_events"},
                     {"public.events", "id > 5", "late"},
                     {"public.events", "kind = 'order'", "never"}}),
             R"(
      insert events 1 order a
      insert events 9 order a
      insert events 9 visit a
      insert events 2 visit a
      insert events 3 null a
      insert log 1)"),
      ElementsAre("insert public.order_events 1 order a", "insert public.order_events 9 order a",
                  "insert public.late 9 visit a", "insert public.events 2 visit a",
                  "insert public.events 3 null a", "insert audit.log 1"));
}

TEST_F(RouteTest, NamesTheTableByAValue) {
  const RouteConfig config = Config({{"public.full_events", {}, "parts.events_{kind}"}});
  EXPECT_THAT(
      Stream(config,
             "insert full_events 1 order a\ninsert full_events 2 null a\n"
             "delete full_events full(1 order a)"),
      ElementsAre("insert parts.events_order 1 order a", "insert public.full_events 2 null a",
                  "delete parts.events_order full(1 order a)"));
  EXPECT_THAT(Stream(config, "insert full_events 1 a.b a"),
              ElementsAre("route: table public.full_events, row (id) = (1): the value 'a.b' of "
                          "column 'kind' cannot be part of a table's name"));
  EXPECT_THAT(Stream(config, "insert full_events 1 " + std::string(80, 'x') + " a"),
              ElementsAre(HasSubstr("is no name of a table")));
  EXPECT_THAT(Stream(config, "truncate full_events"),
              ElementsAre(HasSubstr("TRUNCATE of table public.full_events cannot be passed on")));
}

TEST_F(RouteTest, MovesRowsWithTheirUpdates) {
  EXPECT_THAT(
      Stream(ByKind(), R"(
      update full_events full(1 order a) 1 order b
      update full_events full(1 order a) 1 visit unchanged
      update full_events full(1 visit a) 1 other a
      delete full_events full(1 order a))"),
      ElementsAre("update public.order_events full(1 order a) 1 order b",
                  "delete public.order_events full(1 order a)", "insert public.visits 1 visit a",
                  "delete public.visits full(1 visit a)", "insert public.full_events 1 other a",
                  "delete public.order_events full(1 order a)"));
}

TEST_F(RouteTest, KnowsATableByBothOfItsNames) {
  EXPECT_THAT(Stream(Config({{"public.full_events", "kind = 'a'", "visits"},
                             {"public.full_events", "kind = 'b'", "public.visits"}}),
                     "update full_events full(1 a x) 1 b x"),
              ElementsAre("update public.visits full(1 a x) 1 b x"));
}

TEST_F(RouteTest, NeedsToKnowTheOldRow) {
  EXPECT_THAT(Stream(ByKind(), "insert events 1 order a\nupdate events 1 order b"),
              ElementsAre(HasSubstr("route: table public.events, row (id) = (1): which table the "
                                    "old row belongs to cannot be known")));
  EXPECT_EQ(culprit_, "0/100:1");
  EXPECT_THAT(Stream(ByKind(), "delete events 1"),
              ElementsAre(HasSubstr("the deleted row belongs to cannot be known")));
  const RouteConfig by_key = Config({{"public.events", "id < 10", "small"}});
  EXPECT_THAT(Stream(by_key,
                     "update events 1 a unchanged\nupdate events old(1) 11 a b\n"
                     "delete events 1\ndelete events 11"),
              ElementsAre("update public.small 1 a unchanged", "delete public.small 1",
                          "insert public.events 11 a b", "delete public.small 1",
                          "delete public.events 11"));
  EXPECT_THAT(Stream(by_key, "update events old(1) 11 a unchanged"),
              ElementsAre(HasSubstr("moves the row to another table and leaves out a large")));
}

TEST_F(RouteTest, EmptiesEveryTable) {
  EXPECT_THAT(Stream(ByKind(), "truncate events, log"),
              ElementsAre("truncate public.events", "truncate public.order_events",
                          "truncate public.visits", "truncate audit.log"));
  const std::span<const engine::ChangeEvent> events = *batch_->Events();
  EXPECT_TRUE(events[2].truncate_more);
  EXPECT_FALSE(events[3].truncate_more);
  EXPECT_THAT(Stream(Config({{"public.events", "id < 5", "a"}, {"public.events", {}, "b"}}),
                     "truncate events"),
              ElementsAre("truncate public.a", "truncate public.b"));
}

TEST_F(RouteTest, RoutesSnapshotRows) {
  auto route = *RouteTransformer::Make(ByKind());
  engine::Batch rows = builder_.Snapshot("events", "1 order a\n2 other b\n3 visit c");
  ASSERT_TRUE(route->Transform(rows).ok());
  EXPECT_THAT(engine::Describe(rows),
              ElementsAre("read public.order_events 1 order a", "read public.events 2 other b",
                          "read public.visits 3 visit c"));
  rows = builder_.Snapshot("log", "1");
  ASSERT_TRUE(route->Transform(rows).ok());
  EXPECT_NE(rows.raw_rows(), nullptr);
}

TEST_F(RouteTest, TellsItsTables) {
  auto route = *RouteTransformer::Make(ByKind());
  EXPECT_EQ(*route->TransformSchema(builder_.FindTable("events")), builder_.FindTable("events"));
  std::vector<schemas::TableSchemaPtr> routes;
  ASSERT_TRUE(route->AppendRoutes(builder_.FindTable("events"), routes).ok());
  ASSERT_EQ(routes.size(), 2U);
  EXPECT_EQ(routes[0]->table.ToString(), "public.order_events");
  EXPECT_EQ(routes[1]->table.ToString(), "public.visits");
  EXPECT_EQ(routes[0]->columns.size(), 3U);
  routes.clear();
  ASSERT_TRUE(route->AppendRoutes(builder_.FindTable("log"), routes).ok());
  EXPECT_TRUE(routes.empty());
  route = *RouteTransformer::Make(Config({{"public.events", {}, "all"}}));
  EXPECT_EQ((*route->TransformSchema(builder_.FindTable("events")))->table.name, "all");
}

TEST_F(RouteTest, RefusesWhatItCannotDo) {
  const auto refusal = [this](RouteConfig config) {
    auto made = RouteTransformer::Make(std::move(config));
    if (!made.ok()) return std::string(base::Message(made.status()));
    return std::string(
        base::Message((*made)->TransformSchema(builder_.FindTable("events")).status()));
  };
  EXPECT_THAT(refusal({}), HasSubstr("either `table` and `to`, or `rules`"));
  EXPECT_THAT(refusal(Config({{"events", {}, "x"}})), HasSubstr("write 'public.events'"));
  EXPECT_THAT(refusal(Config({{"public.events", {}, ""}})), HasSubstr("needs `table` and `to`"));
  EXPECT_THAT(refusal(Config({{"public.events", "kind =", "x"}})), HasSubstr("syntax error"));
  EXPECT_THAT(refusal(Config({{"public.events", "old.kind = 'a'", "x"}})),
              HasSubstr("may look at one row only"));
  EXPECT_THAT(refusal(Config({{"public.events", "nope = 'a'", "x"}})),
              HasSubstr("route: when: 'nope = 'a'': at character 1: table public.events has no"));
  EXPECT_THAT(refusal(Config({{"public.events", {}, "x_{nope}"}})),
              HasSubstr("table public.events has no column 'nope'"));
  for (const char* to : {"x_{kind", "x_}", "{}", "{a{b}}"}) {
    EXPECT_THAT(refusal(Config({{"public.events", {}, to}})), HasSubstr("to: '"));
  }
  EXPECT_THAT(refusal(Config({{"public.events", {}, ".x"}})), HasSubstr("is no name of a table"));
  EXPECT_EQ(RouteType().describe().fields.size(), 4U);
}

}  // namespace
}  // namespace pgflow::transformers
