#include "engine/runtime/dead_letter.h"

#include <string>

#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"

namespace pgflow::engine {
namespace {

class DeadLetterLineTest : public testing::Test {
 protected:
  DeadLetterLineTest() { events_.Table("shop.items (id int4 key, name text, note text)"); }

  std::vector<std::string> LinesOf(Batch& batch) {
    const absl::Status refused = absl::InvalidArgumentError("refused");
    std::vector<std::string> lines;
    const std::span<const ChangeEvent> events = *batch.Events();
    for (const ChangeEvent& event : events) {
      lines.push_back(EncodeDeadLetter({.sink = "pg",
                                        .position = batch.PositionOf(event),
                                        .transaction = &batch.transactions()[0],
                                        .event = event,
                                        .error = refused},
                                       "queue/shop"));
    }
    return lines;
  }

  EventBuilder events_;
};

TEST_F(DeadLetterLineTest, ComesBackAsItWas) {
  Batch batch = events_.StreamBatch(
      "begin lsn=0/100\ninsert items 1 'quo\"te' null\nupdate items old(1) 2 b unchanged\ncommit");
  const std::vector<std::string> before = Describe(batch);
  const std::vector<std::string> lines = LinesOf(batch);
  for (size_t i = 0; i < 2; ++i) {
    auto letter = DecodeDeadLetter(lines[i]);
    ASSERT_TRUE(letter.ok()) << letter.status();
    EXPECT_EQ(letter->position, (Position{postgres::Lsn(0x100), i}));
    EXPECT_EQ(letter->error, "refused");
    EXPECT_EQ(letter->sink, "pg");
    EXPECT_EQ(Describe(letter->batch), (std::vector<std::string>{before[i]}));
    // An insert may find the row, mended by hand; an update that finds none would be lost.
    EXPECT_EQ((*letter->batch.Events())[0].catch_up, i == 0);
  }
  EXPECT_EQ(QueueOf(lines[0]), "queue/shop");
  EXPECT_EQ(QueueOf(WithQueue(lines[0], "other/shop")), "other/shop");
  EXPECT_EQ(DecodeDeadLetter(WithError(lines[0], absl::InvalidArgumentError("again")))->error,
            "again");
}

TEST_F(DeadLetterLineTest, AMalformedOneIsRefused) {
  for (const char* line : {"", "{\"sink\":", "{}", "[1]", "{\"sink\": 1}"}) {
    EXPECT_EQ(DecodeDeadLetter(line).status().code(), absl::StatusCode::kInvalidArgument) << line;
  }
}

TEST_F(DeadLetterLineTest, RowsAreNamedByTheirKeys) {
  Batch batch = events_.StreamBatch(
      "begin lsn=0/100\ninsert items 1 a b\nupdate items 1 c d\nupdate items old(1) 2 c d\n"
      "delete items old(2)\ncommit");
  const std::span<const ChangeEvent> events = *batch.Events();
  const std::vector<std::string> one = RowKeys(events[0]);
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(RowKeys(events[1]), one);
  const std::vector<std::string> both = RowKeys(events[2]);
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[0], one[0]);
  EXPECT_EQ(RowKeys(events[3]), (std::vector<std::string>{both[1]}));
  EXPECT_EQ(SpellingOf(both[0]), SpellingOf(both[1]));
}

}  // namespace
}  // namespace pgflow::engine
