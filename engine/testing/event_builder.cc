#include "engine/testing/event_builder.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "engine/testing/event_script.h"

namespace pgflow::engine {
namespace {

namespace oid = postgres::oid;
using schemas::Column;
using schemas::ReplicaIdentity;
using schemas::TableSchema;
using schemas::TableSchemaPtr;

constexpr std::pair<std::string_view, postgres::Oid> kTypes[] = {
    {"bool", oid::kBool},           {"bytea", oid::kBytea},
    {"int8", oid::kInt8},           {"int2", oid::kInt2},
    {"int4", oid::kInt4},           {"text", oid::kText},
    {"json", oid::kJson},           {"jsonb", oid::kJsonb},
    {"float4", oid::kFloat4},       {"float8", oid::kFloat8},
    {"varchar", oid::kVarchar},     {"date", oid::kDate},
    {"timestamp", oid::kTimestamp}, {"timestamptz", oid::kTimestamptz},
    {"numeric", oid::kNumeric},     {"uuid", oid::kUuid},
    {"interval", oid::kInterval},   {"_int4", 1007}};

postgres::Oid TypeOid(std::string_view name) {
  for (const auto& [type, number] : kTypes) {
    if (type == name) return number;
  }
  ScriptError("unknown type", name);
}

// The values between the parentheses that begin at `at`; moves behind them.
std::vector<ScriptToken> Parenthesised(const std::vector<ScriptToken>& line, size_t& at) {
  std::vector<ScriptToken> values;
  if (at >= line.size() || line[at].text != "(") ScriptError("no (", line[0].text);
  for (++at; at < line.size() && (line[at].quoted || line[at].text != ")"); ++at) {
    values.push_back(line[at]);
  }
  if (at == line.size()) ScriptError("no )", line[0].text);
  ++at;
  return values;
}

void AppendTuple(std::string& bytes, const std::vector<ScriptToken>& values) {
  base::AppendBigEndian(bytes, static_cast<uint16_t>(values.size()));
  for (const ScriptToken& value : values) {
    if (!value.quoted && value.text == "null") {
      bytes.push_back('n');
    } else if (!value.quoted && value.text == "unchanged") {
      bytes.push_back('u');
    } else {
      bytes.push_back('t');
      base::AppendBigEndian(bytes, static_cast<uint32_t>(value.text.size()));
      bytes.append(value.text);
    }
  }
}

// Spreads values of the identity columns over a whole row, the others NULL.
std::vector<ScriptToken> KeyRow(const TableSchema& schema, std::vector<ScriptToken> values) {
  std::vector<ScriptToken> row;
  auto next = values.begin();
  for (const Column& column : schema.columns) {
    if (!column.identity) {
      row.push_back({"null", false});
    } else {
      if (next == values.end()) ScriptError("too few key values", schema.table.ToString());
      row.push_back(std::move(*next++));
    }
  }
  if (next != values.end()) ScriptError("too many key values", schema.table.ToString());
  return row;
}

void AppendBefore(Chunk& chunk, EventRecord& record, const std::vector<ScriptToken>& values) {
  record.before_offset = static_cast<uint32_t>(chunk.bytes.size());
  AppendTuple(chunk.bytes, values);
  record.before_size = static_cast<uint32_t>(chunk.bytes.size()) - record.before_offset;
}

// "old(...)" or "full(...)" at `at`, when there is one.
void ReadBefore(const TableSchema& schema, const std::vector<ScriptToken>& line, size_t& at,
                Chunk& chunk, EventRecord& record) {
  if (at + 1 >= line.size() || line[at].quoted || line[at + 1].text != "(") return;
  const bool full = line[at].text == "full";
  if (!full && line[at].text != "old") return;
  ++at;
  std::vector<ScriptToken> values = Parenthesised(line, at);
  if (full && values.size() != schema.columns.size()) ScriptError("not a whole row", line[0].text);
  record.before_image = full ? BeforeImage::kFull : BeforeImage::kKey;
  AppendBefore(chunk, record, full ? values : KeyRow(schema, std::move(values)));
}

template <typename T>
void AppendNumber(std::string& bytes, std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) ScriptError("not a number", text);
  base::AppendBigEndian(bytes, static_cast<uint32_t>(sizeof(T)));
  base::AppendBigEndian(bytes, number);
}

void AppendBinary(std::string& bytes, postgres::Oid type, const std::string& text) {
  switch (type) {
    case oid::kBool:
      base::AppendBigEndian(bytes, uint32_t{1});
      bytes.push_back(text == "t" ? 1 : 0);
      return;
    case oid::kInt2:
      return AppendNumber<int16_t>(bytes, text);
    case oid::kInt4:
      return AppendNumber<int32_t>(bytes, text);
    case oid::kInt8:
      return AppendNumber<int64_t>(bytes, text);
    case oid::kFloat8:
      base::AppendBigEndian(bytes, uint32_t{8});
      return base::AppendBigEndian(bytes,
                                   std::bit_cast<uint64_t>(std::strtod(text.c_str(), nullptr)));
    case oid::kText:
    case oid::kVarchar:
      base::AppendBigEndian(bytes, static_cast<uint32_t>(text.size()));
      bytes.append(text);
      return;
    default:
      ScriptError("no binary form for this type's value", text);
  }
}

void AppendCopyText(std::string& bytes, std::string_view text) {
  for (char c : text) {
    static constexpr std::string_view kBytes = "\b\f\n\r\t\v\\";
    static constexpr std::string_view kLetters = "bfnrtv\\";
    const size_t letter = kBytes.find(c);
    if (letter != std::string_view::npos) bytes.push_back('\\');
    bytes.push_back(letter == std::string_view::npos ? c : kLetters[letter]);
  }
}

}  // namespace

