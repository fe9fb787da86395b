// StreamReader: one replication session, from START_REPLICATION to its end.
//
// One thread. Answers the server at least every second, also while the writer has no room, so that
// a slow sink never ends the session. What the options point to must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>

#include "engine/api/checkpoint.h"
#include "engine/api/stream_writer.h"
#include "engine/api/telemetry.h"
#include "postgres/client/connection.h"
#include "sources/postgres/relation_cache.h"
#include "sources/postgres/source_watch.h"
#include "sources/postgres/stream_decoder.h"
#include "sources/postgres/stream_pace.h"

namespace pgflow::sources {

struct StreamReaderOptions {
  postgres::ConnectOptions connect;
  std::string slot;
  std::string publication;
  ChangeOrigin origin = ChangeOrigin::kAny;
  std::optional<engine::SourceIdentity> server{};  // The only one to stream from, if it is known.
  bool in_progress = true;  // The server may send large transactions before they end.
  const std::atomic<uint64_t>* acknowledged = nullptr;  // Durable downstream.
  const std::atomic<bool>* awaited = nullptr;           // Commits of the source wait for that.
  // A server that is asked and says nothing for so long is taken for gone.
  absl::Duration receive_timeout = absl::Minutes(1);
  std::vector<std::string> messages{};      // Patterns of the prefixes that are wanted.
  std::atomic<int>* backend_pid = nullptr;  // Set to the walsender's while it streams, else to 0.
  engine::SourceTelemetry* telemetry = nullptr;  // May be null.
};

// RelationCache for the decoder: while it asks the catalog, which may take its time, the stream is
// kept alive.
class PatientLookup final : public RelationLookup {
 public:
  // `while_waiting` is called every now and then; its errors are those of the stream.
  PatientLookup(RelationCache& relations, std::function<absl::Status()> while_waiting)
      : relations_(relations), while_waiting_(std::move(while_waiting)) {}

  absl::StatusOr<schemas::TableSchemaPtr> Resolve(
      const postgres::RelationMessage& message,
      const std::optional<OpenTransactionId>& learnt_in) override;
  void Settle(postgres::Xid top, bool committed) override { relations_.Settle(top, committed); }
  void ForgetSubtransaction(const OpenTransactionId& rolled_back) override {
    relations_.ForgetSubtransaction(rolled_back);
  }
  absl::Status ConfirmDefinitions(std::span<const postgres::Oid> tables) override;
  std::string TakeSchemaChange() override { return relations_.TakeSchemaChange(); }
  std::string_view CaptureSecret() const override { return relations_.CaptureSecret(); }
  bool Publishes(const std::vector<std::string>& publications) const override {
    return relations_.Publishes(publications);
  }
  bool WantsDdl(const schemas::DdlSubject& subject) const override {
    return relations_.WantsDdl(subject);
  }

 private:
  RelationCache& relations_;
  // Runs `ask` in a thread of its own.
  template <typename Answer>
  Answer Await(std::function<Answer()> ask);

  const std::function<absl::Status()> while_waiting_;
};

class StreamReader {
 public:
  StreamReader(StreamReaderOptions options, RelationCache& relations, SourceWatch& watch,
               engine::StreamWriter& out)
      : options_(std::move(options)),
        relations_(relations),
        watch_(watch),
        out_(out),
        lookup_(relations, [this] { return SendStatusWhenDue(absl::Now()); }),
        decoder_(out, lookup_, options_.telemetry) {}

  // Until `stop` (kCancelled) or an error; see engine::Source::Run.
  absl::Status Run(std::stop_token stop);
  // After Run: the server failed at decoding, or cannot be trusted, and had been asked for
  // transactions in progress. It may do without: after a rollback to a savepoint it can lose a
  // table whose definition was changed in the part that was rolled back, or by somebody else
  // meanwhile.
  bool failed_in_progress() const { return failed_in_progress_; }

 private:
  absl::Status Start(const std::stop_token& stop);
  std::string StartCommand() const;
  bool ServerLeavesOutReplicated() const;
  bool SendsInProgress() const;
  void NoteFailure(const absl::Status& status);
  absl::Status Loop(const std::stop_token& stop);
  // Takes messages until nothing more is there, the writer is full, or a status is due.
  absl::Status Drain(const std::stop_token& stop);
  absl::Status TakeFrame(std::string_view frame);
  absl::Status Rest(const std::stop_token& stop);
  absl::Status WaitForRoom(const std::stop_token& stop);
  absl::Status ReportIdle(absl::Time now);
  absl::Status AnswerPing(postgres::Lsn server_end);
  void Hear(absl::Time now);
  // Asks for an answer when it has been quiet for long; an error when none came.
  absl::Status ExpectWord(absl::Time now);
  absl::Status SendStatus(absl::Time now, bool reply_requested = false);
  absl::Status SendStatusWhenDue(absl::Time now);
  bool awaited() const { return options_.awaited->load(std::memory_order_relaxed); }
  // Somebody waits for what the sinks have been given a moment ago.
  bool AwaitsSinks(absl::Time now) const;

  const StreamReaderOptions options_;
  RelationCache& relations_;
  SourceWatch& watch_;
  engine::StreamWriter& out_;
  PatientLookup lookup_;
  StreamDecoder decoder_;
  std::unique_ptr<postgres::Connection> connection_;
  bool failed_in_progress_ = false;
  bool drained_ = false;
  int64_t taken_ = 0;  // Messages since the last rest, and their bytes.
  int64_t taken_bytes_ = 0;
  StreamPace pace_;
  absl::Time status_sent_ = absl::InfinitePast();
  absl::Time heard_;  // When the server said something, or was last not listened to.
  absl::Time asked_ = absl::InfinitePast();
  uint64_t reported_ = 0;  // What the last status acknowledged.
  absl::Time idle_reported_ = absl::InfinitePast();
  postgres::Lsn idle_lsn_;   // Nothing of ours is before it.
  postgres::Lsn idle_told_;  // What the writer knows of that.
  // Requests for an answer that came without any progress of the server.
  postgres::Lsn ping_lsn_;
  int pings_ = 0;
  absl::Time pings_since_;
};

}  // namespace pgflow::sources
