#include "postgres/wire/pgoutput.h"

#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "postgres/wire/replication.h"

namespace pgflow::postgres {
namespace {

std::string_view KindName(char kind) {
  static constexpr std::pair<char, std::string_view> kNames[] = {{'B', "Begin"},
                                                                 {'C', "Commit"},
                                                                 {'O', "Origin"},
                                                                 {'R', "Relation"},
                                                                 {'Y', "Type"},
                                                                 {'I', "Insert"},
                                                                 {'U', "Update"},
                                                                 {'D', "Delete"},
                                                                 {'T', "Truncate"},
                                                                 {'M', "Message"},
                                                                 {'S', "Stream Start"},
                                                                 {'E', "Stream Stop"},
                                                                 {'c', "Stream Commit"},
                                                                 {'A', "Stream Abort"},
                                                                 {'b', "Begin Prepare"},
                                                                 {'P', "Prepare"},
                                                                 {'p', "Stream Prepare"},
                                                                 {'K', "Commit Prepared"},
                                                                 {'r', "Rollback Prepared"}};
  for (const auto& [letter, name] : kNames) {
    if (letter == kind) return name;
  }
  return "unknown";
}

[[gnu::cold]] absl::Status Malformed(std::string_view message, std::string_view why) {
  return base::MakeStatus(
      absl::StatusCode::kDataLoss,
      "pgoutput: {} message of {} bytes: {}; the server speaks another protocol "
      "than was agreed, or the stream is damaged",
      KindName(message[0]), message.size(), why);
}

// What every decoder below starts with: a reader behind the kind byte.
class MessageReader {
 public:
  explicit MessageReader(std::string_view message) : message_(message), bytes_(message.substr(1)) {}

  template <typename T>
  T Read() {
    return bytes_.Read<T>();
  }
  Lsn ReadLsn() { return Lsn(bytes_.Read<uint64_t>()); }
  absl::Time ReadTime() { return TimeFromWire(bytes_.Read<int64_t>()); }
  std::string_view ReadCString() { return bytes_.ReadCString(); }
  std::string_view ReadBytes(uint64_t size) { return bytes_.ReadBytes(size); }
  Xid ReadXid(bool in_stream) { return in_stream ? bytes_.Read<Xid>() : 0; }
  // Flags that are reserved today; what a later server puts there cannot be ignored safely.
  void ReadNoFlags() { bad_flags_ |= bytes_.Read<uint8_t>() != 0; }

  // An empty view when there is no whole tuple.
  std::string_view ReadTuple() {
    const std::string_view rest(bytes_.position(), bytes_.remaining());
    const std::optional<size_t> size = TupleDataSize(rest);
    if (!size.has_value()) [[unlikely]] {
      bad_tuple_ = true;
      return {};
    }
    return bytes_.ReadBytes(*size);
  }

  size_t remaining() const { return bytes_.remaining(); }
  bool ok() const { return bytes_.ok(); }

  template <typename T>
  absl::StatusOr<PgoutputMessage> Finish(T&& decoded) {
    if (!bytes_.ok() || bad_tuple_ || bad_flags_ || bytes_.remaining() != 0) [[unlikely]] {
      if (!bytes_.ok()) return Malformed(message_, "it is cut short");
      if (bad_tuple_) return Malformed(message_, "a row is cut short or of unknown format");
      if (bad_flags_) return Malformed(message_, "it has flags that this version does not know");
      return Malformed(message_, "there are bytes behind its end");
    }
    return PgoutputMessage(std::forward<T>(decoded));
  }

