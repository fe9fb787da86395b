#include "sources/postgres/recording_writer_test.h"

namespace pgflow::sources {
namespace {

std::string Row(const engine::Chunk& chunk, uint32_t offset, uint32_t size) {
  if (size == 0) return "-";
  std::vector<schemas::Value> values;
  schemas::RowView::Tuple(std::string_view(chunk.bytes).substr(offset, size)).Decode(values);
  std::vector<std::string> texts;
  for (const schemas::Value& value : values) {
    texts.push_back(value.is_null()        ? "NULL"
                    : value.is_unchanged() ? "UNCHANGED"
                                           : std::string(value.view()));
  }
  return fmt::format("{}", fmt::join(texts, ","));
}

}  // namespace

absl::Status RecordingWriter::Append(engine::Chunk chunk) {
  base::MutexLock lock(&mutex_);
  size_t next = 0;
  for (size_t t = 0; t < chunk.transactions.size(); ++t) {
    const engine::TransactionSpan& span = chunk.transactions[t];
    if (span.begins) pending_.clear();
    for (; next < chunk.records.size() && chunk.records[next].transaction == t; ++next) {
      pending_.push_back({chunk.records[next].xid, Line(chunk, chunk.records[next])});
      ++received_;
    }
    if (span.ends) Commit(pending_, span, {});
  }
  return absl::OkStatus();
}

std::string RecordingWriter::Line(const engine::Chunk& chunk, const engine::EventRecord& record) {
  std::string line = fmt::format("{} {}", engine::OperationName(record.operation),
                                 chunk.tables[record.table]->table.ToString());
  if (record.before_size > 0) {
    line += " old " + Row(chunk, record.before_offset, record.before_size);
  }
  if (record.after_size > 0) line += " " + Row(chunk, record.after_offset, record.after_size);
  if (record.truncate_flags != 0) line += fmt::format(" flags {}", record.truncate_flags);
  return line;
}

void RecordingWriter::Commit(XidLines& from, const engine::TransactionSpan& span,
                             std::span<const postgres::Xid> aborted) {
  for (const auto& [xid, line] : from) {
    if (std::ranges::find(aborted, xid) == aborted.end()) lines_.push_back(line);
  }
  lines_.push_back("commit");
  from.clear();
  if (span.commit_lsn <= tail_.commit_lsn) lines_.push_back("OUT OF ORDER");
  tail_ = {span.commit_lsn, span.end_lsn};
}

}  // namespace pgflow::sources
