#include "engine/runtime/snapshot_plan.h"

#include <map>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/testing/event_builder.h"

namespace pgflow::engine {
namespace {

constexpr uint32_t kOpen = BlockRange::kOpenEnd;

TEST(UnfinishedRangesTest, CoversExactlyTheRest) {
  using Ranges = std::vector<BlockRange>;
  EXPECT_EQ(UnfinishedRanges({}, 10), (Ranges{{0, kOpen}}));
  EXPECT_EQ(UnfinishedRanges({{0, 10}, {20, 30}}, 10), (Ranges{{10, 20}, {30, kOpen}}));
  EXPECT_EQ(UnfinishedRanges({{20, 45}}, 10), (Ranges{{0, 10}, {10, 20}, {45, kOpen}}));
  EXPECT_EQ(UnfinishedRanges({{20, kOpen}, {0, 20}}, 10), (Ranges{}));
  EXPECT_EQ(UnfinishedRanges({{20, kOpen}}, 15), (Ranges{{0, 15}, {15, 20}}));
}

class FakeSession final : public SnapshotSession {
 public:
  postgres::Lsn consistent_point() const override { return postgres::Lsn(0x2000); }
  const std::string& snapshot() const override { return snapshot_; }
  std::span<const SnapshotTable> tables() const override { return tables_; }
  const schemas::DatabaseDefinition& definition() const override { return definition_; }
  absl::StatusOr<std::unique_ptr<RangeReader>> OpenReader(std::stop_token) override {
    return absl::UnimplementedError("");
  }

  // `identity`: what stands behind the columns, as EventBuilder takes it.
  void Add(const std::string& name, uint64_t bytes, uint64_t storage, bool primary_key,
           const std::string& identity = "") {
    auto schema = std::make_shared<schemas::TableSchema>(*EventBuilder().Table(
        fmt::format("{} (id int4{}, code int4) {}", name, primary_key ? " key" : "", identity)));
    Add(std::move(schema), bytes, storage, primary_key);
  }
  void Add(std::shared_ptr<schemas::TableSchema> schema, uint64_t bytes, uint64_t storage,
           bool primary_key) {
    SnapshotTable table;
    table.schema = std::move(schema);
    table.bytes = bytes;
    table.storage = storage;
    table.has_primary_key = primary_key;
    table.ranges = {{0, 10}, {10, 20}, {20, kOpen}};
    tables_.push_back(std::move(table));
  }

