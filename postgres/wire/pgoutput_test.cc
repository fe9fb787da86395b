#include "postgres/wire/pgoutput.h"

#include <string>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/status.h"

namespace pgflow::postgres {
namespace {

using namespace std::string_literals;  // NOLINT: "..."s keeps zero bytes.

// Bytes of a message, in the order of the manual.
class Wire {
 public:
  explicit Wire(char kind) { bytes_.push_back(kind); }
  Wire& Int8(uint8_t value) { return Add(value); }
  Wire& Int16(uint16_t value) { return Add(value); }
  Wire& Int32(uint32_t value) { return Add(value); }
  Wire& Int64(uint64_t value) { return Add(value); }
  Wire& Name(std::string_view text) {
    bytes_.append(text);
    return Add(uint8_t{0});
  }
  Wire& Raw(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  template <typename T>
  Wire& Add(T value) {
    base::AppendBigEndian(bytes_, value);
    return *this;
  }
  std::string bytes_;
};

// Two columns: 'b' int4 7, NULL.
const std::string kTuple = "\0\2b\0\0\0\4\0\0\0\7n"s;
// Three: text "ab", unchanged, empty text.
const std::string kTextTuple = "\0\3t\0\0\0\2abut\0\0\0\0"s;
constexpr int64_t kMicros = 1'000'000;

template <typename T>
T Decoded(const std::string& bytes, bool in_stream = false) {
  const absl::StatusOr<PgoutputMessage> message = DecodePgoutput(bytes, in_stream);
  EXPECT_TRUE(message.ok()) << message.status();
  if (!message.ok()) return T{};
  const T* found = std::get_if<T>(&*message);
  EXPECT_NE(found, nullptr) << "another kind, index " << message->index();
  return found == nullptr ? T{} : *found;
}

// No prefix of a message is a message, and nothing may follow one.
void ExpectExact(const std::string& bytes, bool in_stream = false) {
  for (size_t size = 0; size < bytes.size(); ++size) {
    // In a buffer of its own, so that ASan sees a read behind the end.
    const std::string cut(bytes.data(), size);
    const absl::StatusOr<PgoutputMessage> message = DecodePgoutput(cut, in_stream);
    EXPECT_EQ(message.status().code(), absl::StatusCode::kDataLoss) << "cut at " << size;
  }
  EXPECT_FALSE(DecodePgoutput(bytes + '\0', in_stream).ok());
}

TEST(Pgoutput, Begin) {
  const std::string bytes = Wire('B').Int64(0x16B3748).Int64(kMicros).Int32(731).bytes();
  const auto begin = Decoded<BeginMessage>(bytes);
  EXPECT_EQ(begin.commit_lsn, Lsn(0x16B3748));
  EXPECT_EQ(begin.commit_time, absl::FromUnixSeconds(946684801));
  EXPECT_EQ(begin.xid, 731U);
  ExpectExact(bytes);
}

TEST(Pgoutput, Commit) {
  const std::string bytes = Wire('C').Int8(0).Int64(0x100).Int64(0x130).Int64(0).bytes();
  const auto commit = Decoded<CommitMessage>(bytes);
  EXPECT_EQ(commit.commit_lsn, Lsn(0x100));
  EXPECT_EQ(commit.end_lsn, Lsn(0x130));
  ExpectExact(bytes);
  EXPECT_FALSE(
      DecodePgoutput(Wire('C').Int8(1).Int64(0x100).Int64(0x130).Int64(0).bytes(), false).ok());
}

TEST(Pgoutput, OriginAndType) {
  const std::string origin = Wire('O').Int64(0x55).Name("pg_16389").bytes();
  EXPECT_EQ(Decoded<OriginMessage>(origin).name, "pg_16389");
  EXPECT_EQ(Decoded<OriginMessage>(origin, true).commit_lsn, Lsn(0x55));  // It has no xid.
  ExpectExact(origin);
  const std::string type = Wire('Y').Int32(16400).Name("shop").Name("mood").bytes();
  EXPECT_EQ(Decoded<TypeMessage>(type).name, "mood");
  ExpectExact(type);
  const std::string streamed = Wire('Y').Int32(9).Int32(16400).Name("").Name("mood").bytes();
  EXPECT_EQ(Decoded<TypeMessage>(streamed, true).type, 16400U);
  ExpectExact(streamed, true);
}

TEST(Pgoutput, Relation) {
  const std::string columns = Wire(1).Name("id").Int32(oid::kInt8).Int32(0xFFFFFFFF).bytes() +
                              Wire(0).Name("Näme").Int32(oid::kVarchar).Int32(24).bytes();
  const std::string bytes =
      Wire('R').Int32(16391).Name("shop").Name("Items").Raw("d").Int16(2).Raw(columns).bytes();
  const auto relation = Decoded<RelationMessage>(bytes);
  EXPECT_EQ(relation.relation, 16391U);
  EXPECT_EQ(relation.schema, "shop");
  EXPECT_EQ(relation.name, "Items");
  EXPECT_EQ(relation.replica_identity, 'd');
  const std::vector<RelationColumn> decoded = relation.Columns();
  ASSERT_EQ(decoded.size(), 2U);
  EXPECT_TRUE(decoded[0].key);
  EXPECT_EQ(decoded[0].type, oid::kInt8);
  EXPECT_EQ(decoded[0].type_modifier, -1);
  EXPECT_FALSE(decoded[1].key);
  EXPECT_EQ(decoded[1].name, "Näme");
  EXPECT_EQ(decoded[1].type_modifier, 24);
  ExpectExact(bytes);
  const std::string none = Wire('R').Int32(1).Name("").Name("t").Raw("f").Int16(0).bytes();
  EXPECT_TRUE(Decoded<RelationMessage>(none).Columns().empty());
}

TEST(Pgoutput, InsertPointsIntoItsInput) {
  const std::string bytes = Wire('I').Int32(16391).Raw("N").Raw(kTuple).bytes();
  const absl::StatusOr<PgoutputMessage> message = DecodePgoutput(bytes, false);
  ASSERT_TRUE(message.ok());
  const auto& insert = std::get<InsertMessage>(*message);
  EXPECT_EQ(insert.xid, 0U);
  EXPECT_EQ(insert.relation, 16391U);
  EXPECT_EQ(insert.after, kTuple);
  EXPECT_EQ(insert.after.data(), bytes.data() + 6);
  ExpectExact(bytes);
}

TEST(Pgoutput, ChangesInAStreamCarryTheirTransaction) {
  const std::string insert = Wire('I').Int32(733).Int32(16391).Raw("N").Raw(kTextTuple).bytes();
  EXPECT_EQ(Decoded<InsertMessage>(insert, true).xid, 733U);
  EXPECT_EQ(Decoded<InsertMessage>(insert, true).relation, 16391U);
  ExpectExact(insert, true);
  EXPECT_FALSE(DecodePgoutput(insert, false).ok());
  const std::string erased = Wire('D').Int32(733).Int32(16391).Raw("K").Raw(kTuple).bytes();
  EXPECT_EQ(Decoded<DeleteMessage>(erased, true).xid, 733U);
  ExpectExact(erased, true);
}

TEST(Pgoutput, Update) {
  const std::string plain = Wire('U').Int32(5).Raw("N").Raw(kTextTuple).bytes();
  EXPECT_EQ(Decoded<UpdateMessage>(plain).before_kind, OldTuple::kNone);
  EXPECT_EQ(Decoded<UpdateMessage>(plain).after, kTextTuple);
  ExpectExact(plain);
  const std::string key = Wire('U').Int32(5).Raw("K").Raw(kTuple).Raw("N").Raw(kTextTuple).bytes();
  EXPECT_EQ(Decoded<UpdateMessage>(key).before_kind, OldTuple::kKey);
  EXPECT_EQ(Decoded<UpdateMessage>(key).before, kTuple);
  EXPECT_EQ(Decoded<UpdateMessage>(key).after, kTextTuple);
  ExpectExact(key);
  const std::string full =
      Wire('U').Int32(5).Raw("O").Raw(kTextTuple).Raw("N").Raw(kTextTuple).bytes();
  EXPECT_EQ(Decoded<UpdateMessage>(full).before_kind, OldTuple::kFull);
  EXPECT_FALSE(DecodePgoutput(Wire('U').Int32(5).Raw("X").Raw(kTuple).bytes(), false).ok());
}

TEST(Pgoutput, Delete) {
  const std::string key = Wire('D').Int32(5).Raw("K").Raw(kTuple).bytes();
  EXPECT_EQ(Decoded<DeleteMessage>(key).before_kind, OldTuple::kKey);
  const std::string full = Wire('D').Int32(5).Raw("O").Raw(kTextTuple).bytes();
  EXPECT_EQ(Decoded<DeleteMessage>(full).before_kind, OldTuple::kFull);
  EXPECT_EQ(Decoded<DeleteMessage>(full).before, kTextTuple);
  ExpectExact(key);
  ExpectExact(full);
  EXPECT_FALSE(DecodePgoutput(Wire('D').Int32(5).Raw("N").Raw(kTuple).bytes(), false).ok());
}

TEST(Pgoutput, Truncate) {
  const std::string bytes = Wire('T').Int32(2).Int8(3).Int32(16391).Int32(16400).bytes();
  const auto truncate = Decoded<TruncateMessage>(bytes);
  EXPECT_TRUE(truncate.cascade);
  EXPECT_TRUE(truncate.restart_identity);
  ASSERT_EQ(truncate.relation_count(), 2U);
  EXPECT_EQ(truncate.relation(0), 16391U);
  EXPECT_EQ(truncate.relation(1), 16400U);
  ExpectExact(bytes);
  // A count whose bytes would overflow 32 bits.
  EXPECT_FALSE(DecodePgoutput(Wire('T').Int32(0x40000001).Int8(0).Int32(1).bytes(), false).ok());
  EXPECT_FALSE(DecodePgoutput(Wire('T').Int32(1).Int8(4).Int32(1).bytes(), false).ok());
}

TEST(Pgoutput, LogicalMessage) {
  const std::string bytes =
      Wire('M').Int8(1).Int64(0x77).Name("pgflow.ddl").Int32(3).Raw("a\0b"s).bytes();
  const auto message = Decoded<LogicalMessage>(bytes);
  EXPECT_TRUE(message.transactional);
  EXPECT_EQ(message.lsn, Lsn(0x77));
  EXPECT_EQ(message.prefix, "pgflow.ddl");
  EXPECT_EQ(message.content, "a\0b"s);
  ExpectExact(bytes);
  const std::string streamed = Wire('M').Int32(8).Int8(0).Int64(0x77).Name("").Int32(0).bytes();
  EXPECT_EQ(Decoded<LogicalMessage>(streamed, true).xid, 8U);
  ExpectExact(streamed, true);
}

TEST(Pgoutput, Streams) {
  const std::string start = Wire('S').Int32(733).Int8(1).bytes();
  EXPECT_EQ(Decoded<StreamStartMessage>(start).xid, 733U);
  EXPECT_TRUE(Decoded<StreamStartMessage>(start).first_segment);
  ExpectExact(start);
  Decoded<StreamStopMessage>(Wire('E').bytes(), true);
  ExpectExact(Wire('E').bytes(), true);
  const std::string commit =
      Wire('c').Int32(733).Int8(0).Int64(0x100).Int64(0x130).Int64(kMicros).bytes();
  EXPECT_EQ(Decoded<StreamCommitMessage>(commit).end_lsn, Lsn(0x130));
  ExpectExact(commit);
}

TEST(Pgoutput, StreamAbortWithAndWithoutPlace) {
  const Wire short_form = Wire('A').Int32(733).Int32(735);
  const auto abort = Decoded<StreamAbortMessage>(short_form.bytes());
  EXPECT_EQ(abort.xid, 733U);
  EXPECT_EQ(abort.subtransaction, 735U);
  EXPECT_FALSE(abort.abort_lsn.valid());
  const std::string parallel = Wire(short_form).Int64(0x900).Int64(kMicros).bytes();
  EXPECT_EQ(Decoded<StreamAbortMessage>(parallel).abort_lsn, Lsn(0x900));
  EXPECT_EQ(Decoded<StreamAbortMessage>(parallel).abort_time, absl::FromUnixSeconds(946684801));
  for (size_t size = 1; size < parallel.size(); ++size) {
    const bool whole = size == short_form.bytes().size();
    EXPECT_EQ(DecodePgoutput(parallel.substr(0, size), false).ok(), whole) << size;
  }
}

TEST(Pgoutput, TwoPhase) {
  const std::string begin = Wire('b').Int64(0x10).Int64(0x20).Int64(0).Int32(7).Name("gid").bytes();
  EXPECT_EQ(Decoded<BeginPrepareMessage>(begin).gid, "gid");
  ExpectExact(begin);
  for (char kind : {'P', 'p'}) {
    const std::string prepare =
        Wire(kind).Int8(0).Int64(0x10).Int64(0x20).Int64(0).Int32(7).Name("gid").bytes();
    EXPECT_EQ(Decoded<PrepareMessage>(prepare).streamed, kind == 'p');
    EXPECT_EQ(Decoded<PrepareMessage>(prepare).xid, 7U);
    ExpectExact(prepare);
  }
  const std::string commit =
      Wire('K').Int8(0).Int64(0x10).Int64(0x20).Int64(0).Int32(7).Name("gid").bytes();
  EXPECT_EQ(Decoded<CommitPreparedMessage>(commit).end_lsn, Lsn(0x20));
  ExpectExact(commit);
  const std::string rollback =
      Wire('r').Int8(0).Int64(0x10).Int64(0x20).Int64(0).Int64(kMicros).Int32(7).Name("g").bytes();
  EXPECT_EQ(Decoded<RollbackPreparedMessage>(rollback).rollback_end_lsn, Lsn(0x20));
  EXPECT_EQ(Decoded<RollbackPreparedMessage>(rollback).gid, "g");
  ExpectExact(rollback);
}

TEST(Pgoutput, RefusesWhatIsOutOfPlace) {
  const std::string begin = Wire('B').Int64(1).Int64(2).Int32(3).bytes();
  EXPECT_FALSE(DecodePgoutput(begin, true).ok());
  EXPECT_FALSE(DecodePgoutput(Wire('S').Int32(733).Int8(0).bytes(), true).ok());
  EXPECT_FALSE(DecodePgoutput(Wire('E').bytes(), false).ok());
  EXPECT_FALSE(DecodePgoutput("Z", false).ok());
  EXPECT_FALSE(DecodePgoutput("", false).ok());
}

TEST(Pgoutput, ErrorNamesTheMessage) {
  const absl::StatusOr<PgoutputMessage> message = DecodePgoutput("I\0\0", false);
  EXPECT_NE(base::Message(message.status()).find("Insert message of 1 bytes"), std::string::npos)
      << message.status();
}

TEST(TupleData, SizeStopsBehindTheTuple) {
  EXPECT_EQ(TupleDataSize(kTuple + "rest"), kTuple.size());
  EXPECT_EQ(TupleDataSize("\0\0"s), 2U);
  EXPECT_EQ(TupleDataSize("\0\1x"s), std::nullopt);
  EXPECT_EQ(TupleDataSize("\xFF\xFF"s), std::nullopt);
  EXPECT_EQ(TupleDataSize("\0\1b\xFF\xFF\xFF\xFF"s), std::nullopt);
}

}  // namespace
}  // namespace pgflow::postgres
