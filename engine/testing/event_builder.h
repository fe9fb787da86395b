// EventBuilder: chunks and batches from a small language, for tests.
//
//   begin                                    begin xid=7 lsn=0/500   (defaults: the next ones)
//   insert items 1 'an apple' null
//   update items 1 pear unchanged
//   update items old(1) 2 pear null          the identity changed: key columns of the old row
//   update items full(1 a null) 1 pear null  REPLICA IDENTITY FULL
//   delete items 1                           by key, or by full(...)
//   insert@101 items ...                     made by subtransaction 101
//   truncate items, other cascade restart
//   ddl items '{...}'                        the message of a captured command on the table
//   commit
//
// A table is named as declared, with or without its schema. Values are in text format; '...'
// quotes. A mistake in a script ends the test process with a message. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/api/batch.h"
#include "engine/api/chunk.h"

namespace pgflow::engine {

struct ScriptToken {
  std::string text;
  bool quoted = false;
};

class EventBuilder {
 public:
  // "shop.items (id int4 key, name text unique, note text)", optionally followed by `full`
  // (replica identity) or `nothing`. Declaring a name again makes the table's next version.
  schemas::TableSchemaPtr Table(std::string_view declaration);
  schemas::TableSchemaPtr FindTable(std::string_view name) const;

  // A chunk of whole or part transactions. A transaction without `commit` goes on in the next call.
  Chunk Stream(std::string_view script);
  // A chunk of an open (streamed) transaction: changes only.
  Chunk Open(std::string_view script);
  // How the transaction of such chunks commits.
  TransactionSpan Commit(postgres::Xid xid);

  // The same as a batch; ordinals go on with the transaction.
  Batch StreamBatch(std::string_view script);

  // Rows of a snapshot, a line each: "1 'an apple' null". Binary knows bool, ints, floats and text.
  CopyRows Rows(std::string_view table, std::string_view rows,
                CopyFormat format = CopyFormat::kText) const;
  Batch Snapshot(std::string_view table, std::string_view rows,
                 CopyFormat format = CopyFormat::kText) const {
    return Batch(Rows(table, rows, format));
  }

 private:
  void Begin(const std::vector<ScriptToken>& line, Chunk& chunk);
  void End(Chunk& chunk);
  void Change(const std::vector<ScriptToken>& line, Chunk& chunk);
  void Truncate(const std::vector<ScriptToken>& line, EventRecord record, Chunk& chunk);
  TransactionSpan NextTransaction();

  std::map<std::string, schemas::TableSchemaPtr, std::less<>> tables_;
  postgres::Oid next_oid_ = postgres::kFirstUserOid;
  postgres::Xid next_xid_ = 1;
  uint64_t next_lsn_ = 0x100;
  bool in_transaction_ = false;
  uint64_t next_ordinal_ = 0;
  TransactionSpan transaction_;
};

// All events of a chunk of committed transactions, as the runtime makes them; ordinals count from
// `first_ordinal` in the first transaction.
Batch BatchOf(std::shared_ptr<const Chunk> chunk, uint64_t first_ordinal = 0);

// One event in the language above, with the table's full name: "insert shop.items 1 'an apple'
// null". Binary values that it does not know are shown as \x hex. Snapshot rows are "read ...".
std::string Describe(const ChangeEvent& event);
// A line each.
std::vector<std::string> Describe(Batch& batch);

}  // namespace pgflow::engine
