#include "sinks/postgres/sink_fixture_test.h"

#include <utility>

#include "base/bytes.h"

namespace pgflow::sinks {
namespace {

void AppendBinaryTuple(const schemas::TableSchema& schema, const schemas::RowView& row,
                       std::string& to) {
  std::vector<schemas::Value> values;
  row.Decode(values);
  base::AppendBigEndian(to, static_cast<uint16_t>(values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].kind != schemas::ValueKind::kText) {
      to.push_back(values[i].is_null() ? 'n' : 'u');
      continue;
    }
    const std::string text(values[i].view());
    to.push_back('b');
    if (schema.columns[i].type == postgres::oid::kInt4) {
      base::AppendBigEndian(to, uint32_t{4});
      base::AppendBigEndian(to, static_cast<int32_t>(std::stol(text)));
    } else if (schema.columns[i].type == postgres::oid::kInt8) {
      base::AppendBigEndian(to, uint32_t{8});
      base::AppendBigEndian(to, static_cast<int64_t>(std::stoll(text)));
    } else {
      base::AppendBigEndian(to, static_cast<uint32_t>(text.size()));
      to += text;
    }
  }
}

}  // namespace

absl::Status SinkFixture::ApplyBatches(std::span<engine::Batch> batches, bool ends_at_commit) {
  engine::Window window;
  window.batches = batches;
  window.ends_at_commit = ends_at_commit;
  const engine::TransactionSpan& last = batches.back().transactions().back();
  window.end = last_ = {last.commit_lsn, last.end_lsn};
  const absl::StatusOr<engine::WriteResult> written = sink_->Write(window, {});
  skipped_ = written.ok() ? written->skipped : 0;
  return written.status();
}

absl::Status SinkFixture::ApplyParts(const std::vector<Part>& parts) {
  std::vector<engine::Batch> batches;
  for (const Part& part : parts) {
    if (!part.declaration.empty()) builder_.Table(part.declaration);
    if (part.script.empty()) continue;
    batches.push_back(MakeBatch(part.script));
    if (part.ends_at_commit) continue;
    const absl::Status status = ApplyBatches(batches, false);
    if (!status.ok()) return status;
    batches.clear();
  }
  return batches.empty() ? absl::OkStatus() : ApplyBatches(batches, true);
}

engine::Chunk ToBinary(const engine::Chunk& text) {
  engine::Chunk binary = text;
  binary.bytes.clear();
  const std::string_view bytes = text.bytes;
  for (engine::EventRecord& record : binary.records) {
    const schemas::TableSchema& schema = *binary.tables[record.table];
    for (auto [offset, size] : {std::pair(&record.before_offset, &record.before_size),
                                std::pair(&record.after_offset, &record.after_size)}) {
      if (*size == 0) continue;
      const auto row = schemas::RowView::Tuple(bytes.substr(*offset, *size));
      *offset = static_cast<uint32_t>(binary.bytes.size());
      AppendBinaryTuple(schema, row, binary.bytes);
      *size = static_cast<uint32_t>(binary.bytes.size()) - *offset;
    }
  }
  return binary;
}

}  // namespace pgflow::sinks
