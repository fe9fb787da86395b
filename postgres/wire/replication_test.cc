#include "postgres/wire/replication.h"

#include <limits>

#include <gtest/gtest.h>

namespace pgflow::postgres {
namespace {

using namespace std::string_literals;  // NOLINT: "..."s keeps zero bytes.

const std::string kLog =
    "w\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\x0F\x42\x40"
    "BODY"s;

TEST(Replication, XLogData) {
  const absl::StatusOr<ReplicationFrame> frame = DecodeReplicationFrame(kLog);
  ASSERT_TRUE(frame.ok()) << frame.status();
  const auto& log = std::get<XLogData>(*frame);
  EXPECT_EQ(log.start, Lsn(0x100));
  EXPECT_EQ(log.server_end, Lsn(0x200));
  EXPECT_EQ(log.send_time, absl::FromUnixSeconds(946684801));
  EXPECT_EQ(log.message, "BODY");
  for (size_t size = 0; size < kLog.size() - 4; ++size) {
    EXPECT_FALSE(DecodeReplicationFrame(std::string(kLog.data(), size)).ok()) << size;
  }
}

TEST(Replication, Keepalive) {
  const std::string bytes = "k\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\0\1"s;
  const absl::StatusOr<ReplicationFrame> frame = DecodeReplicationFrame(bytes);
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_EQ(std::get<PrimaryKeepalive>(*frame).server_end, Lsn(0x200));
  EXPECT_TRUE(std::get<PrimaryKeepalive>(*frame).reply_requested);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeReplicationFrame(std::string(bytes.data(), size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeReplicationFrame(bytes + "x").ok());
  EXPECT_FALSE(DecodeReplicationFrame("z").ok());
}

TEST(Replication, StandbyStatus) {
  StandbyStatus status;
  status.written = Lsn(0x300);
  status.flushed = Lsn(0x200);
  status.applied = Lsn(0x100);
  status.send_time = absl::FromUnixSeconds(946684801);
  status.reply_requested = true;
  EXPECT_EQ(EncodeStandbyStatus(status),
            "r\0\0\0\0\0\0\3\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\x0F\x42\x40\1"s);
}

TEST(Replication, TimesNeverOverflow) {
  EXPECT_EQ(TimeToWire(TimeFromWire(-5)), -5);
  EXPECT_LT(TimeFromWire(std::numeric_limits<int64_t>::min()), absl::UnixEpoch());
  EXPECT_GT(TimeFromWire(std::numeric_limits<int64_t>::max()), absl::UnixEpoch());
}

}  // namespace
}  // namespace pgflow::postgres