 private:
  std::string_view message_;
  base::ByteReader bytes_;
  bool bad_tuple_ = false;
  bool bad_flags_ = false;
};

absl::StatusOr<PgoutputMessage> DecodeInsert(std::string_view message, bool in_stream) {
  MessageReader reader(message);
  InsertMessage insert;
  insert.xid = reader.ReadXid(in_stream);
  insert.relation = reader.Read<Oid>();
  if (reader.Read<char>() != 'N') return Malformed(message, "no new row");
  insert.after = reader.ReadTuple();
  return reader.Finish(insert);
}

absl::StatusOr<PgoutputMessage> DecodeUpdate(std::string_view message, bool in_stream) {
  MessageReader reader(message);
  UpdateMessage update;
  update.xid = reader.ReadXid(in_stream);
  update.relation = reader.Read<Oid>();
  char part = reader.Read<char>();
  if (part == 'K' || part == 'O') {
    update.before_kind = part == 'K' ? OldTuple::kKey : OldTuple::kFull;
    update.before = reader.ReadTuple();
    part = reader.Read<char>();
  }
  if (part != 'N') return Malformed(message, "no new row");
  update.after = reader.ReadTuple();
  return reader.Finish(update);
}

absl::StatusOr<PgoutputMessage> DecodeDelete(std::string_view message, bool in_stream) {
  MessageReader reader(message);
  DeleteMessage erased;
  erased.xid = reader.ReadXid(in_stream);
  erased.relation = reader.Read<Oid>();
  const char part = reader.Read<char>();
  if (part != 'K' && part != 'O') return Malformed(message, "no old row");
  erased.before_kind = part == 'K' ? OldTuple::kKey : OldTuple::kFull;
  erased.before = reader.ReadTuple();
  return reader.Finish(erased);
}

absl::StatusOr<PgoutputMessage> DecodeTruncate(std::string_view message, bool in_stream) {
  MessageReader reader(message);
  TruncateMessage truncate;
  truncate.xid = reader.ReadXid(in_stream);
  const uint32_t count = reader.Read<uint32_t>();
  const uint8_t options = reader.Read<uint8_t>();
  if ((options & ~3U) != 0) return Malformed(message, "it has options that are not known");
  truncate.cascade = (options & 1U) != 0;
  truncate.restart_identity = (options & 2U) != 0;
  truncate.relations = reader.ReadBytes(uint64_t{count} * sizeof(Oid));
  return reader.Finish(truncate);
}

absl::StatusOr<PgoutputMessage> DecodeRelation(std::string_view message, bool in_stream) {
  MessageReader reader(message);
  RelationMessage relation;
  relation.xid = reader.ReadXid(in_stream);
  relation.relation = reader.Read<Oid>();
  relation.schema = reader.ReadCString();
  relation.name = reader.ReadCString();
  relation.replica_identity = reader.Read<char>();
  relation.column_count = reader.Read<uint16_t>();
  const size_t columns_size = reader.remaining();
  for (uint16_t i = 0; i < relation.column_count && reader.ok(); ++i) {
    reader.Read<uint8_t>();  // Flags.
    reader.ReadCString();
    reader.Read<Oid>();
    reader.Read<int32_t>();
  }
  relation.columns = message.substr(message.size() - columns_size);
  return reader.Finish(relation);
}

absl::StatusOr<PgoutputMessage> DecodeType(std::string_view message, bool in_stream) {
  MessageReader reader(message);
  TypeMessage type;
  type.xid = reader.ReadXid(in_stream);
  type.type = reader.Read<Oid>();
  type.schema = reader.ReadCString();
  type.name = reader.ReadCString();
  return reader.Finish(type);
}

absl::StatusOr<PgoutputMessage> DecodeLogicalMessage(std::string_view message, bool in_stream) {
  MessageReader reader(message);
  LogicalMessage logical;
  logical.xid = reader.ReadXid(in_stream);
  const uint8_t flags = reader.Read<uint8_t>();
  if (flags > 1) return Malformed(message, "it has flags that this version does not know");
  logical.transactional = flags == 1;
  logical.lsn = reader.ReadLsn();
  logical.prefix = reader.ReadCString();
  logical.content = reader.ReadBytes(reader.Read<uint32_t>());
  return reader.Finish(logical);
}

absl::StatusOr<PgoutputMessage> DecodeBegin(std::string_view message) {
  MessageReader reader(message);
  BeginMessage begin;
  begin.commit_lsn = reader.ReadLsn();
  begin.commit_time = reader.ReadTime();
  begin.xid = reader.Read<Xid>();
  return reader.Finish(begin);
}

absl::StatusOr<PgoutputMessage> DecodeCommit(std::string_view message) {
  MessageReader reader(message);
  CommitMessage commit;
  reader.ReadNoFlags();
  commit.commit_lsn = reader.ReadLsn();
  commit.end_lsn = reader.ReadLsn();
  commit.commit_time = reader.ReadTime();
  return reader.Finish(commit);
}

absl::StatusOr<PgoutputMessage> DecodeOrigin(std::string_view message) {
  MessageReader reader(message);
  OriginMessage origin;
  origin.commit_lsn = reader.ReadLsn();
  origin.name = reader.ReadCString();
  return reader.Finish(origin);
}

absl::StatusOr<PgoutputMessage> DecodeStreamStart(std::string_view message) {
  MessageReader reader(message);
  StreamStartMessage start;
  start.xid = reader.Read<Xid>();
  start.first_segment = reader.Read<uint8_t>() == 1;
  return reader.Finish(start);
}

absl::StatusOr<PgoutputMessage> DecodeStreamCommit(std::string_view message) {
  MessageReader reader(message);
  StreamCommitMessage commit;
  commit.xid = reader.Read<Xid>();
  reader.ReadNoFlags();
  commit.commit_lsn = reader.ReadLsn();
  commit.end_lsn = reader.ReadLsn();
  commit.commit_time = reader.ReadTime();
  return reader.Finish(commit);
}

absl::StatusOr<PgoutputMessage> DecodeStreamAbort(std::string_view message) {
  MessageReader reader(message);
  StreamAbortMessage abort;
  abort.xid = reader.Read<Xid>();
  abort.subtransaction = reader.Read<Xid>();
  if (reader.remaining() != 0) {
    abort.abort_lsn = reader.ReadLsn();
    abort.abort_time = reader.ReadTime();
  }
  return reader.Finish(abort);
}

absl::StatusOr<PgoutputMessage> DecodeBeginPrepare(std::string_view message) {
  MessageReader reader(message);
  BeginPrepareMessage begin;
  begin.prepare_lsn = reader.ReadLsn();
  begin.end_lsn = reader.ReadLsn();
  begin.prepare_time = reader.ReadTime();
  begin.xid = reader.Read<Xid>();
  begin.gid = reader.ReadCString();
  return reader.Finish(begin);
}

absl::StatusOr<PgoutputMessage> DecodePrepare(std::string_view message) {
  MessageReader reader(message);
  PrepareMessage prepare;
  prepare.streamed = message[0] == 'p';
  reader.ReadNoFlags();
  prepare.prepare_lsn = reader.ReadLsn();
  prepare.end_lsn = reader.ReadLsn();
  prepare.prepare_time = reader.ReadTime();
  prepare.xid = reader.Read<Xid>();
  prepare.gid = reader.ReadCString();
  return reader.Finish(prepare);
}

absl::StatusOr<PgoutputMessage> DecodeCommitPrepared(std::string_view message) {
  MessageReader reader(message);
  CommitPreparedMessage commit;
  reader.ReadNoFlags();
  commit.commit_lsn = reader.ReadLsn();
  commit.end_lsn = reader.ReadLsn();
  commit.commit_time = reader.ReadTime();
  commit.xid = reader.Read<Xid>();
  commit.gid = reader.ReadCString();
  return reader.Finish(commit);
}

absl::StatusOr<PgoutputMessage> DecodeRollbackPrepared(std::string_view message) {
  MessageReader reader(message);
  RollbackPreparedMessage rollback;
  reader.ReadNoFlags();
  rollback.prepare_end_lsn = reader.ReadLsn();
  rollback.rollback_end_lsn = reader.ReadLsn();
  rollback.prepare_time = reader.ReadTime();
  rollback.rollback_time = reader.ReadTime();
  rollback.xid = reader.Read<Xid>();
  rollback.gid = reader.ReadCString();
  return reader.Finish(rollback);
}

// Messages that belong between blocks only: they begin or end a transaction.
absl::StatusOr<PgoutputMessage> DecodeBoundary(std::string_view message) {
  switch (message[0]) {
    case 'B':
      return DecodeBegin(message);
    case 'C':
      return DecodeCommit(message);
    case 'S':
      return DecodeStreamStart(message);
    case 'c':
      return DecodeStreamCommit(message);
    case 'A':
      return DecodeStreamAbort(message);
    case 'b':
      return DecodeBeginPrepare(message);
    case 'P':
    case 'p':
      return DecodePrepare(message);
    case 'K':
      return DecodeCommitPrepared(message);
    case 'r':
      return DecodeRollbackPrepared(message);
    default:
      return base::MakeStatus(absl::StatusCode::kDataLoss,
                              "pgoutput: message of unknown kind 0x{:02X}, {} bytes",
                              static_cast<uint8_t>(message[0]), message.size());
  }
}

}  // namespace

std::optional<size_t> TupleDataSize(std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  if (bytes.size() < sizeof(int16_t)) return std::nullopt;
  const int16_t count = base::LoadBigEndian<int16_t>(at);
  if (count < 0) return std::nullopt;
  at += sizeof(int16_t);
  for (int16_t i = 0; i < count; ++i) {
    if (at == end) return std::nullopt;
    const char kind = *at++;
    if (kind == 'b' || kind == 't') {
      if (static_cast<size_t>(end - at) < sizeof(uint32_t)) return std::nullopt;
      const uint32_t size = base::LoadBigEndian<uint32_t>(at);
      at += sizeof(uint32_t);
      if (static_cast<size_t>(end - at) < size) return std::nullopt;
      at += size;
    } else if (kind != 'n' && kind != 'u') {
      return std::nullopt;
    }
  }
  return static_cast<size_t>(at - bytes.data());
}

std::vector<RelationColumn> RelationMessage::Columns() const {
  std::vector<RelationColumn> result;
  result.reserve(column_count);
  base::ByteReader reader(columns);
  for (uint16_t i = 0; i < column_count; ++i) {
    RelationColumn column;
    column.key = (reader.Read<uint8_t>() & 1U) != 0;
    column.name = reader.ReadCString();
    column.type = reader.Read<Oid>();
    column.type_modifier = reader.Read<int32_t>();
    result.push_back(column);
  }
  return result;
}

Oid TruncateMessage::relation(size_t index) const {
  return base::LoadBigEndian<Oid>(relations.data() + index * sizeof(Oid));
}

absl::StatusOr<PgoutputMessage> DecodePgoutput(std::string_view message, bool in_stream) {
  if (message.empty()) {
    return absl::Status(absl::StatusCode::kDataLoss, "pgoutput: empty message");
  }
  switch (message[0]) {
    case 'I':
      return DecodeInsert(message, in_stream);
    case 'U':
      return DecodeUpdate(message, in_stream);
    case 'D':
      return DecodeDelete(message, in_stream);
    case 'T':
      return DecodeTruncate(message, in_stream);
    case 'R':
      return DecodeRelation(message, in_stream);
    case 'Y':
      return DecodeType(message, in_stream);
    case 'M':
      return DecodeLogicalMessage(message, in_stream);
    case 'O':
      return DecodeOrigin(message);
    case 'E':
      if (!in_stream) return Malformed(message, "it stops a stream that was not started");
      return MessageReader(message).Finish(StreamStopMessage{});
    default:
      break;
  }
  absl::StatusOr<PgoutputMessage> boundary = DecodeBoundary(message);
  if (in_stream && boundary.ok()) return Malformed(message, "it came inside a stream block");
  return boundary;
}

}  // namespace pgflow::postgres
