// Any bytes to the decoders of the replication stream: an error or a message, never a bad read.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "postgres/wire/pgoutput.h"
#include "postgres/wire/replication.h"
#include "schemas/row_view.h"

namespace pgflow {
namespace {

// Reads every byte of `bytes`, so that ASan sees a view that leaves the input.
uint64_t Touch(std::string_view bytes) {
  uint64_t sum = 0;
  for (char c : bytes) sum += static_cast<unsigned char>(c);
  return sum;
}

// A tuple that the decoder let through is one that rows are made of without another check.
uint64_t TouchTuple(std::string_view bytes) {
  if (bytes.empty()) return 0;
  PGFLOW_CHECK(postgres::TupleDataSize(bytes) == bytes.size(), "a tuple is whole");
  PGFLOW_CHECK(schemas::RowView::ValidateTuple(bytes) == bytes.size(), "both walks agree");
  std::vector<schemas::Value> values;
  schemas::RowView::Tuple(bytes).Decode(values);
  uint64_t sum = 0;
  for (const schemas::Value& value : values) {
    if (value.bytes != nullptr) sum += Touch(value.view());
  }
  return sum;
}

struct Visitor {
  uint64_t operator()(const postgres::InsertMessage& m) const { return TouchTuple(m.after); }
  uint64_t operator()(const postgres::UpdateMessage& m) const {
    return TouchTuple(m.before) + TouchTuple(m.after);
  }
  uint64_t operator()(const postgres::DeleteMessage& m) const { return TouchTuple(m.before); }
  uint64_t operator()(const postgres::TruncateMessage& m) const {
    uint64_t sum = 0;
    for (size_t i = 0; i < m.relation_count(); ++i) sum += m.relation(i);
    return sum;
  }
  uint64_t operator()(const postgres::RelationMessage& m) const {
    uint64_t sum = Touch(m.schema) + Touch(m.name);
    for (const postgres::RelationColumn& column : m.Columns()) sum += Touch(column.name);
    return sum;
  }
  uint64_t operator()(const postgres::TypeMessage& m) const {
    return Touch(m.schema) + Touch(m.name);
  }
  uint64_t operator()(const postgres::OriginMessage& m) const { return Touch(m.name); }
  uint64_t operator()(const postgres::LogicalMessage& m) const {
    return Touch(m.prefix) + Touch(m.content);
  }
  uint64_t operator()(const postgres::BeginPrepareMessage& m) const { return Touch(m.gid); }
  uint64_t operator()(const postgres::PrepareMessage& m) const { return Touch(m.gid); }
  uint64_t operator()(const postgres::CommitPreparedMessage& m) const { return Touch(m.gid); }
  uint64_t operator()(const postgres::RollbackPreparedMessage& m) const { return Touch(m.gid); }
  template <typename Message>
  uint64_t operator()(const Message&) const {
    return 0;
  }
};

void FuzzOne(std::string_view input) {
  volatile uint64_t sink = 0;
  for (const bool in_stream : {false, true}) {
    const absl::StatusOr<postgres::PgoutputMessage> message =
        postgres::DecodePgoutput(input, in_stream);
    if (message.ok()) sink = std::visit(Visitor(), *message);
  }
  const absl::StatusOr<postgres::ReplicationFrame> frame = postgres::DecodeReplicationFrame(input);
  if (frame.ok()) {
    if (const auto* log = std::get_if<postgres::XLogData>(&*frame)) sink = Touch(log->message);
  }
  const bool ours = postgres::TupleDataSize(input).has_value();
  // Ours refuses a negative count too, which schemas reads as a large one.
  if (ours) {
    PGFLOW_CHECK(schemas::RowView::ValidateTuple(input) == postgres::TupleDataSize(input),
                 "both walks agree");
  }
  static_cast<void>(sink);
}

}  // namespace
}  // namespace pgflow

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  pgflow::FuzzOne({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
