// ScratchPostgres: a private, real Postgres server for one test.
//
// Its data directory, socket and port are its own, in a new directory under $TMPDIR (or /tmp); the
// destructor stops it and removes them. It does not outlive the test process, however that ends.
// Binaries: $PGFLOW_PG_BIN, else the newest /usr/lib/postgresql/*/bin. Under root the server runs
// as the user `postgres`. The first test on a machine runs initdb once and keeps the result in
// /tmp/pgflow-initdb-<version>-<uid>; later starts copy it and take less than a second.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "engine/testing/subprocess.h"
#include "postgres/client/connection.h"

namespace pgflow::engine {

struct ScratchPostgresOptions {
  // Lines of postgresql.conf, over the defaults: wal_level=logical, fsync=off, 20 walsenders and
  // slots, small shared buffers.
  std::vector<std::pair<std::string, std::string>> settings;
};

// A row; NULL is nothing.
using TextRow = std::vector<std::optional<std::string>>;

// Start, Stop, Kill9, Restart, Freeze, Thaw: one thread at a time. The rest: any thread.
// Superuser `postgres` without password; other roles may log in without one too.
class ScratchPostgres {
 public:
  // Makes the cluster and starts it.
  static absl::StatusOr<std::unique_ptr<ScratchPostgres>> Make(
      const ScratchPostgresOptions& options = {});
  // A hot standby that streams from `primary` through a physical slot of its own; restarts the
  // primary to copy it.
  static absl::StatusOr<std::unique_ptr<ScratchPostgres>> MakeStandby(
      ScratchPostgres& primary, const ScratchPostgresOptions& options = {});
  ~ScratchPostgres();
  ScratchPostgres(const ScratchPostgres&) = delete;
  ScratchPostgres& operator=(const ScratchPostgres&) = delete;

  // All of these keep the port, so that URLs stay valid.
  absl::Status Start();
  // Fast shutdown: sessions are ended, walsenders send what there is. Gives up after a minute.
  absl::Status Stop();
  // SIGKILL of the postmaster; returns when none of its processes is left.
  absl::Status Kill9();
  absl::Status Restart();
  // SIGSTOP and SIGCONT of all of its processes: a server, or network, that stalls.
  absl::Status Freeze();
  absl::Status Thaw();
  bool running();
  // Keeps the stopped server's disk as it is now; puts the stopped server back to that.
  absl::Status SaveImage() const;
  absl::Status RestoreImage() const;

  // Appends to postgresql.conf; needs Restart, or SELECT pg_reload_conf().
  absl::Status Configure(std::string_view name, std::string_view value);

  // postgresql://postgres@127.0.0.1:port/database; through the socket directory with socket_url.
  std::string url(std::string_view database = "postgres", std::string_view user = "postgres") const;
  std::string socket_url(std::string_view database = "postgres") const;
  int port() const { return port_; }
  pid_t pid() const { return server_ == nullptr ? -1 : server_->pid(); }
  const std::string& data_directory() const { return data_directory_; }
  // The end of the server's log, for the message of a failed test.
  std::string LogTail() const;

  // Each call is a session of its own. Several statements with `;` are one transaction.
  absl::Status Execute(const std::string& sql, std::string_view database = "postgres") const;
  absl::StatusOr<std::vector<TextRow>> Query(const std::string& sql,
                                             std::string_view database = "postgres") const;
  // The first column of the first row, as text; "" for NULL. kNotFound: no row.
  absl::StatusOr<std::string> QueryValue(const std::string& sql,
                                         std::string_view database = "postgres") const;
  int version() const;  // 150018. The server must answer.
  absl::Status CreateDatabase(std::string_view name) const;
  absl::StatusOr<std::unique_ptr<postgres::Connection>> Connect(
      std::string_view database = "postgres") const;

 private:
  ScratchPostgres() = default;
  // The server's own directory, with nothing in it.
  absl::Status MakeDirectory();
  absl::Status WriteSettings(const ScratchPostgresOptions& options);
  absl::Status CopyCluster(ScratchPostgres& primary);
  absl::Status WaitUntilReady();
  // The server's processes that live now, its postmaster among them.
  std::vector<pid_t> Processes() const;
  absl::Status WaitUntilGone(const std::vector<pid_t>& processes);

  RunAs run_as_;
  std::string bin_;
  std::string directory_;
  std::string data_directory_;
  int port_ = 0;
  bool frozen_ = false;
  std::unique_ptr<Subprocess> server_;
};

}  // namespace pgflow::engine
