// TransactionMonitor: counts the messages of a transaction, for what Debezium's connectors say with
// provide.transaction.metadata.
//
// One thread; a writer of a stream has one. A transaction that comes again after an error is
// counted from its beginning.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "engine/api/change_event.h"
#include "schemas/table_schema.h"

namespace pgflow::sinks {

// Of a message in its transaction; both count from 1.
struct TransactionPlace {
  std::string_view id;
  uint64_t total_order = 0;
  uint64_t collection_order = 0;
};

// What is said of a transaction before its first message and behind its last one.
struct TransactionNote {
  std::string_view id;  // txId:commit LSN
  int64_t commit_time_ms = 0;
  bool ends = false;
  // Of an end: messages in all, and by schema.table.
  uint64_t event_count = 0;
  const std::map<std::string, uint64_t>* collections = nullptr;
};

class TransactionMonitor {
 public:
  // The transaction of the next messages. True: it begins with them.
  bool Enter(const engine::TransactionSpan& span, uint64_t ordinal);
  bool IsOpen(const engine::TransactionSpan& span) const {
    return open_ && span.commit_lsn == commit_lsn_;
  }
  // The place of the next message. Valid until the transaction has ended.
  TransactionPlace Count(const schemas::TableName& table);
  // Views into this: valid until the next Enter.
  TransactionNote Begin() const;
  TransactionNote End();

 private:
  bool open_ = false;
  postgres::Lsn commit_lsn_;
  uint64_t ordinal_ = 0;
  std::string id_;
  int64_t commit_time_ms_ = 0;
  uint64_t total_ = 0;
  std::map<std::string, uint64_t> collections_;
  // The table that was counted last.
  schemas::TableName table_;
  uint64_t* table_count_ = nullptr;
};

}  // namespace pgflow::sinks
