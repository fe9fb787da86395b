#include "sinks/encoding/transaction_monitor.h"

#include <gtest/gtest.h>

namespace pgflow::sinks {
namespace {

engine::TransactionSpan Transaction(uint64_t lsn) {
  engine::TransactionSpan span;
  span.xid = 7;
  span.commit_lsn = postgres::Lsn(lsn);
  span.commit_time = absl::FromUnixMillis(1234);
  return span;
}

TEST(TransactionMonitor, CountsAllAndByTable) {
  TransactionMonitor monitor;
  EXPECT_FALSE(monitor.IsOpen(Transaction(100)));
  EXPECT_TRUE(monitor.Enter(Transaction(100), 0));
  EXPECT_EQ(monitor.Begin().id, "7:100");
  EXPECT_EQ(monitor.Begin().commit_time_ms, 1234);
  EXPECT_EQ(monitor.Count({"public", "a"}).total_order, 1U);
  EXPECT_FALSE(monitor.Enter(Transaction(100), 1));
  EXPECT_EQ(monitor.Count({"public", "b"}).collection_order, 1U);
  const TransactionPlace third = monitor.Count({"public", "a"});
  EXPECT_EQ(third.total_order, 3U);
  EXPECT_EQ(third.collection_order, 2U);
  const TransactionNote end = monitor.End();
  EXPECT_TRUE(end.ends);
  EXPECT_EQ(end.event_count, 3U);
  EXPECT_EQ(end.collections->at("public.a"), 2U);
  EXPECT_FALSE(monitor.IsOpen(Transaction(100)));
}

TEST(TransactionMonitor, WhatComesAgainIsCountedAnew) {
  TransactionMonitor monitor;
  monitor.Enter(Transaction(100), 0);
  monitor.Count({"public", "a"});
  monitor.Enter(Transaction(100), 5);
  monitor.Count({"public", "a"});
  EXPECT_TRUE(monitor.Enter(Transaction(100), 5));
  EXPECT_EQ(monitor.Count({"public", "a"}).total_order, 1U);
  EXPECT_TRUE(monitor.Enter(Transaction(200), 9));
  EXPECT_EQ(monitor.Count({"public", "a"}).collection_order, 1U);
}

}  // namespace
}  // namespace pgflow::sinks