 private:
  std::string snapshot_ = "20:20:";
  std::vector<SnapshotTable> tables_;
  schemas::DatabaseDefinition definition_;
};

TableProgress Earlier(const std::string& name, const std::string& snapshot, bool complete) {
  return {{"public", name}, postgres::Lsn(0x1000), snapshot, {{0, 10}}, complete, {}};
}

TEST(PlanSnapshotTest, ContinuesFromTheLedger) {
  FakeSession session;
  session.Add("fresh", 1, 1, true);
  session.Add("complete", 2, 2, true);
  session.Add("resumed", 3, 3, true);
  session.Add("keyless", 4, 4, false);
  session.Add("rewritten", 5, 5, true);
  session.Add("changed", 6, 6, true);
  SinkCheckpoint checkpoint;
  checkpoint.tables = {Earlier("complete", "2@10:10:", true), Earlier("resumed", "3@10:10:", false),
                       Earlier("keyless", "4@10:10:", false),
                       Earlier("rewritten", "77@10:10:", false),
                       Earlier("changed", "6@10:10:", true)};
  absl::StatusOr<SnapshotPlan> plan = PlanSnapshot(
      session, checkpoint, [](const auto&) { return true; }, {{"public", "changed"}}, {});
  ASSERT_TRUE(plan.ok());
  using Start = PlannedTable::Start;
  std::vector<std::pair<std::string, Start>> starts;
  for (const PlannedTable& table : plan->tables) {
    starts.emplace_back(table.plan.source_table.name, table.start);
  }
  EXPECT_EQ(starts, (std::vector<std::pair<std::string, Start>>{{"changed", Start::kReset},
                                                                {"rewritten", Start::kReset},
                                                                {"keyless", Start::kReset},
                                                                {"resumed", Start::kResume},
                                                                {"complete", Start::kComplete},
                                                                {"fresh", Start::kFresh}}));
  const PlannedTable& resumed = plan->tables[3];
  EXPECT_EQ(resumed.older_snapshot, "10:10:");
  EXPECT_EQ(resumed.progress.snapshot_lsn, postgres::Lsn(0x1000));
  EXPECT_EQ(resumed.progress.catch_up_until, postgres::Lsn(0x2000));
  EXPECT_EQ(resumed.ranges, (std::vector<BlockRange>{{10, kOpen}}));
  EXPECT_EQ(plan->tables[5].progress.snapshot, "16384/1@20:20:");
  EXPECT_EQ(plan->tables[5].progress.snapshot_lsn, postgres::Lsn(0x2000));
}

using Starts = std::map<std::string, PlannedTable::Start>;

Starts StartsOf(const SnapshotSession& session, const SinkCheckpoint& checkpoint,
                std::span<const std::unique_ptr<Transformer>> transformers = {}) {
  const absl::StatusOr<SnapshotPlan> plan = PlanSnapshot(
      session, checkpoint, [](const auto&) { return true; }, {}, transformers);
  EXPECT_TRUE(plan.ok()) << plan.status();
  Starts starts;
  for (const PlannedTable& table : plan->tables) {
    starts[table.plan.source_table.name] = table.start;
  }
  return starts;
}

// A copy goes on where its rows and the stream's changes both name rows by the primary key.
TEST(PlanSnapshotTest, ResumesByThePrimaryKeyWhateverTheReplicaIdentity) {
  FakeSession session;
  session.Add("full", 1, 1, true, "full");
  session.Add("nothing", 1, 1, true, "nothing");
  session.Add("keyless_full", 1, 1, false, "full");
  session.Add("keyless", 1, 1, false, "nothing");
  EventBuilder events;
  auto by_index =
      std::make_shared<schemas::TableSchema>(*events.Table("by_index (id int4 key, code int4)"));
  by_index->replica_identity = schemas::ReplicaIdentity::kIndex;
  auto by_other = std::make_shared<schemas::TableSchema>(*by_index);
  by_other->table.name = "by_other";
  by_other->columns[0].identity = false;
  by_other->columns[1].identity = true;
  session.Add(by_index, 1, 1, true);
  session.Add(by_other, 1, 1, true);
  // No identity, because its key may not hold for a moment.
  auto deferrable =
      std::make_shared<schemas::TableSchema>(*events.Table("deferrable (id int4 key, code int4)"));
  deferrable->columns[0].identity = false;
  session.Add(deferrable, 1, 1, false);
  auto deferrable_full = std::make_shared<schemas::TableSchema>(
      *events.Table("deferrable_full (id int4 key, code int4) full"));
  session.Add(deferrable_full, 1, 1, false);
  SinkCheckpoint checkpoint;
  for (const SnapshotTable& table : session.tables()) {
    checkpoint.tables.push_back(Earlier(table.schema->table.name, "1@10:10:", false));
  }
  using Start = PlannedTable::Start;
  EXPECT_EQ(StartsOf(session, checkpoint), (Starts{{"full", Start::kResume},
                                                   {"nothing", Start::kResume},
                                                   {"keyless_full", Start::kReset},
                                                   {"keyless", Start::kReset},
                                                   {"by_index", Start::kResume},
                                                   {"by_other", Start::kReset},
                                                   {"deferrable", Start::kReset},
                                                   {"deferrable_full", Start::kReset}}));
}

// Tables with an oid, and progress of some of them under other names.
class RenamedTablesTest : public testing::Test {
 protected:
  void Now(const std::string& name, postgres::Oid oid) {
    auto schema = std::make_shared<schemas::TableSchema>(
        *EventBuilder().Table(fmt::format("{} (id int4 key)", name)));
    schema->oid = oid;
    session_.Add(std::move(schema), 1, 1, true);
  }
  void Before(const std::string& name, postgres::Oid oid, bool complete) {
    checkpoint_.tables.push_back(Earlier(name, fmt::format("{}/1@10:10:", oid), complete));
  }
  std::string Refusal(const std::set<schemas::TableName>& changed = {}) {
    const auto wanted = [](const auto&) { return true; };
    const auto plan = PlanSnapshot(session_, checkpoint_, wanted, changed, {});
    return std::string(plan.status().message());
  }

