#include "sinks/postgres/net_effect.h"

#include <gtest/gtest.h>

#include "engine/testing/event_builder.h"
#include "sinks/postgres/row_statements.h"

namespace pgflow::sinks {
namespace {

using engine::Batch;
using engine::EventBuilder;

// A target that has the same columns as the schema, with a primary key on the identity.
TargetTablePtr TargetLike(const schemas::TableSchema& schema) {
  auto target = std::make_shared<TargetTable>();
  target->name = schema.table;
  TargetIndex key{{}, true};
  for (const schemas::Column& column : schema.columns) {
    TargetColumn there;
    there.name = column.name;
    there.type = there.base_type = column.type;
    there.type_sql = there.type_name = there.base_type_name = column.type_name;
    there.base_array_type = 1000 + column.type;
    target->columns.push_back(there);
    if (column.identity) key.columns.push_back(column.name);
  }
  target->unique_indexes.push_back(key);
  return target;
}

class NetEffectTest : public testing::Test {
 protected:
  void Declare(std::string_view table) {
    schema_ = builder_.Table(table);
    binding_ = *BindTable(*schema_, TargetLike(*schema_), true);
    net_ = std::make_unique<NetEffect>(*binding_);
  }
  // True when all could be merged.
  bool Add(const std::string& changes) {
    batches_.push_back(builder_.StreamBatch("begin\n" + changes + "\ncommit"));
    const auto events = batches_.back().Events();
    for (const engine::ChangeEvent& event : *events) {
      const absl::StatusOr<bool> merged = net_->Add(event);
      EXPECT_TRUE(merged.ok()) << merged.status();
      if (!merged.ok() || !*merged) return false;
    }
    return true;
  }
  // "insert 1 a; update 2 b".
  std::string Shown() const {
    static constexpr std::string_view kNames[] = {"nothing", "insert", "update", "replace",
                                                  "delete"};
    std::string shown;
    for (const NetEffect::Row& row : net_->rows()) {
      if (!shown.empty()) shown += "; ";
      shown += kNames[static_cast<size_t>(row.final)];
      for (size_t i = 0; i < binding_->columns.size(); ++i) {
        if (row.final == NetEffect::Final::kDelete && !binding_->columns[i].is_key) continue;
        if (row.final == NetEffect::Final::kNothing) continue;
        const schemas::Value& value = row.values[i];
        shown += value.is_unchanged() ? " ~"
                 : value.is_null()    ? " null"
                                      : " " + std::string(value.view());
      }
    }
    return shown;
  }

