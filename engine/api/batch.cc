#include "engine/api/batch.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace pgflow::engine {

Batch::Batch(std::shared_ptr<const Chunk> chunk, std::vector<ChangeEvent> events,
             std::vector<TransactionSpan> transactions)
    : is_snapshot_(false),
      indexed_(true),
      chunk_(std::move(chunk)),
      events_(std::move(events)),
      transactions_(std::move(transactions)) {}

Batch::Batch(CopyRows rows) : is_snapshot_(true), raw_(true), rows_(std::move(rows)) {}

std::pmr::monotonic_buffer_resource& Batch::arena() {
  if (arena_ == nullptr) arena_ = std::make_unique<std::pmr::monotonic_buffer_resource>();
  return *arena_;
}

std::string_view Batch::Store(std::string_view bytes) {
  if (bytes.empty()) return {"", 0};
  char* copy = static_cast<char*>(arena().allocate(bytes.size(), 1));
  std::memcpy(copy, bytes.data(), bytes.size());
  return {copy, bytes.size()};
}

std::span<schemas::Value> Batch::NewValues(size_t count) {
  if (count == 0) return {};
  void* memory = arena().allocate(count * sizeof(schemas::Value), alignof(schemas::Value));
  auto* values = new (memory) schemas::Value[count];
  return {values, count};
}

void Batch::KeepAlive(schemas::TableSchemaPtr schema) {
  if (std::ranges::find(kept_, schema) == kept_.end()) kept_.push_back(std::move(schema));
}

schemas::TableSchemaPtr Batch::OwnerOf(const schemas::TableSchema* schema) const {
  if (is_snapshot_ && rows_.schema.get() == schema) return rows_.schema;
  for (const schemas::TableSchemaPtr& kept : kept_) {
    if (kept.get() == schema) return kept;
  }
  if (chunk_ != nullptr) {
    for (const schemas::TableSchemaPtr& table : chunk_->tables) {
      if (table.get() == schema) return table;
    }
  }
  PGFLOW_CHECK(false, "an event's schema must be kept alive by its batch");
}

void Batch::ReplaceRawRows(std::string bytes) {
  PGFLOW_CHECK(raw_, "the rows are as received");
  rows_.bytes = std::move(bytes);
  events_.clear();
  indexed_ = false;
}

void Batch::ReplaceRawSchema(schemas::TableSchemaPtr schema) {
  PGFLOW_CHECK(raw_, "the rows are as received");
  for (ChangeEvent& event : events_) event.schema = schema.get();
  KeepAlive(std::exchange(rows_.schema, std::move(schema)));
}

absl::StatusOr<std::span<const ChangeEvent>> Batch::Events() {
  if (!indexed_) PGFLOW_RETURN_IF_ERROR(IndexRows());
  return std::span<const ChangeEvent>(events_);
}

absl::StatusOr<std::vector<ChangeEvent>*> Batch::MutableEvents() {
  if (!indexed_) PGFLOW_RETURN_IF_ERROR(IndexRows());
  raw_ = false;
  return &events_;
}

absl::Status Batch::IndexRows() {
  events_.reserve(rows_.row_count);
  std::string_view rest = rows_.bytes;
  while (!rest.empty()) {
    ChangeEvent event;
    event.operation = Operation::kRead;
    event.schema = rows_.schema.get();
    size_t size = 0;
    if (rows_.format == CopyFormat::kBinary) {
      const std::optional<size_t> tuple = schemas::RowView::ValidateCopyBinary(rest);
      if (!tuple.has_value()) {
        return base::MakeStatus(absl::StatusCode::kDataLoss, "table {}: malformed COPY row",
                                rows_.schema->table.ToString());
      }
      size = *tuple;
      event.after = schemas::RowView::CopyBinary(rest.substr(0, size));
      events_.push_back(event);
    } else {
      size = rest.find('\n');
      if (size == std::string_view::npos) {
        return base::MakeStatus(absl::StatusCode::kDataLoss, "table {}: cut COPY line",
                                rows_.schema->table.ToString());
      }
      PGFLOW_RETURN_IF_ERROR(IndexTextLine(rest.substr(0, size)));
      ++size;
    }
    if (event.after.exists() && event.after.column_count() != rows_.schema->columns.size()) {
      return base::MakeStatus(
          absl::StatusCode::kDataLoss, "table {}: COPY row of {} columns, not {}",
          rows_.schema->table.ToString(), event.after.column_count(), rows_.schema->columns.size());
    }
    rest.remove_prefix(size);
  }
  indexed_ = true;
  return absl::OkStatus();
}

namespace {

// One field of COPY's text format, unescaped ("File Formats, Text Format" of COPY's page). The
// server writes only these escapes.
std::string Unescape(std::string_view field) {
  std::string text;
  text.reserve(field.size());
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] != '\\' || i + 1 == field.size()) {
      text.push_back(field[i]);
      continue;
    }
    static constexpr std::string_view kLetters = "bfnrtv";
    static constexpr std::string_view kBytes = "\b\f\n\r\t\v";
    const char c = field[++i];
    const size_t letter = kLetters.find(c);
    text.push_back(letter == std::string_view::npos ? c : kBytes[letter]);
  }
  return text;
}

}  // namespace

absl::Status Batch::IndexTextLine(std::string_view line) {
  const size_t count = rows_.schema->columns.size();
  std::span<schemas::Value> values = NewValues(count);
  size_t column = 0;
  bool at_end = count == 0 && line.empty();
  while (column < count && !at_end) {
    const size_t tab = line.find('\t');
    const std::string_view field = line.substr(0, tab);
    if (field != "\\N") {
      const std::string_view text = Store(Unescape(field));
      values[column] = {text.data(), static_cast<uint32_t>(text.size()), schemas::ValueKind::kText};
    }
    ++column;
    at_end = tab == std::string_view::npos;
    if (!at_end) line.remove_prefix(tab + 1);
  }
  if (column != count || !at_end) {
    return base::MakeStatus(absl::StatusCode::kDataLoss, "table {}: COPY line has not {} columns",
                            rows_.schema->table.ToString(), count);
  }
  ChangeEvent event;
  event.operation = Operation::kRead;
  event.schema = rows_.schema.get();
  event.after = schemas::RowView::Values(values);
  events_.push_back(event);
  return absl::OkStatus();
}

}  // namespace pgflow::engine
