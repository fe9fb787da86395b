#include "sinks/blackhole/blackhole_sink.h"

#include <gtest/gtest.h>

#include "engine/testing/event_builder.h"
#include "engine/testing/sink_contract.h"

namespace pgflow::sinks {
namespace {

TEST(BlackholeSink, KeepsTheContract) {
  const auto make = [] { return *BlackholeSink::Make({}); };
  EXPECT_EQ(engine::CheckSinkContract({.make = make, .snapshot = true}),
            std::vector<std::string>());
}

TEST(BlackholeSink, CountsAndMovesItsFrontier) {
  absl::StatusOr<std::unique_ptr<engine::Sink>> made = BlackholeSink::Make({});
  ASSERT_TRUE(made.ok());
  auto& sink = static_cast<BlackholeSink&>(**made);
  ASSERT_TRUE(sink.Open({"pipeline", "blackhole", "shop"}, {}).ok());
  EXPECT_EQ(sink.checkpoint_store(), nullptr);

  engine::EventBuilder builder;
  builder.Table("t (id int4 key)");
  std::vector<engine::Batch> batches;
  batches.push_back(builder.StreamBatch("begin\n insert t 1\n insert t 2\n commit"));
  const engine::StreamPoint end{postgres::Lsn(0x100), postgres::Lsn(0x110)};
  ASSERT_TRUE(sink.Write({batches, true, end}, {}).ok());
  ASSERT_TRUE(sink.Write({{}, false, {}}, {}).ok());
  EXPECT_EQ(*sink.Durable({}), end);

  std::unique_ptr<engine::SnapshotLane> lane = *sink.OpenLane({});
  engine::Batch rows = builder.Snapshot("t", "1\n2\n3");
  ASSERT_TRUE(lane->Write(rows, {}).ok());
  ASSERT_TRUE(lane->FinishRange({}).ok());
  EXPECT_EQ(sink.row_count(), 5U);
  EXPECT_GT(sink.byte_count(), 0U);
  EXPECT_TRUE(sink.Close({}).ok());
}

}  // namespace
}  // namespace pgflow::sinks