  EventBuilder builder_;
  schemas::TableSchemaPtr schema_;
  std::unique_ptr<TableBinding> binding_;
  std::unique_ptr<NetEffect> net_;
  std::deque<Batch> batches_;
};

TEST_F(NetEffectTest, KeepsSingleChanges) {
  Declare("t (id int4 key, name text)");
  EXPECT_TRUE(Add("insert t 1 a\nupdate t 2 b\ndelete t 3"));
  EXPECT_EQ(Shown(), "insert 1 a; update 2 b; delete 3");
}

TEST_F(NetEffectTest, MergesTheChangesOfAKey) {
  Declare("t (id int4 key, name text)");
  EXPECT_TRUE(
      Add("insert t 1 a\nupdate t 1 b\ninsert t 2 c\ndelete t 2\nupdate t 3 d\nupdate t 3 e\n"
          "delete t 4\ninsert t 4 f\nupdate t 4 g\nupdate t 5 h\ndelete t 5\n"
          "insert t 6 i\ndelete t 6\ninsert t 6 j"));
  EXPECT_EQ(Shown(), "insert 1 b; nothing; update 3 e; replace 4 g; delete 5; insert 6 j");
}

TEST_F(NetEffectTest, TakesUnchangedValuesFromTheEarlierImage) {
  Declare("t (id int4 key, name text, large text)");
  EXPECT_TRUE(
      Add("insert t 1 a L\nupdate t 1 b unchanged\nupdate t 2 c unchanged\n"
          "update t 2 d M\nupdate t 2 e unchanged\nupdate t 3 f unchanged"));
  EXPECT_EQ(Shown(), "insert 1 b L; update 2 e M; update 3 f ~");
}

TEST_F(NetEffectTest, SplitsAChangedKey) {
  Declare("t (id int4 key, name text)");
  EXPECT_TRUE(
      Add("insert t 1 a\nupdate t old(1) 2 a\nupdate t 2 b\ndelete t 3\ninsert t 3 c\n"
          "update t old(3) 4 d"));
  EXPECT_EQ(Shown(), "nothing; insert 2 b; delete 3; insert 4 d");
}

TEST_F(NetEffectTest, RefusesAChangedKeyOfARowThatWasThereBefore) {
  Declare("t (id int4 key, name text)");
  EXPECT_FALSE(Add("update t old(1) 2 a"));
  Declare("t (id int4 key, name text)");
  EXPECT_FALSE(Add("update t 1 a\nupdate t old(1) 2 b"));
}

TEST_F(NetEffectTest, RefusesAChangedKeyWithoutTheWholeRow) {
  Declare("t (id int4 key, large text)");
  EXPECT_FALSE(Add("update t old(1) 2 unchanged"));
}

TEST_F(NetEffectTest, RefusesAHistoryThatMakesNoSense) {
  Declare("t (id int4 key, name text)");
  EXPECT_FALSE(Add("insert t 1 a\ninsert t 1 b"));
}

TEST_F(NetEffectTest, TellsKeysOfSeveralColumnsApart) {
  Declare("t (a text key, b text key, n int4)");
  EXPECT_TRUE(Add("insert t x yz 1\ninsert t xy z 2\nupdate t x yz 3"));
  EXPECT_EQ(Shown(), "insert x yz 3; insert xy z 2");
}

TEST_F(NetEffectTest, AFullImageKnowsTheLargeValue) {
  Declare("t (id int4 key, large text) full");
  auto target = std::make_shared<TargetTable>(*TargetLike(*schema_));
  target->unique_indexes = {{{"id"}, true}};
  binding_ = *BindTable(*schema_, target, true);
  net_ = std::make_unique<NetEffect>(*binding_);
  EXPECT_TRUE(Add("insert t 1 L\nupdate t full(1 L) 2 unchanged"));
  EXPECT_EQ(Shown(), "nothing; insert 2 L");
}

TEST_F(NetEffectTest, ADistinctOneRefusesASecondChange) {
  Declare("t (id int4 key, name text)");
  Batch batch = builder_.StreamBatch("begin\nupdate t 1 a\nupdate t 1 b\ncommit");
  const auto events = batch.Events();
  EXPECT_TRUE(*net_->AddDistinct((*events)[0]));
  EXPECT_FALSE(*net_->AddDistinct((*events)[1]));
}

class RowStatementTest : public NetEffectTest {
 protected:
  std::string Sql(RowShape shape, const std::string& change) {
    Batch batch = builder_.StreamBatch("begin\n" + change + "\ncommit");
    const auto events = batch.Events();
    DecodedChange decoded;
    EXPECT_TRUE(decoded.Decode(*binding_, events->front()).ok());
    std::string signature;
    AppendSignature(*binding_, shape, decoded, signature);
    return BuildRowStatement(*binding_, signature).sql;
  }
};

TEST_F(RowStatementTest, LeavesUnchangedColumnsAndTheKeyOut) {
  Declare("t (id int4 key, name text, large text)");
  EXPECT_EQ(Sql(RowShape::kUpdate, "update t 1 b unchanged"),
            R"(UPDATE ONLY "public"."t" SET "name" = $1 WHERE "id" = $2)");
  EXPECT_EQ(Sql(RowShape::kUpdateKey, "update t old(1) 2 b unchanged"),
            R"(UPDATE ONLY "public"."t" SET "id" = $1, "name" = $2 WHERE "id" = $3)");
  EXPECT_EQ(Sql(RowShape::kUpdate, "update t 1 unchanged unchanged"),
            R"(SELECT FROM ONLY "public"."t" WHERE "id" = $1)");
}

TEST_F(RowStatementTest, LooksForAMovedRowUnderItsNewKeyFirst) {
  Declare("t (id int4 key, name text)");
  EXPECT_EQ(Sql(RowShape::kUpdateMoved, "update t old(1) 2 b"),
            R"(UPDATE ONLY "public"."t" SET "id" = $1, "name" = $2 WHERE (("id" = $3) OR )"
            R"(("id" = $4 AND NOT EXISTS (SELECT FROM ONLY "public"."t" WHERE ("id" = $3)))))");
}

TEST_F(RowStatementTest, HitsOneOfEqualRows) {
  schema_ = builder_.Table("t (id int4, name text) full");
  auto target = std::make_shared<TargetTable>(*TargetLike(*schema_));
  target->unique_indexes.clear();
  binding_ = *BindTable(*schema_, target, true);
  EXPECT_EQ(Sql(RowShape::kDelete, "delete t full(1 null)"),
            R"(DELETE FROM ONLY "public"."t" WHERE ctid = (SELECT ctid FROM ONLY "public"."t" )"
            R"(WHERE "id" = $1 AND "name" IS NULL AND ROW("id", "name")::record )"
            R"(OPERATOR(pg_catalog.*=) ROW($1, $2)::record LIMIT 1))");
}

}  // namespace
}  // namespace pgflow::sinks