TableSchemaPtr EventBuilder::Table(std::string_view declaration) {
  std::vector<ScriptToken> line = Tokenize(declaration);
  if (line.empty()) ScriptError("empty table declaration", declaration);
  auto table = std::make_shared<TableSchema>();
  const size_t dot = line[0].text.find('.');
  table->table.schema = dot == std::string::npos ? "public" : line[0].text.substr(0, dot);
  table->table.name = dot == std::string::npos ? line[0].text : line[0].text.substr(dot + 1);
  size_t at = 1;
  std::vector<ScriptToken> columns = Parenthesised(line, at);
  int16_t keys = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    Column column;
    column.name = columns[i].text;
    if (++i == columns.size()) ScriptError("a column without type", column.name);
    column.type_name = columns[i].text;
    column.type = TypeOid(column.type_name);
    column.attribute_number = static_cast<int16_t>(table->columns.size() + 1);
    for (; i + 1 < columns.size() && columns[i + 1].text != ","; ++i) {
      const std::string& mark = columns[i + 1].text;
      if (mark == "unique") {
        column.unique_index = table->table.name + "_" + column.name + "_key";
        continue;
      }
      if (mark != "key") ScriptError("only `key` and `unique` may follow a type", column.name);
      column.identity = true;
      column.primary_key = ++keys;
    }
    ++i;  // The comma.
    table->columns.push_back(std::move(column));
  }
  if (at < line.size() && line[at].text == "full") {
    table->replica_identity = ReplicaIdentity::kFull;
    for (Column& column : table->columns) column.identity = true;
  } else if (at < line.size() && line[at].text == "nothing") {
    table->replica_identity = ReplicaIdentity::kNothing;
  }
  TableSchemaPtr& place = tables_[table->table.ToString()];
  table->oid = place == nullptr ? next_oid_++ : place->oid;
  table->version = place == nullptr ? 0 : place->version + 1;
  tables_[table->table.name] = table;
  return place = std::move(table);
}

TableSchemaPtr EventBuilder::FindTable(std::string_view name) const {
  const auto found = tables_.find(name);
  if (found == tables_.end()) ScriptError("no such table was declared", name);
  return found->second;
}

TransactionSpan EventBuilder::NextTransaction() {
  TransactionSpan span;
  span.xid = next_xid_++;
  span.commit_lsn = postgres::Lsn(next_lsn_);
  span.end_lsn = postgres::Lsn(next_lsn_ + 0x30);
  // A second a transaction, from a fixed day on.
  span.commit_time = absl::FromUnixSeconds(1767225600 + int64_t{span.xid});
  span.begins = true;
  next_lsn_ += 0x100;
  return span;
}

