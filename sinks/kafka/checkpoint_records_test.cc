#include "sinks/kafka/checkpoint_records.h"

#include <gtest/gtest.h>

namespace pgflow::sinks {
namespace {

using engine::BlockRange;
using engine::SinkCheckpoint;
using engine::TableProgress;
using postgres::Lsn;

class CheckpointRecordsTest : public testing::Test {
 protected:
  void Apply(const CheckpointRecord& record) {
    std::optional<std::string_view> value;
    if (record.value.has_value()) value = *record.value;
    const absl::Status status = records_.Apply(record.key, value);
    EXPECT_TRUE(status.ok()) << status;
  }
  void Remove(const std::string& key) { Apply({key, std::nullopt}); }

  const CheckpointKeys keys_{"shop", "kafka"};
  CheckpointRecords records_{keys_};
};

TEST_F(CheckpointRecordsTest, AddsUpToACheckpoint) {
  EXPECT_FALSE(records_.checkpoint().has_value());
  SinkCheckpoint sink;
  sink.identity = {UINT64_MAX - 1, 3, "shop", "pgflow_shop"};
  Apply(keys_.Sink(sink));
  Apply(keys_.Stream({Lsn(0x100), Lsn(0x108)}));
  const schemas::TableName orders{"public", "odd \"name\", ä"};
  TableProgress progress;
  progress.table = orders;
  progress.snapshot_lsn = Lsn(0x80);
  progress.snapshot = "10:20:11";
  progress.catch_up_until = Lsn(0x90);
  Apply(keys_.Table(progress));
  Apply(keys_.Range(orders, {64, BlockRange::kOpenEnd}));
  Apply(keys_.Range(orders, {0, 64}));
  Apply(keys_.Owner({"ab", {0, 2}}));

  const std::optional<SinkCheckpoint> read = records_.checkpoint();
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->identity, sink.identity);
  EXPECT_EQ(read->stream.end_lsn, Lsn(0x108));
  EXPECT_FALSE(read->snapshot_complete);
  ASSERT_EQ(read->tables.size(), 1U);
  EXPECT_EQ(read->tables[0].table, orders);
  EXPECT_EQ(read->tables[0].snapshot, "10:20:11");
  EXPECT_EQ(read->tables[0].catch_up_until, Lsn(0x90));
  EXPECT_EQ(read->tables[0].finished,
            (std::vector<BlockRange>{{0, 64}, {64, BlockRange::kOpenEnd}}));
  EXPECT_EQ(records_.owner().name, "ab");
  EXPECT_EQ(records_.owner().lanes, (std::vector<uint32_t>{0, 2}));
  EXPECT_EQ(records_.KeysOf({orders}).size(), 3U);
  EXPECT_EQ(records_.Keys().size(), 5U);
}

TEST_F(CheckpointRecordsTest, ARecordWithoutValueTakesAway) {
  Apply(keys_.Sink({}));
  TableProgress progress;
  progress.table = {"public", "orders"};
  Apply(keys_.Table(progress));
  Apply(keys_.Range(progress.table, {0, 64}));
  Remove(keys_.Range(progress.table, {0, 64}).key);
  EXPECT_TRUE(records_.checkpoint()->tables.at(0).finished.empty());
  for (const std::string& key : records_.Keys()) Remove(key);
  EXPECT_FALSE(records_.checkpoint().has_value());
  EXPECT_TRUE(records_.Keys().empty());
}

TEST_F(CheckpointRecordsTest, OtherSinksAreNobodysBusiness) {
  Apply(CheckpointKeys("shop", "kafka2").Sink({}));
  Apply(CheckpointKeys("shop,kafka", "x").Sink({}));
  Apply({"not ours at all", "at all"});
  EXPECT_FALSE(records_.checkpoint().has_value());
}

TEST_F(CheckpointRecordsTest, WhatCannotBeReadIsAnError) {
  EXPECT_EQ(records_.Apply(keys_.prefix() + "\"sink\"]", "{}").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(records_.Apply(keys_.prefix() + "\"stream\"", "{}").code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace pgflow::sinks
