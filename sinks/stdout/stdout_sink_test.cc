#include "sinks/stdout/stdout_sink.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "engine/testing/event_builder.h"
#include "engine/testing/sink_contract.h"

namespace pgflow::sinks {
namespace {

class StdoutSinkTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "pgflow_stdout_sink_" + std::to_string(getpid());
    std::filesystem::remove(path_);
    builder_.Table("public.orders (id int4 key, note text)");
    builder_.Table("audit.log (id int4 key)");
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::unique_ptr<engine::Sink> Open(std::vector<std::string> tables = {}) {
    auto sink = StdoutSink::Make({.file = path_, .tables = std::move(tables), .encoding = {}});
    EXPECT_TRUE(sink.ok());
    EXPECT_TRUE((*sink)->Open({"pipeline", "stdout", "shop"}, {}).ok());
    return *std::move(sink);
  }

  std::vector<std::string> Lines() const {
    std::ifstream file(path_);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  std::string path_;
  engine::EventBuilder builder_;
};

TEST_F(StdoutSinkTest, KeepsTheContract) {
  const auto make = [this] {
    return *StdoutSink::Make({.file = path_, .tables = {}, .encoding = {}});
  };
  EXPECT_EQ(engine::CheckSinkContract({.make = make, .snapshot = true}),
            std::vector<std::string>());
}

TEST_F(StdoutSinkTest, WritesALineAnEventAndMovesItsFrontierAtCommits) {
  std::unique_ptr<engine::Sink> sink = Open();
  std::vector<engine::Batch> first;
  first.push_back(builder_.StreamBatch("begin\n insert orders 1 'a\nb'\n insert log 1\n commit"));
  const engine::StreamPoint end{postgres::Lsn(0x100), postgres::Lsn(0x108)};
  ASSERT_TRUE(sink->Write({first, true, end}, {}).ok());
  EXPECT_EQ(*sink->Durable({}), end);
  EXPECT_EQ(Lines().size(), 2U);

  std::vector<engine::Batch> part;
  part.push_back(builder_.StreamBatch("begin\n delete orders 1"));
  ASSERT_TRUE(sink->Write({part, false, {}}, {}).ok());
  EXPECT_EQ(*sink->Durable({}), end);
  EXPECT_EQ(Lines().size(), 3U);
}

TEST_F(StdoutSinkTest, KeepsToItsTables) {
  std::unique_ptr<engine::Sink> sink = Open({"public.*"});
  std::vector<engine::Batch> batches;
  batches.push_back(builder_.StreamBatch("begin\n insert log 1\n insert orders 7 x\n commit"));
  ASSERT_TRUE(sink->Write({batches, true, {}}, {}).ok());
  ASSERT_EQ(Lines().size(), 1U);
  EXPECT_NE(Lines()[0].find(R"("after":{"id":7,"note":"x"}})"), std::string::npos);
}

TEST_F(StdoutSinkTest, WritesSnapshotRowsFromLanes) {
  std::unique_ptr<engine::Sink> sink = Open();
  std::unique_ptr<engine::SnapshotLane> lane = *sink->OpenLane({});
  ASSERT_TRUE(lane->BeginRange({}, {}, {}).ok());
  engine::Batch rows = builder_.Snapshot("orders", "1 a\n2 b");
  ASSERT_TRUE(lane->Write(rows, {}).ok());
  ASSERT_TRUE(lane->FinishRange({}).ok());
  ASSERT_TRUE(lane->FinishTable({}, {}).ok());
  ASSERT_EQ(Lines().size(), 2U);
  EXPECT_NE(Lines()[0].find(R"("operation":"read")"), std::string::npos);
}

TEST_F(StdoutSinkTest, RefusesAPatternWithoutSchema) {
  EXPECT_EQ(StdoutSink::Make({.file = {}, .tables = {"orders"}, .encoding = {}}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(StdoutSinkTest, DescribesItsOptions) {
  const engine::ComponentType<engine::Sink> type = StdoutSinkType();
  EXPECT_EQ(type.name, "stdout");
  EXPECT_EQ(type.describe().fields.size(), 4U);
}

}  // namespace
}  // namespace pgflow::sinks