TransactionSpan EventBuilder::Commit(postgres::Xid xid) {
  TransactionSpan span = NextTransaction();
  span.xid = xid;
  span.ends = true;
  return span;
}

void EventBuilder::Begin(const std::vector<ScriptToken>& line, Chunk& chunk) {
  if (in_transaction_) ScriptError("begin inside a transaction", line[0].text);
  for (const ScriptToken& token : line) {
    if (token.text.starts_with("lsn=")) {
      const std::optional<postgres::Lsn> lsn = postgres::Lsn::Parse(token.text.substr(4));
      if (!lsn.has_value()) ScriptError("not an LSN", token.text);
      next_lsn_ = lsn->value();
    } else if (token.text.starts_with("xid=")) {
      next_xid_ = static_cast<postgres::Xid>(std::strtoul(token.text.c_str() + 4, nullptr, 10));
    } else if (token.text != "begin") {
      ScriptError("begin takes lsn= and xid=", token.text);
    }
  }
  transaction_ = NextTransaction();
  in_transaction_ = true;
  chunk.transactions.push_back(transaction_);
}

void EventBuilder::End(Chunk& chunk) {
  if (!in_transaction_) ScriptError("outside a transaction", "commit");
  chunk.transactions.back().ends = true;
  in_transaction_ = false;
}

void EventBuilder::Truncate(const std::vector<ScriptToken>& line, EventRecord record,
                            Chunk& chunk) {
  record.operation = Operation::kTruncate;
  std::vector<TableSchemaPtr> tables;
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i].text == "cascade") {
      record.truncate_flags |= kTruncateCascade;
    } else if (line[i].text == "restart") {
      record.truncate_flags |= kTruncateRestartIdentity;
    } else if (line[i].text != ",") {
      tables.push_back(FindTable(line[i].text));
    }
  }
  for (size_t i = 0; i < tables.size(); ++i) {
    EventRecord& added = chunk.records.emplace_back(record);
    added.table = chunk.TableIndex(tables[i]);
    if (i + 1 < tables.size()) added.truncate_flags |= kTruncateMore;
  }
}

void EventBuilder::Change(const std::vector<ScriptToken>& line, Chunk& chunk) {
  EventRecord record;
  if (!chunk.transactions.empty()) {
    record.transaction = static_cast<uint32_t>(chunk.transactions.size() - 1);
    record.xid = chunk.transactions.back().xid;
  }
  std::string verb = line[0].text;
  if (const size_t at = verb.find('@'); at != std::string::npos) {
    record.xid = static_cast<postgres::Xid>(std::strtoul(verb.c_str() + at + 1, nullptr, 10));
    verb.resize(at);
  }
  if (verb == "truncate") return Truncate(line, record, chunk);
  if (line.size() < 2) ScriptError("no table", verb);
  const TableSchemaPtr schema = FindTable(line[1].text);
  record.table = chunk.TableIndex(schema);
  size_t at = 2;
  if (verb == "insert") {
    record.operation = Operation::kInsert;
  } else if (verb == "update") {
    record.operation = Operation::kUpdate;
    ReadBefore(*schema, line, at, chunk, record);
  } else if (verb == "delete") {
    record.operation = Operation::kDelete;
    ReadBefore(*schema, line, at, chunk, record);
  } else if (verb == "ddl" && line.size() == 3) {
    record.operation = Operation::kSchemaChange;
    record.after_offset = static_cast<uint32_t>(chunk.bytes.size());
    record.after_size = static_cast<uint32_t>(line[2].text.size());
    chunk.bytes += line[2].text;
    chunk.records.push_back(record);
    return;
  } else {
    ScriptError("unknown word", verb);
  }
  const std::vector<ScriptToken> values(line.begin() + static_cast<std::ptrdiff_t>(at), line.end());
  if (verb != "delete") {
    if (values.size() != schema->columns.size()) ScriptError("not a whole row", line[1].text);
    record.after_offset = static_cast<uint32_t>(chunk.bytes.size());
    AppendTuple(chunk.bytes, values);
    record.after_size = static_cast<uint32_t>(chunk.bytes.size()) - record.after_offset;
  } else if (record.before_image == BeforeImage::kNone) {
    record.before_image = BeforeImage::kKey;
    AppendBefore(chunk, record, KeyRow(*schema, values));
  } else if (!values.empty()) {
    ScriptError("a row behind the old one", verb);
  }
  chunk.records.push_back(record);
}

