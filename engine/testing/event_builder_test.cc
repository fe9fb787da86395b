#include "engine/testing/event_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pgflow::engine {
namespace {

using ::testing::ElementsAre;

TEST(EventBuilder, BuildsAStreamBatch) {
  EventBuilder builder;
  builder.Table("shop.items (id int4 key, name text, note text)");
  builder.Table("other (id int4 key)");
  Batch batch = builder.StreamBatch(R"(
      begin xid=7 lsn=0/500
      insert items 1 'an apple' null
      update items 1 pear unchanged
      update items old(1) 2 pear ''
      commit
      begin
      delete shop.items 2
      delete items full(3 'it''s' null)
      truncate items, other cascade
      commit)");
  EXPECT_THAT(
      Describe(batch),
      ElementsAre("insert shop.items 1 'an apple' null", "update shop.items 1 pear unchanged",
                  "update shop.items old(1) 2 pear ''", "delete shop.items 2",
                  "delete shop.items full(3 'it''s' null)", "truncate shop.items cascade",
                  "truncate public.other cascade"));
  ASSERT_EQ(batch.transactions().size(), 2U);
  const TransactionSpan& first = batch.transactions()[0];
  EXPECT_EQ(first.xid, 7U);
  EXPECT_EQ(first.commit_lsn, postgres::Lsn(0x500));
  EXPECT_TRUE(first.begins && first.ends);
  std::span<const ChangeEvent> events = *batch.Events();
  EXPECT_EQ(batch.PositionOf(events[2]), (Position{postgres::Lsn(0x500), 2}));
  EXPECT_EQ(batch.PositionOf(events[3]), (Position{postgres::Lsn(0x600), 0}));
  EXPECT_TRUE(events[5].truncate_more);
  EXPECT_FALSE(events[6].truncate_more);
}

TEST(EventBuilder, ATransactionGoesOnInTheNextChunk) {
  EventBuilder builder;
  builder.Table("t (id int4 key)");
  const Chunk first = builder.Stream("begin\n insert t 1");
  const Chunk second = builder.Stream("insert t 2\n commit");
  EXPECT_TRUE(first.transactions[0].begins);
  EXPECT_FALSE(first.transactions[0].ends);
  EXPECT_FALSE(second.transactions[0].begins);
  EXPECT_TRUE(second.transactions[0].ends);
  EXPECT_EQ(first.transactions[0].commit_lsn, second.transactions[0].commit_lsn);
}

TEST(EventBuilder, OrdinalsGoOnWithTheTransaction) {
  EventBuilder builder;
  builder.Table("t (id int4 key)");
  builder.StreamBatch("begin\n insert t 1\n commit\n begin lsn=0/900\n insert t 2\n insert t 3");
  Batch second = builder.StreamBatch("insert t 4");
  Batch third = builder.StreamBatch("insert t 5\n commit\n begin\n insert t 6");
  EXPECT_EQ((*second.Events())[0].ordinal, 2U);
  EXPECT_EQ((*third.Events())[0].ordinal, 3U);
  EXPECT_EQ((*third.Events())[1].ordinal, 0U);
}

TEST(EventBuilder, AnOpenChunkHasNoTransactions) {
  EventBuilder builder;
  builder.Table("t (id int4 key)");
  const Chunk open = builder.Open("insert@101 t 1\n insert@102 t 2");
  EXPECT_TRUE(open.transactions.empty());
  EXPECT_EQ(open.records[1].xid, 102U);
  EXPECT_EQ(builder.Commit(100).xid, 100U);
}

TEST(EventBuilder, BuildsSnapshotRowsInBothFormats) {
  EventBuilder builder;
  builder.Table("t (id int8 key, name text, ok bool)");
  for (CopyFormat format : {CopyFormat::kText, CopyFormat::kBinary}) {
    Batch batch = builder.Snapshot("t", "1 'a\tb\\c' t\n -2 null f\n 3 '' null", format);
    EXPECT_EQ(batch.row_count(), 3U);
    EXPECT_THAT(Describe(batch), ElementsAre("read public.t 1 'a\tb\\c' t",
                                             "read public.t -2 null f", "read public.t 3 '' null"));
  }
}

TEST(EventBuilder, DeclaringAgainMakesAVersion) {
  EventBuilder builder;
  const schemas::TableSchemaPtr first = builder.Table("t (id int4 key)");
  const schemas::TableSchemaPtr second = builder.Table("t (id int4 key, more text) full");
  EXPECT_EQ(first->oid, second->oid);
  EXPECT_EQ(second->version, 1U);
  EXPECT_EQ(builder.FindTable("public.t"), second);
  EXPECT_EQ(second->replica_identity, schemas::ReplicaIdentity::kFull);
}

}  // namespace
}  // namespace pgflow::engine
