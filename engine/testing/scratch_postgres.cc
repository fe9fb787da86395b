#include "engine/testing/scratch_postgres.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <absl/time/clock.h>

#include "base/check.h"
#include "base/status.h"
#include "engine/testing/scratch_cluster.h"

namespace pgflow::engine {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);
constexpr absl::Duration kPoll = absl::Milliseconds(5);

constexpr std::pair<const char*, const char*> kDefaults[] = {{"listen_addresses", "127.0.0.1"},
                                                             {"wal_level", "logical"},
                                                             {"fsync", "off"},
                                                             {"max_wal_senders", "20"},
                                                             {"max_replication_slots", "20"},
                                                             {"max_prepared_transactions", "10"},
                                                             {"max_connections", "100"},
                                                             {"shared_buffers", "32MB"},
                                                             {"jit", "off"},
                                                             {"log_line_prefix", "%m [%p] "}};

std::string ReadFile(const std::string& name) {
  std::ifstream file(name);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

absl::StatusOr<std::unique_ptr<ScratchPostgres>> ScratchPostgres::Make(
    const ScratchPostgresOptions& options) {
  std::unique_ptr<ScratchPostgres> server(new ScratchPostgres());
  PGFLOW_RETURN_IF_ERROR(server->MakeDirectory());
  PGFLOW_RETURN_IF_ERROR(
      CopyTemplateCluster(server->bin_, server->run_as_, server->data_directory_));
  PGFLOW_RETURN_IF_ERROR(server->WriteSettings(options));
  PGFLOW_RETURN_IF_ERROR(server->Start());
  return server;
}

absl::StatusOr<std::unique_ptr<ScratchPostgres>> ScratchPostgres::MakeStandby(
    ScratchPostgres& primary, const ScratchPostgresOptions& options) {
  std::unique_ptr<ScratchPostgres> server(new ScratchPostgres());
  PGFLOW_RETURN_IF_ERROR(server->MakeDirectory());
  const std::string slot = fmt::format("standby_{}", server->port_);
  PGFLOW_RETURN_IF_ERROR(
      primary.Execute(fmt::format("SELECT pg_create_physical_replication_slot('{}')", slot)));
  PGFLOW_RETURN_IF_ERROR(server->CopyCluster(primary));
  PGFLOW_RETURN_IF_ERROR(server->Configure(
      "primary_conninfo", fmt::format("host={} port={} user=postgres dbname=postgres",
                                      primary.directory_, primary.port_)));
  PGFLOW_RETURN_IF_ERROR(server->Configure("primary_slot_name", slot));
  PGFLOW_RETURN_IF_ERROR(server->Configure("hot_standby_feedback", "on"));
  PGFLOW_RETURN_IF_ERROR(server->Configure("wal_receiver_status_interval", "1s"));
  PGFLOW_RETURN_IF_ERROR(server->WriteSettings(options));
  PGFLOW_RETURN_IF_ERROR(server->Start());
  return server;
}

// Cold: what was shut down cleanly needs no backup label.
absl::Status ScratchPostgres::CopyCluster(ScratchPostgres& primary) {
  PGFLOW_RETURN_IF_ERROR(primary.Stop());
  PGFLOW_RETURN_IF_ERROR(
      RunProgram({"/bin/cp", "-a", primary.data_directory_, data_directory_}, run_as_).status());
  PGFLOW_RETURN_IF_ERROR(primary.Start());
  PGFLOW_RETURN_IF_ERROR(
      RunProgram(
          {"/bin/sh", "-c",
           fmt::format("rm -rf '{0}'/pg_replslot/*; touch '{0}'/standby.signal", data_directory_)},
          run_as_)
          .status());
  return absl::OkStatus();
}

absl::Status ScratchPostgres::MakeDirectory() {
  PGFLOW_ASSIGN_OR_RETURN(run_as_, RunAs::ForPostgres());
  PGFLOW_ASSIGN_OR_RETURN(bin_, FindPostgresBinaries());
  PGFLOW_ASSIGN_OR_RETURN(port_, FindFreePort());
  PGFLOW_ASSIGN_OR_RETURN(directory_, MakeScratchDirectory("pgscratch-", run_as_));
  data_directory_ = directory_ + "/data";
  return absl::OkStatus();
}

absl::Status ScratchPostgres::WriteSettings(const ScratchPostgresOptions& options) {
  for (const auto& [name, value] : kDefaults) PGFLOW_RETURN_IF_ERROR(Configure(name, value));
  PGFLOW_RETURN_IF_ERROR(Configure("port", std::to_string(port_)));
  PGFLOW_RETURN_IF_ERROR(Configure("unix_socket_directories", directory_));
  for (const auto& [name, value] : options.settings) {
    PGFLOW_RETURN_IF_ERROR(Configure(name, value));
  }
  return absl::OkStatus();
}

ScratchPostgres::~ScratchPostgres() {
  if (frozen_) static_cast<void>(Thaw());
  // Immediate: the cluster is thrown away, and a fast shutdown would wait for walsenders.
  if (running()) {
    const std::vector<pid_t> processes = Processes();
    server_->Signal(SIGQUIT);
    if (server_->Wait(absl::Seconds(10)).has_value()) static_cast<void>(WaitUntilGone(processes));
  }
  server_.reset();
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

absl::Status ScratchPostgres::Configure(std::string_view name, std::string_view value) {
  std::ofstream file(data_directory_ + "/postgresql.conf", std::ios::app);
  file << name << " = '" << value << "'\n";
  file.close();
  if (file) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kInternal, "cannot write {}/postgresql.conf",
                          data_directory_);
}

absl::Status ScratchPostgres::Start() {
  if (running()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(server_,
                          Subprocess::Start({.command = {bin_ + "/postgres", "-D", data_directory_},
                                             .run_as = run_as_,
                                             .output_file = directory_ + "/server.log",
                                             .death_signal = SIGQUIT}));
  return WaitUntilReady();
}

absl::Status ScratchPostgres::WaitUntilReady() {
  const absl::Time deadline = absl::Now() + kPatience;
  const std::string lock_file = data_directory_ + "/postmaster.pid";
  const std::string own_pid = std::to_string(pid()) + "\n";
  while (absl::Now() < deadline) {
    // Line 1 is the pid, line 8 the state; pg_ctl waits the same way.
    const std::string lock = ReadFile(lock_file);
    if (lock.starts_with(own_pid) && lock.find("\nready") != std::string::npos) {
      return absl::OkStatus();
    }
    if (server_->Wait(kPoll).has_value()) break;
  }
  return base::MakeStatus(absl::StatusCode::kUnavailable,
                          "scratch server at port {} did not start; its log ends:\n{}", port_,
                          LogTail());
}

absl::Status ScratchPostgres::Stop() {
  if (!running()) return absl::OkStatus();
  const std::vector<pid_t> processes = Processes();
  server_->Signal(SIGINT);
  if (!server_->Wait(kPatience).has_value()) {
    return base::MakeStatus(absl::StatusCode::kDeadlineExceeded,
                            "scratch server at port {} does not stop; its log ends:\n{}", port_,
                            LogTail());
  }
  return WaitUntilGone(processes);
}

absl::Status ScratchPostgres::Kill9() {
  if (!running()) return absl::OkStatus();
  const std::vector<pid_t> processes = Processes();
  server_->Signal(SIGKILL);
  server_->Wait(kPatience);
  frozen_ = false;
  return WaitUntilGone(processes);
}

absl::Status ScratchPostgres::Restart() {
  PGFLOW_RETURN_IF_ERROR(Stop());
  return Start();
}

absl::Status ScratchPostgres::SaveImage() const {
  return RunProgram({"/bin/sh", "-c",
                     fmt::format("rm -rf '{0}.image'; cp -a '{0}' '{0}.image'", data_directory_)},
                    run_as_)
      .status();
}

absl::Status ScratchPostgres::RestoreImage() const {
  return RunProgram({"/bin/sh", "-c",
                     fmt::format("rm -rf '{0}'; cp -a '{0}.image' '{0}'", data_directory_)},
                    run_as_)
      .status();
}

// The postmaster first, so that nothing new appears while the others are stopped.
absl::Status ScratchPostgres::Freeze() {
  if (!running()) return absl::Status(absl::StatusCode::kFailedPrecondition, "it does not run");
  frozen_ = true;
  server_->Signal(SIGSTOP);
  for (pid_t process : Processes()) kill(process, SIGSTOP);
  return absl::OkStatus();
}

absl::Status ScratchPostgres::Thaw() {
  frozen_ = false;
  if (!running()) return absl::Status(absl::StatusCode::kFailedPrecondition, "it does not run");
  for (pid_t process : Processes()) kill(process, SIGCONT);
  return absl::OkStatus();
}

bool ScratchPostgres::running() { return server_ != nullptr && server_->running(); }

std::vector<pid_t> ScratchPostgres::Processes() const {
  return FindProcesses(data_directory_, pid());
}

// Orphans notice that their postmaster died and leave by themselves, but a stopped or busy one may
// take its time: those are killed.
absl::Status ScratchPostgres::WaitUntilGone(const std::vector<pid_t>& processes) {
  const absl::Time start = absl::Now();
  bool killed = false;
  while (absl::Now() - start < kPatience) {
    std::vector<pid_t> left = FindProcesses(data_directory_, 0);
    std::ranges::copy_if(processes, std::back_inserter(left), ProcessLives);
    if (left.empty()) return absl::OkStatus();
    if (!killed && absl::Now() - start > absl::Seconds(2)) {
      for (pid_t process : left) kill(process, SIGKILL);
      killed = true;
    }
    absl::SleepFor(kPoll);
  }
  return base::MakeStatus(absl::StatusCode::kDeadlineExceeded,
                          "processes of the scratch server at port {} do not end", port_);
}

std::string ScratchPostgres::url(std::string_view database, std::string_view user) const {
  return fmt::format("postgresql://{}@127.0.0.1:{}/{}", user, port_, database);
}

std::string ScratchPostgres::socket_url(std::string_view database) const {
  return fmt::format("host={} port={} user=postgres dbname={}", directory_, port_, database);
}

std::string ScratchPostgres::LogTail() const { return TailOfFile(directory_ + "/server.log"); }

absl::StatusOr<std::unique_ptr<postgres::Connection>> ScratchPostgres::Connect(
    std::string_view database) const {
  postgres::ConnectOptions options;
  options.url = socket_url(database);
  options.application_name = "scratch";
  // Our sessions have none, so that only full names work; tests write short ones.
  options.settings = {{"search_path", "public"}};
  return postgres::Connection::Connect(options, {});
}

absl::Status ScratchPostgres::Execute(const std::string& sql, std::string_view database) const {
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<postgres::Connection> connection,
                          Connect(database));
  return connection->Execute(sql).status();
}

absl::StatusOr<std::vector<TextRow>> ScratchPostgres::Query(const std::string& sql,
                                                            std::string_view database) const {
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<postgres::Connection> connection,
                          Connect(database));
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result result, connection->Execute(sql));
  std::vector<TextRow> rows(static_cast<size_t>(result.row_count()));
  for (int row = 0; row < result.row_count(); ++row) {
    for (int column = 0; column < result.column_count(); ++column) {
      TextRow& values = rows[static_cast<size_t>(row)];
      if (result.is_null(row, column)) {
        values.emplace_back();
      } else {
        values.emplace_back(result.text(row, column));
      }
    }
  }
  return rows;
}

absl::StatusOr<std::string> ScratchPostgres::QueryValue(const std::string& sql,
                                                        std::string_view database) const {
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<TextRow> rows, Query(sql, database));
  if (rows.empty() || rows[0].empty()) {
    return base::MakeStatus(absl::StatusCode::kNotFound, "no row: {}", sql);
  }
  return rows[0][0].value_or("");
}

int ScratchPostgres::version() const {
  const auto connection = Connect();
  PGFLOW_CHECK(connection.ok(), "a test asks a server that is there");
  return (*connection)->server_version();
}

absl::Status ScratchPostgres::CreateDatabase(std::string_view name) const {
  std::string quoted;
  for (char c : name) quoted.append(c == '"' ? 2 : 1, c);
  return Execute("CREATE DATABASE \"" + quoted + "\"");
}

}  // namespace pgflow::engine
