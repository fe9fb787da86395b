#include "sinks/postgres/flush_tracker.h"

#include <gtest/gtest.h>

namespace pgflow::sinks {
namespace {

using engine::StreamPoint;
using postgres::Lsn;

constexpr uint64_t kPage = 8192;
constexpr uint64_t kMiB = 1 << 20;

bool IsDurable(WalLayout layout, uint64_t insert, uint64_t flushed) {
  FlushTracker tracker(layout);
  const StreamPoint point{Lsn(7), Lsn(8)};
  tracker.Committed(point, Lsn(insert));
  tracker.Flushed(Lsn(flushed));
  return !tracker.lags();
}

TEST(FlushTrackerTest, ACommitWaitsForItsLastByte) {
  for (const uint64_t segment : {kMiB, 16 * kMiB, 1024 * kMiB}) {
    for (const uint64_t page_bytes : {kPage, 4 * kPage}) {
      const WalLayout layout{.page_bytes = page_bytes, .segment_bytes = segment};
      for (const uint64_t page : {3 * segment, 3 * segment + page_bytes, 4 * segment - page_bytes,
                                  4 * segment + 7 * page_bytes}) {
        const uint64_t header = page % segment == 0 ? 40 : 24;
        for (uint64_t offset = header; offset < page_bytes; offset += 8) {
          const uint64_t insert = page + offset;
          // Nothing but a header: what came before it ends with the page before.
          const uint64_t end = offset == header ? page : insert;
          ASSERT_TRUE(IsDurable(layout, insert, end)) << page << "+" << offset;
          ASSERT_FALSE(IsDurable(layout, insert, end - 8)) << page << "+" << offset;
        }
      }
    }
  }
}

// As long as the longer header, in a page that has the shorter one.
TEST(FlushTrackerTest, ARecordThatGoesOnInAPageForSixteenBytesIsNoHeader) {
  EXPECT_FALSE(IsDurable({}, 5 * kPage + 40, 5 * kPage));
  EXPECT_TRUE(IsDurable({}, 5 * kPage + 40, 5 * kPage + 40));
}

TEST(FlushTrackerTest, CommitsBecomeDurableInTheirOrder) {
  FlushTracker tracker({});
  tracker.Reset({Lsn(1), Lsn(2)});
  tracker.Committed({Lsn(10), Lsn(11)}, Lsn(5 * kPage + 100));
  tracker.Committed({Lsn(20), Lsn(21)}, Lsn(6 * kPage + 24));
  tracker.Flushed(Lsn(5 * kPage + 96));
  EXPECT_EQ(tracker.durable(), (StreamPoint{Lsn(1), Lsn(2)}));
  tracker.Flushed(Lsn(5 * kPage + 100));
  EXPECT_EQ(tracker.durable(), (StreamPoint{Lsn(10), Lsn(11)}));
  tracker.Flushed(Lsn(6 * kPage));
  EXPECT_EQ(tracker.durable(), (StreamPoint{Lsn(20), Lsn(21)}));
  EXPECT_FALSE(tracker.lags());
}

}  // namespace
}  // namespace pgflow::sinks