  FakeSession session_;
  SinkCheckpoint checkpoint_;
};

TEST_F(RenamedTablesTest, GoOnUnderTheNameTheyWereCopiedBy) {
  Before("one", 1, true);
  Before("two", 2, true);
  Before("away", 3, true);
  Before("half", 4, false);
  Now("two", 1);
  Now("one", 2);
  Now("other", 3);
  Now("away", 5);  // Made since.
  Now("half", 4);
  Now("fresh", 6);
  using Start = PlannedTable::Start;
  EXPECT_EQ(StartsOf(session_, checkpoint_), (Starts{{"one", Start::kComplete},
                                                     {"two", Start::kComplete},
                                                     {"away", Start::kComplete},
                                                     {"half", Start::kResume},
                                                     {"fresh", Start::kFresh}}));
}

TEST_F(RenamedTablesTest, ANameOfOneThatIsGoneIsFree) {
  Before("gone", 1, false);
  Before("copied", 2, true);
  Before("dropped", 3, true);
  Now("gone", 2);
  Now("dropped", 4);
  using Start = PlannedTable::Start;
  EXPECT_EQ(StartsOf(session_, checkpoint_),
            (Starts{{"copied", Start::kComplete}, {"dropped", Start::kComplete}}));
}

TEST_F(RenamedTablesTest, HalfOfOneIsRefused) {
  Before("half", 1, false);
  Now("other", 1);
  EXPECT_THAT(Refusal(), testing::HasSubstr("table public.half was renamed to public.other"));
}

TEST_F(RenamedTablesTest, TheNameOfAHalfIsRefused) {
  Before("half", 1, false);
  Now("half", 2);
  Now("other", 1);
  EXPECT_THAT(Refusal(), testing::HasSubstr("table public.half was renamed to public.other"));
}

TEST_F(RenamedTablesTest, OneThatHasToBeCopiedAgainIsRefused) {
  Before("copied", 1, true);
  Now("other", 1);
  EXPECT_EQ(Refusal(), "");
  EXPECT_THAT(Refusal({{"public", "copied"}}), testing::HasSubstr("was renamed to public.other"));
}

// Sends rows of every table to one that they share, too.
class SharedTable final : public Transformer {
 public:
  SharedTable() {
    auto schema = std::make_shared<schemas::TableSchema>();
    schema->table = {"public", "shared"};
    shared_ = std::move(schema);
  }
  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override {
    return schema->table.name == "gone" ? nullptr : schema;
  }
  absl::Status AppendRoutes(const schemas::TableSchemaPtr& schema,
                            std::vector<schemas::TableSchemaPtr>& routes) override {
    if (schema->table.name != "gone") routes.push_back(shared_);
    return absl::OkStatus();
  }
  absl::Status Transform(Batch&) override { return absl::OkStatus(); }

 private:
  schemas::TableSchemaPtr shared_;
};

TEST(PlanSnapshotTest, PreparesRoutedTablesOnce) {
  FakeSession session;
  session.Add("a", 1, 1, true);
  session.Add("b", 2, 2, true);
  session.Add("gone", 3, 3, true);
  std::vector<std::unique_ptr<Transformer>> transformers;
  transformers.push_back(std::make_unique<SharedTable>());
  const auto wanted = [](const schemas::TableName&) { return true; };
  const absl::StatusOr<SnapshotPlan> plan = PlanSnapshot(session, {}, wanted, {}, transformers);
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->tables.size(), 2U);
  EXPECT_EQ(plan->tables[0].plan.schema->table.name, "b");
  ASSERT_EQ(plan->tables[0].routes.size(), 1U);
  EXPECT_EQ(plan->tables[0].routes[0].schema->table.name, "shared");
  EXPECT_EQ(plan->tables[0].routes[0].source_table.name, "b");
  EXPECT_TRUE(plan->tables[1].routes.empty());
}

// What is emptied for one table has lost the rows of the others.
TEST(PlanSnapshotTest, StartsOverWhatSharesATargetTable) {
  FakeSession session;
  session.Add("a", 1, 1, true);
  session.Add("keyless", 1, 2, false);
  session.Add("fresh", 1, 3, true);
  std::vector<std::unique_ptr<Transformer>> transformers;
  transformers.push_back(std::make_unique<SharedTable>());
  SinkCheckpoint checkpoint;
  checkpoint.tables = {Earlier("a", "1@10:10:", true), Earlier("keyless", "2@10:10:", false)};
  using Start = PlannedTable::Start;
  EXPECT_EQ(StartsOf(session, checkpoint, transformers),
            (Starts{{"a", Start::kReset}, {"keyless", Start::kReset}, {"fresh", Start::kFresh}}));
  EXPECT_EQ(
      StartsOf(session, checkpoint),
      (Starts{{"a", Start::kComplete}, {"keyless", Start::kReset}, {"fresh", Start::kFresh}}));
}

}  // namespace
}  // namespace pgflow::engine
