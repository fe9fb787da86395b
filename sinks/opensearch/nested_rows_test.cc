#include "sinks/opensearch/nested_rows.h"

#include <gmock/gmock.h>

#include "base/status.h"
#include "sinks/opensearch/search_fixture_test.h"

namespace pgflow::sinks {
namespace {

using testing::HasSubstr;

class NestedRowsTest : public SearchFixture {
 protected:
  void SetUp() override {
    SearchFixture::SetUp();
    config_.joins = {{"public.orders", "public.items", Yaml("{order_id: id}"), "items"}};
    builder_.Table("public.orders (id int4 key, name text)");
    builder_.Table("public.items (id int4 key, order_id int8, what text)");
  }

  // "1:apple,2:pear" of a parent's document; "-" when there is none.
  std::string Items(const std::string& order, const std::string& field = "items",
                    const std::string& value = "what") {
    const std::string source = Source("orders", order);
    if (source == "-") return source;
    const nlohmann::json document = nlohmann::json::parse(source);
    if (!document.contains(field)) return "no " + field;
    std::string all;
    for (const nlohmann::json& row : document[field]) {
      if (!all.empty()) all.push_back(',');
      all += row["id"].dump() + ":" + row.value(value, "?");
    }
    return all;
  }
  void Load(const engine::TablePlan& plan, const std::string& rows) {
    auto lane = sink_->OpenLane({});
    ASSERT_TRUE(lane.ok());
    engine::Batch batch = builder_.Snapshot(plan.schema->table.name, rows);
    batch.set_snapshot_lsn(postgres::Lsn(0x50));
    ASSERT_TRUE((*lane)->BeginRange(plan, {}, {}).ok());
    ASSERT_TRUE((*lane)->Write(batch, {}).ok());
    ASSERT_TRUE((*lane)->FinishRange({}).ok());
  }
  absl::Status Finish(const engine::TablePlan& plan) {
    auto lane = sink_->OpenLane({});
    return lane.ok() ? (*lane)->FinishTable(plan, {}) : lane.status();
  }
  uint64_t Nested(const std::string& query) {
    return Count("orders", R"({"nested":{"path":"items","query":)" + query + "}}");
  }
};

TEST_F(NestedRowsTest, FollowsTheChildren) {
  Start();
  // The child is first: it has no parent yet.
  ASSERT_TRUE(ApplyOne("insert items 1 1 apple").ok());
  EXPECT_EQ(Source("orders", "1"), "-");
  ASSERT_TRUE(ApplyOne("insert orders 1 one\ninsert orders 2 two\ninsert items 10 1 pear\n"
                       "insert items 3 null lost")
                  .ok());
  EXPECT_EQ(Source("orders", "1"),
            R"({"id":1,"name":"one","items":[{"id":1,"order_id":1,"what":"apple"},)"
            R"({"id":10,"order_id":1,"what":"pear"}],"_join_public_orders_items":["1","10"]})");
  EXPECT_EQ(Items("2"), "");
  ASSERT_TRUE(ApplyOne("update items 1 1 plum").ok());
  EXPECT_EQ(Items("1"), "1:plum,10:pear");
  // Visible to a search, as one object.
  EXPECT_EQ(
      Nested(R"({"bool":{"must":[{"match":{"items.what":"plum"}},{"term":{"items.id":1}}]}})"), 1U);
  EXPECT_EQ(
      Nested(R"({"bool":{"must":[{"match":{"items.what":"plum"}},{"term":{"items.id":10}}]}})"),
      0U);
  // To another parent, and from no parent, and gone.
  ASSERT_TRUE(ApplyOne("update items 1 2 plum\nupdate items 3 2 found").ok());
  EXPECT_EQ(Items("1"), "10:pear");
  EXPECT_EQ(Items("2"), "1:plum,3:found");
  ASSERT_TRUE(ApplyOne("delete items 1\nupdate items 3 null lost").ok());
  EXPECT_EQ(Items("2"), "");
  // The parent's own change keeps them.
  ASSERT_TRUE(ApplyOne("update orders 1 uno").ok());
  EXPECT_EQ(Items("1"), "10:pear");
  EXPECT_THAT(Source("orders", "1"), HasSubstr("uno"));
}

TEST_F(NestedRowsTest, FollowsTheParents) {
  Start();
  ASSERT_TRUE(ApplyOne("insert orders 1 one\ninsert orders 2 two\ninsert items 1 1 apple\n"
                       "insert items 2 2 pear")
                  .ok());
  // A new key, to which its rows move.
  ASSERT_TRUE(ApplyOne("update orders old(1) 9 nine\nupdate items 1 9 apple").ok());
  EXPECT_EQ(Items("1"), "-");
  EXPECT_EQ(Items("9"), "1:apple");
  // Deleted with rows left, which change; and back again.
  ASSERT_TRUE(ApplyOne("delete orders 2").ok());
  ASSERT_TRUE(ApplyOne("update items 2 2 plum").ok());
  EXPECT_EQ(Items("2"), "-");
  ASSERT_TRUE(ApplyOne("insert orders 2 again").ok());
  EXPECT_EQ(Items("2"), "2:plum");
  // Deleted with its rows.
  ASSERT_TRUE(ApplyOne("delete items 2\ndelete orders 2").ok());
  EXPECT_EQ(Items("2"), "-");
  ASSERT_TRUE(ApplyOne("insert orders 2 bare").ok());
  EXPECT_EQ(Items("2"), "");
}

TEST_F(NestedRowsTest, ReplaysChangeNothing) {
  Start();
  std::vector<engine::Chunk> history;
  const auto apply = [&](const std::string& changes) {
    ASSERT_TRUE(ApplyOne(changes).ok());
    history.push_back(last_);
  };
  apply("insert orders 1 one\ninsert orders 2 two\ninsert orders 3 three\ninsert items 1 1 a");
  apply("update items 1 2 b");
  apply("update items 1 3 c\ninsert items 2 1 x");
  apply("update orders 1 uno\ndelete items 2\ninsert items 3 3 y\ndelete orders 2");
  const std::vector<std::string> end = {Source("orders", "1"), Source("orders", "2"),
                                        Source("orders", "3")};
  EXPECT_EQ(Items("3"), "1:c,3:y");
  for (size_t from = 0; from < history.size(); ++from) {
    Reopen();
    for (size_t i = from; i < history.size(); ++i) ASSERT_TRUE(Write(history[i]).ok());
    EXPECT_EQ((std::vector<std::string>{Source("orders", "1"), Source("orders", "2"),
                                        Source("orders", "3")}),
              end)
        << "from " << from;
  }
}

// The child's documents are written, the parents' are not: what was left unfinished is seen from
// the parents that still have the row.
TEST_F(NestedRowsTest, WhatACrashLeftInTheMiddleIsFinished) {
  Start();
  ASSERT_TRUE(ApplyOne("insert orders 1 one\ninsert orders 2 two\ninsert items 1 1 a\n"
                       "insert items 2 1 b")
                  .ok());
  const engine::Chunk change =
      builder_.Stream("begin\nupdate items 1 2 moved\ndelete items 2\ncommit");
  // As a sink that dies behind the children's documents.
  engine::Batch batch = engine::BatchOf(std::make_shared<const engine::Chunk>(change));
  const uint64_t lsn = batch.transactions().back().commit_lsn.value();
  const std::string at = "?version_type=external_gte&version=" + std::to_string(lsn);
  Ask("PUT", "/" + prefix_ + "items/_doc/1" + at,
      R"({"id":1,"order_id":2,"what":"moved","_join_public_orders_items":"2"})");
  Ask("DELETE", "/" + prefix_ + "items/_doc/2" + at);
  EXPECT_EQ(Items("1"), "1:a,2:b");
  Start();
  ASSERT_TRUE(Write(change).ok());
  EXPECT_EQ(Items("1"), "");
  EXPECT_EQ(Items("2"), "1:moved");
}

TEST_F(NestedRowsTest, KeepsLargeValuesThatWereNotSent) {
  builder_.Table("public.orders (id int4 key, name text, note text)");
  Start();
  ASSERT_TRUE(ApplyOne("insert orders 1 one large\ninsert items 1 1 big").ok());
  ASSERT_TRUE(ApplyOne("update items 1 1 unchanged\nupdate orders 1 uno unchanged").ok());
  EXPECT_EQ(Items("1"), "1:big");
  EXPECT_THAT(Source("orders", "1"), HasSubstr(R"("name":"uno","note":"large")"));
  ASSERT_TRUE(ApplyOne("update orders old(1) 2 dos unchanged\nupdate items 1 2 unchanged").ok());
  EXPECT_EQ(Items("1"), "-");
  EXPECT_EQ(Items("2"), "1:big");
  EXPECT_THAT(Source("orders", "2"), HasSubstr(R"("note":"large")"));
}

TEST_F(NestedRowsTest, ATruncateOfEither) {
  Start();
  ASSERT_TRUE(ApplyOne("insert orders 1 one\ninsert items 1 1 a\ninsert items 2 1 b").ok());
  ASSERT_TRUE(ApplyOne("truncate items\ninsert items 3 1 c").ok());
  const engine::Chunk truncate = last_;
  EXPECT_EQ(Items("1"), "3:c");
  ASSERT_TRUE(ApplyOne("insert items 4 1 d").ok());
  ASSERT_TRUE(Write(truncate).ok());
  EXPECT_EQ(Items("1"), "3:c,4:d");
  ASSERT_TRUE(ApplyOne("truncate orders\ninsert orders 1 again").ok());
  EXPECT_EQ(Items("1"), "3:c,4:d");
  ASSERT_TRUE(ApplyOne("truncate orders, items").ok());
  EXPECT_EQ(Count("orders"), 0U);
  EXPECT_EQ(Count("items"), 0U);
}

TEST_F(NestedRowsTest, ALoadIsBroughtTogetherByItsLastTable) {
  const engine::TablePlan orders = Plan("public.orders (id int4 key, name text)");
  const engine::TablePlan items = Plan("public.items (id int4 key, order_id int8, what text)");
  const std::vector<engine::TablePlan> plans = {orders, items};
  for (const bool parent_first : {true, false}) {
    config_.on_existing_documents = ExistingDocuments::kReplace;
    Start();
    const absl::Status prepared = sink_->PrepareSnapshot({}, plans, {}, {});
    ASSERT_TRUE(prepared.ok()) << prepared;
    Load(parent_first ? orders : items, parent_first ? "1 one\n2 two" : "1 1 a\n2 1 b");
    ASSERT_TRUE(Finish(parent_first ? orders : items).ok());
    // Killed in between.
    Start();
    const engine::TablePlan& rest = parent_first ? items : orders;
    ASSERT_TRUE(sink_->PrepareSnapshot({}, {}, {&rest, 1}, {}).ok());
    Load(rest, parent_first ? "1 1 a\n2 1 b" : "1 one\n2 two");
    const absl::Status finished = Finish(rest);
    ASSERT_TRUE(finished.ok()) << finished;
    EXPECT_EQ(Items("1"), "1:a,2:b");
    EXPECT_EQ(Items("2"), "");
    EXPECT_EQ(Nested(R"({"match":{"items.what":"a"}})"), 1U);
  }
  ASSERT_TRUE(ApplyOne("update items 2 2 c").ok());
  EXPECT_EQ(Items("1"), "1:a");
  EXPECT_EQ(Items("2"), "2:c");
}

TEST_F(NestedRowsTest, NewColumnsAndTypesOfTheChild) {
  Start();
  ASSERT_TRUE(ApplyOne("insert orders 1 one\ninsert items 1 1 12").ok());
  builder_.Table("public.items (id int4 key, order_id int8, what text, color text)");
  ASSERT_TRUE(ApplyOne("insert items 2 1 13 red").ok());
  EXPECT_EQ(Nested(R"({"term":{"items.color.keyword":"red"}})"), 1U);
  builder_.Table("public.items (id int4 key, order_id int8, what numeric, color text)");
  ASSERT_TRUE(ApplyOne("insert items 3 1 14 blue").ok());
  EXPECT_EQ(Nested(R"({"range":{"items.what":{"gt":11,"lt":13}}})"), 1U);
  EXPECT_EQ(Ask("GET", "/" + prefix_ + "orders/_alias").begin().key(), prefix_ + "orders-000002");
  // A name that is gone is gone from the parents, too.
  builder_.Table("public.items (id int4 key, order_id int8, label numeric)");
  ASSERT_TRUE(ApplyOne("insert items 4 1 15").ok());
  EXPECT_THAT(Source("orders", "1"), testing::Not(HasSubstr("color")));
  // The parent's own rebuild keeps the rows and that they are found.
  builder_.Table("public.orders (id int4 key, name numeric)");
  ASSERT_TRUE(ApplyOne("insert orders 2 5").ok());
  EXPECT_EQ(Nested(R"({"term":{"items.label":15}})"), 1U);
}

TEST_F(NestedRowsTest, TwoChildrenAndAKeyOfTwoColumns) {
  config_.joins = {
      {"public.orders", "public.items", Yaml("{tenant: tenant, order_id: id}"), "items"},
      {"public.orders", "public.notes", Yaml("{tenant: tenant, ref: id}"), "notes"}};
  builder_.Table("public.orders (tenant text key, id int4 key, name text)");
  builder_.Table("public.items (id int4 key, tenant text, order_id int4, what text)");
  builder_.Table("public.notes (id int4 key, tenant text, ref int4, what text)");
  Start();
  ASSERT_TRUE(ApplyOne("insert orders a|b 1 one\ninsert items 1 a|b 1 x\ninsert notes 1 a|b 1 n\n"
                       "insert items 2 a 1 y")
                  .ok());
  const std::string id = "a%5C%7Cb%7C1";
  EXPECT_EQ(Items(id), "1:x");
  EXPECT_EQ(Items(id, "notes"), "1:n");
  ASSERT_TRUE(ApplyOne("update notes 1 a|b 1 m").ok());
  EXPECT_EQ(Items(id), "1:x");
  EXPECT_EQ(Items(id, "notes"), "1:m");
  ASSERT_TRUE(ApplyOne("truncate notes").ok());
  EXPECT_EQ(Items(id), "1:x");
  EXPECT_EQ(Items(id, "notes"), "");
}

TEST_F(NestedRowsTest, MoreRowsThanAPage) {
  Start();
  std::string rows = "insert orders 1 one";
  for (int i = 1; i <= 1200; ++i) rows += "\ninsert items " + std::to_string(i) + " 1 x";
  for (int i = 2; i <= 700; ++i) {
    rows += "\ninsert orders " + std::to_string(i) + " x";
    rows += "\ninsert items " + std::to_string(2000 + i) + " " + std::to_string(i) + " y";
  }
  ASSERT_TRUE(ApplyOne(rows).ok());
  EXPECT_EQ(Nested(R"({"match":{"items.what":"y"}})"), 699U);
  const auto document = nlohmann::json::parse(Source("orders", "1"));
  EXPECT_EQ(document["items"].size(), 1200U);
  EXPECT_EQ(document["items"][1199]["id"], 1200);
}

TEST_F(NestedRowsTest, WhatDoesNotFitIsRefused) {
  const auto refused = [&](const std::string& on, const std::string& words) {
    config_.joins = {{"public.orders", "public.items", Yaml(on), "items"}};
    const absl::Status status = OpenSearchSink::Make(config_).status();
    if (!status.ok()) {
      EXPECT_THAT(std::string(base::Message(status)), HasSubstr(words));
      return;
    }
    Start();
    absl::Status written = ApplyOne("insert orders 1 one\ninsert items 1 1 a");
    EXPECT_EQ(written.code(), absl::StatusCode::kFailedPrecondition) << on;
    EXPECT_THAT(std::string(base::Message(written)), HasSubstr(words));
  };
  refused("{}", "must be a map");
  refused("{order_id: name}", "must name the parent's key, which is (id)");
  refused("{parent: id}", "table public.items has no column parent");
  builder_.Table("public.items (id int4 key, order_id numeric, what text)");
  refused("{order_id: id}", "neither a whole number");
  // A text that means the id.
  builder_.Table("public.items (id int4 key, order_id text, what text)");
  config_.joins = {{"public.orders", "public.items", Yaml("{order_id: id}"), "items"}};
  Start();
  const std::vector<engine::TablePlan> plans = {
      Plan("public.orders (id int4 key, name text)"),
      Plan("public.items (id int4 key, order_id text, what text)")};
  EXPECT_THAT(std::string(base::Message(sink_->PrepareSnapshot({}, plans, {}, {}))),
              HasSubstr("of different types"));
  config_.joins.push_back({"public.items", "public.parts", Yaml("{item_id: id}"), "parts"});
  EXPECT_THAT(std::string(base::Message(OpenSearchSink::Make(config_).status())),
              HasSubstr("one level of nesting"));
}

}  // namespace
}  // namespace pgflow::sinks
