// Any bytes to the readers of COPY rows, and what the writers write back to the readers.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "engine/api/batch.h"
#include "postgres/wire/array.h"
#include "postgres/wire/copy_binary.h"
#include "postgres/wire/copy_text.h"
#include "schemas/row_view.h"

namespace pgflow {
namespace {

uint64_t Touch(std::string_view bytes) {
  uint64_t sum = 0;
  for (char c : bytes) sum += static_cast<unsigned char>(c);
  return sum;
}

// The first byte chooses the number of columns, the second the format; the rest are rows.
void IndexBatch(std::string_view input) {
  if (input.size() < 2) return;
  auto schema = std::make_shared<schemas::TableSchema>();
  schema->table = {"public", "t"};
  schema->columns.resize(static_cast<unsigned char>(input[0]) % 8);
  engine::CopyRows rows;
  rows.schema = schema;
  rows.format = (input[1] & 1) != 0 ? engine::CopyFormat::kBinary : engine::CopyFormat::kText;
  rows.bytes = input.substr(2);
  engine::Batch batch(std::move(rows));
  const absl::StatusOr<std::span<const engine::ChangeEvent>> events = batch.Events();
  if (!events.ok()) return;
  volatile uint64_t sum = 0;
  std::vector<schemas::Value> values;
  for (const engine::ChangeEvent& event : *events) {
    event.after.Decode(values);
    PGFLOW_CHECK(values.size() == schema->columns.size(), "each row has the table's columns");
    for (const schemas::Value& value : values) {
      if (value.bytes != nullptr) sum = sum + Touch(value.view());
    }
  }
}

void ReadBinary(std::string_view input) {
  const absl::StatusOr<size_t> header = postgres::CopyBinaryHeaderSize(input);
  PGFLOW_CHECK(!header.ok() || *header <= input.size(), "a header ends in its input");
  const std::optional<size_t> size = schemas::RowView::ValidateCopyBinary(input);
  PGFLOW_CHECK(size == postgres::CopyTupleSize(input), "both walks agree");
  if (!size.has_value()) return;
  std::vector<schemas::Value> values;
  schemas::RowView::CopyBinary(input.substr(0, *size)).Decode(values);
  std::string again;
  postgres::AppendCopyTuple(again, static_cast<int16_t>(values.size()));
  for (const schemas::Value& value : values) {
    value.is_null() ? postgres::AppendCopyNull(again)
                    : postgres::AppendCopyField(again, value.view());
  }
  PGFLOW_CHECK(again == input.substr(0, *size), "a tuple is written as it was read");
}

void ReadText(std::string_view input) {
  std::string escaped;
  postgres::AppendCopyText(escaped, input);
  PGFLOW_CHECK(escaped.find_first_of("\t\n\r") == std::string::npos, "separators are escaped");
  std::string text;
  PGFLOW_CHECK(postgres::UnescapeCopyText(text, escaped), "what was escaped can be read");
  PGFLOW_CHECK(text == input, "escaping loses nothing");
  std::string any;
  if (postgres::UnescapeCopyText(any, input)) {
    PGFLOW_CHECK(any.size() <= input.size(), "unescaping only shortens");
  }
  std::optional<std::string_view> line = input;
  size_t total = 0;
  while (const std::optional<std::string_view> field = postgres::NextCopyField(line)) {
    total += field->size() + 1;
  }
  PGFLOW_CHECK(total == input.size() + 1, "fields and tabs are the line");
  std::string literal;
  postgres::TextArrayBuilder array(literal);
  array.Append(input);
  array.Finish();
}

void FuzzOne(std::string_view input) {
  IndexBatch(input);
  ReadBinary(input);
  ReadText(input);
}

}  // namespace
}  // namespace pgflow

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  pgflow::FuzzOne({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
