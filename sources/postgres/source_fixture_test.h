// SourceTest: a scratch server with one database a test, and sources over it. For tests only.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/scratch_postgres.h"
#include "sources/postgres/postgres_source.h"
#include "sources/postgres/recording_writer_test.h"

namespace pgflow::sources {

class SourceTest : public testing::Test {
 protected:
  // One server for all tests of a program; each test has its own database.
  static void SetUpTestSuite() {
    auto server = engine::ScratchPostgres::Make({.settings = {
                                                     {"logical_decoding_work_mem", "64kB"},
                                                     {"wal_sender_timeout", "2s"},
                                                     {"max_connections", "60"},
                                                 }});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  static void TearDownTestSuite() { server_.reset(); }

  void SetUp() override {
    static std::atomic<int> count{0};
    database_ = fmt::format("test{}", count.fetch_add(1));
    ASSERT_TRUE(server_->CreateDatabase(database_).ok());
  }
  void TearDown() override {
    stream_stop_.request_stop();
    if (stream_.joinable()) stream_.join();
    if (source_ != nullptr && server_->running()) {
      const absl::Status dropped = source_->DropSlot({});
      EXPECT_TRUE(dropped.ok()) << dropped;
    }
  }

  void Execute(const std::string& sql) const {
    const absl::Status status = server_->Execute(sql, database_);
    ASSERT_TRUE(status.ok()) << status << "\n" << sql;
  }
  std::string Value(const std::string& sql) const {
    const auto value = server_->QueryValue(sql, database_);
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? *value : std::string();
  }

  PostgresSourceConfig Config() const {
    PostgresSourceConfig config;
    config.url = config::Secret(server_->url(database_));
    config.tables.include = {"public.*"};
    config.replication.slot = "slot_" + database_;
    config.snapshot.range_size.bytes = 256 * 1024;
    config.binary = BinaryMode::kOff;  // Readable lines.
    return config;
  }
  std::unique_ptr<engine::Source> MakeSource(PostgresSourceConfig config) const {
    auto source = PostgresSource::Make(std::move(config));
    EXPECT_TRUE(source.ok()) << source.status();
    return *std::move(source);
  }
  // Opens source_ and its new slot.
  void OpenSource(PostgresSourceConfig config) {
    source_ = MakeSource(std::move(config));
    const auto identity = source_->Open({});
    ASSERT_TRUE(identity.ok()) << identity.status();
    const auto slot = source_->OpenSlot(true, {});
    ASSERT_TRUE(slot.ok()) << slot.status();
    EXPECT_TRUE(slot->created);
  }
  // Runs the stream on a thread; an error that may pass starts it again.
  void StartStream() {
    stream_ = std::jthread([this, stop = stream_stop_.get_token()] {
      while (true) {
        run_status_ = source_->Run(writer_, stop);
        if (!base::IsRetryable(run_status_)) return;
        ++disconnects_;
        absl::SleepFor(absl::Milliseconds(50));
      }
    });
  }
  absl::Status StopStream() {
    stream_stop_.request_stop();
    if (stream_.joinable()) stream_.join();
    return run_status_;
  }

  static inline std::unique_ptr<engine::ScratchPostgres> server_;
  std::string database_;
  RecordingWriter writer_;
  std::unique_ptr<engine::Source> source_;
  std::atomic<int> disconnects_{0};
  absl::Status run_status_;
  std::stop_source stream_stop_;
  std::jthread stream_;
};

}  // namespace pgflow::sources