Chunk EventBuilder::Stream(std::string_view script) {
  Chunk chunk;
  if (in_transaction_) {
    chunk.transactions.push_back(transaction_);
    chunk.transactions.back().begins = false;
  }
  for (const std::vector<ScriptToken>& line : TokenizeLines(script)) {
    if (line[0].text == "begin") {
      Begin(line, chunk);
    } else if (line[0].text == "commit") {
      End(chunk);
    } else {
      if (!in_transaction_) ScriptError("outside a transaction", line[0].text);
      Change(line, chunk);
    }
  }
  // Where a transaction that goes on in the next chunk goes on counting.
  if (!in_transaction_ || chunk.transactions.back().begins) next_ordinal_ = 0;
  if (in_transaction_) {
    const size_t last = chunk.transactions.size() - 1;
    next_ordinal_ +=
        static_cast<uint64_t>(std::ranges::count(chunk.records, last, &EventRecord::transaction));
  }
  return chunk;
}

Chunk EventBuilder::Open(std::string_view script) {
  Chunk chunk;
  for (const std::vector<ScriptToken>& line : TokenizeLines(script)) Change(line, chunk);
  return chunk;
}

Batch EventBuilder::StreamBatch(std::string_view script) {
  const uint64_t first_ordinal = next_ordinal_;
  return BatchOf(std::make_shared<const Chunk>(Stream(script)), first_ordinal);
}

CopyRows EventBuilder::Rows(std::string_view table, std::string_view rows,
                            CopyFormat format) const {
  CopyRows result;
  result.schema = FindTable(table);
  result.format = format;
  for (const std::vector<ScriptToken>& line : TokenizeLines(rows)) {
    if (line.size() != result.schema->columns.size()) ScriptError("not a whole row", rows);
    if (format == CopyFormat::kBinary) {
      base::AppendBigEndian(result.bytes, static_cast<uint16_t>(line.size()));
    }
    for (size_t i = 0; i < line.size(); ++i) {
      const bool null = !line[i].quoted && line[i].text == "null";
      if (format == CopyFormat::kText) {
        if (i > 0) result.bytes.push_back('\t');
        null ? void(result.bytes.append("\\N")) : AppendCopyText(result.bytes, line[i].text);
      } else if (null) {
        base::AppendBigEndian(result.bytes, int32_t{-1});
      } else {
        AppendBinary(result.bytes, result.schema->columns[i].type, line[i].text);
      }
    }
    if (format == CopyFormat::kText) result.bytes.push_back('\n');
    ++result.row_count;
  }
  return result;
}

Batch BatchOf(std::shared_ptr<const Chunk> chunk, uint64_t first_ordinal) {
  std::vector<ChangeEvent> events;
  events.reserve(chunk->records.size());
  uint64_t ordinal = first_ordinal;
  uint32_t transaction = 0;
  const std::string_view bytes = chunk->bytes;
  for (const EventRecord& record : chunk->records) {
    if (record.transaction != transaction) ordinal = 0;
    transaction = record.transaction;
    ChangeEvent& event = events.emplace_back();
    event.operation = record.operation;
    event.before_image = record.before_image;
    event.truncate_cascade = (record.truncate_flags & kTruncateCascade) != 0;
    event.truncate_restart_identity = (record.truncate_flags & kTruncateRestartIdentity) != 0;
    event.truncate_more = (record.truncate_flags & kTruncateMore) != 0;
    event.transaction = record.transaction;
    event.ordinal = ordinal++;
    event.schema = chunk->tables[record.table].get();
    if (record.before_size > 0) {
      event.before =
          schemas::RowView::Tuple(bytes.substr(record.before_offset, record.before_size));
    }
    if (record.operation == Operation::kSchemaChange) {
      event.ddl = bytes.substr(record.after_offset, record.after_size);
    } else if (record.after_size > 0) {
      event.after = schemas::RowView::Tuple(bytes.substr(record.after_offset, record.after_size));
    }
  }
  std::vector<TransactionSpan> transactions = chunk->transactions;
  return Batch(std::move(chunk), std::move(events), std::move(transactions));
}

}  // namespace pgflow::engine
