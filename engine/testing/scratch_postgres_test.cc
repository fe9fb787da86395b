#include "engine/testing/scratch_postgres.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include "engine/testing/scratch_cluster.h"

namespace pgflow::engine {
namespace {

TEST(ScratchPostgres, StartsStopsAndSurvivesKill) {
  absl::StatusOr<std::unique_ptr<ScratchPostgres>> made =
      ScratchPostgres::Make({.settings = {{"wal_sender_timeout", "3s"}}});
  ASSERT_TRUE(made.ok()) << made.status();
  ScratchPostgres& server = **made;
  EXPECT_EQ(*server.QueryValue("SHOW wal_level"), "logical");
  EXPECT_EQ(*server.QueryValue("SHOW wal_sender_timeout"), "3s");
  ASSERT_TRUE(server.CreateDatabase("Shop").ok());
  ASSERT_TRUE(
      server.Execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (NULL)", "Shop").ok());
  const pid_t first = server.pid();
  ASSERT_TRUE(server.Kill9().ok());
  EXPECT_FALSE(server.running());
  EXPECT_TRUE(FindProcesses(server.data_directory(), first).empty());
  EXPECT_FALSE(server.Query("SELECT 1").ok());
  // From a thread that ends before the server is used.
  std::thread([&server] { EXPECT_TRUE(server.Start().ok()) << server.LogTail(); }).join();
  absl::StatusOr<std::vector<TextRow>> rows = server.Query("SELECT id FROM t ORDER BY id", "Shop");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(*rows, (std::vector<TextRow>{{"1"}, {std::nullopt}}));
  EXPECT_NE(server.pid(), first);
  ASSERT_TRUE(server.Restart().ok());
  EXPECT_EQ(*server.QueryValue("SELECT 2"), "2");
}

TEST(ScratchPostgres, UrlWorksOverTcp) {
  absl::StatusOr<std::unique_ptr<ScratchPostgres>> server = ScratchPostgres::Make();
  ASSERT_TRUE(server.ok()) << server.status();
  postgres::ConnectOptions options;
  options.url = (*server)->url();
  const auto connection = postgres::Connection::Connect(options, {});
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_TRUE((*connection)->Execute("SELECT 1").ok());
}

TEST(ScratchPostgres, FreezesAndThaws) {
  absl::StatusOr<std::unique_ptr<ScratchPostgres>> server = ScratchPostgres::Make();
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_TRUE((*server)->Freeze().ok());
  postgres::ConnectOptions options;
  options.url = (*server)->url();
  options.connect_timeout = absl::Seconds(2);  // The least that libpq knows.
  EXPECT_FALSE(postgres::Connection::Connect(options, {}).ok());
  ASSERT_TRUE((*server)->Thaw().ok());
  EXPECT_TRUE((*server)->Execute("SELECT 1").ok());
}

TEST(ScratchPostgres, ABadSettingShowsTheLog) {
  const auto server = ScratchPostgres::Make({.settings = {{"max_connections", "many"}}});
  EXPECT_NE(server.status().ToString().find("max_connections"), std::string::npos)
      << server.status();
}

std::string WorkingDirectory(pid_t pid) {
  std::error_code unreadable;
  return std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/cwd", unreadable);
}

// A process like a test: it starts a server, reports its pid, and is killed.
TEST(ScratchPostgres, DiesWithItsTest) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto server = ScratchPostgres::Make();
    const pid_t pid = server.ok() ? (*server)->pid() : 0;
    if (write(ends[1], &pid, sizeof(pid)) != sizeof(pid)) _exit(1);
    pause();
    _exit(0);
  }
  pid_t postmaster = 0;
  ASSERT_EQ(read(ends[0], &postmaster, sizeof(postmaster)),
            static_cast<ssize_t>(sizeof(postmaster)));
  EXPECT_GT(postmaster, 0);
  EXPECT_TRUE(ProcessLives(postmaster));
  const std::string data_directory = WorkingDirectory(postmaster);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (ProcessLives(postmaster) && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_FALSE(ProcessLives(postmaster));
  if (!data_directory.empty()) {
    std::filesystem::remove_all(std::filesystem::path(data_directory).parent_path());
  }
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace pgflow::engine
