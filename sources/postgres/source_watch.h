// SourceWatch: looks now and then whether the source still gives everything. What makes changes
// miss from the stream does not show in the stream (KnownSource, CheckLog), so a session of its own
// asks the catalog; the stream never waits for it.
//
// Made for one replication session, on the stream's thread; Begin starts its own thread, which ends
// with the object. The store must outlive it.
#pragma once

#include <atomic>
#include <stop_token>
#include <string>
#include <thread>

#include <absl/status/status.h>
#include <absl/time/time.h>

#include "base/mutex.h"
#include "postgres/client/connection.h"
#include "schemas/table_filter.h"
#include "sources/postgres/known_source.h"
#include "sources/postgres/new_tables.h"

namespace pgflow::sources {

struct SourceWatchOptions {
  postgres::ConnectOptions connect;
  std::string slot;
  std::string publication;
  schemas::TableFilter filter;
  bool captured = false;
  // Tables that the publication lacks are to come into it; nothing but the catalog tells of them.
  bool finds_tables = false;
  NewTables* new_tables = nullptr;
  // The store's tables are those of this run. Before, gaps are not the stream's business yet.
  const std::atomic<bool>* tables_are_known = nullptr;
  const std::atomic<int>* walsender_pid = nullptr;
  std::atomic<bool>* awaited = nullptr;  // Set to whether commits of the source wait for us.
};

class SourceWatch {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(2);
  // Of tables that are to join, or that somebody else may publish.
  static constexpr absl::Duration kTablesInterval = absl::Milliseconds(250);
  static constexpr absl::Duration kSampleInterval = absl::Seconds(10);

  SourceWatch(SourceWatchOptions options, KnownSourceStore& known)
      : options_(std::move(options)), known_(known) {}

  // Before the stream is read, which has come to `reached`: over `connection`, whether the log is
  // the one that was read.
  absl::Status CheckBefore(postgres::Connection& connection, postgres::Lsn reached,
                           const std::stop_token& stop) const;
  void Begin();
  // What was found and is final. Cheap while that is nothing.
  absl::Status finding() const;

 private:
  void Watch(const std::stop_token& stop);
  absl::Status Look(postgres::Connection& connection, const std::stop_token& stop);
  absl::Status LookAtWaiters(postgres::Connection& connection, const std::stop_token& stop) const;
  absl::Status LookAtTables(postgres::Connection& connection, const std::stop_token& stop);
  absl::Status LookAtPlace(postgres::Connection& connection, const std::stop_token& stop);
  absl::Status NoteNewTables(postgres::Connection& connection, const PublicationContent& now,
                             const TableGaps& gaps, const std::stop_token& stop);
  absl::Status Keep(const PublicationContent& now, const TableGaps& gaps);

  const SourceWatchOptions options_;
  KnownSourceStore& known_;
  postgres::Lsn restart_;  // As the last look saw it.
  absl::Time next_place_ = absl::InfinitePast();
  bool looks_often_ = false;
  absl::Time next_sample_ = absl::InfinitePast();

  std::atomic<bool> found_{false};
  mutable base::Mutex mutex_;
  absl::Status finding_ ABSL_GUARDED_BY(mutex_);

  std::jthread thread_;  // Last: ends before what it uses.
};

// What is wrong with a table, with the remedy.
std::string ExplainGap(const std::string& publication,
                       const std::vector<schemas::TableName>& tables, const std::string& gap);

}  // namespace pgflow::sources
