// StreamWriter: where a source puts what it receives; the engine's spool implements it.
#pragma once

#include <memory>
#include <span>
#include <stop_token>

#include <absl/status/status.h>
#include <absl/time/time.h>

#include "engine/api/chunk.h"
#include "engine/api/position.h"

namespace pgflow::engine {

// Called by the source's one thread. Appending never waits: a source asks HasRoom before it reads
// more, so that it can answer keepalives while it waits. Errors stop the pipeline (a full disk).
class StreamWriter {
 public:
  virtual ~StreamWriter() = default;

  // The slot is ours and changes are coming. Called once by each Run.
  virtual void Started() = 0;

  // Whole or part transactions, in commit order. A transaction may span chunks; nothing else comes
  // between its parts.
  virtual absl::Status Append(Chunk chunk) = 0;

  // Part of the streamed, still open transaction `xid` (top level). Several may be open.
  virtual absl::Status AppendOpen(postgres::Xid xid, Chunk chunk) = 0;
  // It committed (begins and ends are ignored); `aborted` are its rolled-back subtransactions.
  virtual absl::Status CommitOpen(postgres::Xid xid, const TransactionSpan& commit,
                                  std::span<const postgres::Xid> aborted) = 0;
  // It rolled back, all of it.
  virtual void DropOpen(postgres::Xid xid) = 0;

  // Nothing that committed before `lsn` is still to come.
  virtual absl::Status Idle(postgres::Lsn lsn) = 0;

  // The connection was lost: forgets open transactions and the unfinished last one. They come
  // again.
  virtual void Cut() = 0;

  // The last transaction that was appended whole. Transactions up to it need not come again.
  virtual StreamPoint tail() const = 0;

  // kUnavailable: some of what it had is gone. Run has to end with this; the next one goes on at
  // tail(), which then is before that.
  virtual absl::Status Writable() const { return absl::OkStatus(); }
  virtual bool HasRoom() const = 0;
  // Returns HasRoom() after at most `timeout`.
  virtual bool WaitForRoom(absl::Duration timeout, std::stop_token stop) = 0;
};

}  // namespace pgflow::engine
