#include "sinks/postgres/row_array.h"

#include <utility>

#include "base/bytes.h"
#include "postgres/wire/array.h"
#include "sinks/postgres/copy_rows.h"

namespace pgflow::sinks {

using schemas::Value;
using schemas::ValueKind;

bool RowArray::Choose(const TableBinding& binding, std::vector<uint32_t> columns,
                      std::span<const NetEffect::Row* const> rows) {
  const TargetTable& target = *binding.target;
  if (target.row_array_type == 0) return false;
  binding_ = &binding;
  columns_ = std::move(columns);
  types_ = {target.row_array_type};
  source_of_.assign(target.columns.size(), -1);
  for (uint32_t column : columns_) {
    const TargetColumn& there = *binding.columns[column].target;
    source_of_[static_cast<size_t>(&there - target.columns.data())] = static_cast<int>(column);
    if (TextIsBinary(there)) continue;
    for (const NetEffect::Row* row : rows) {
      if (row->values[column].kind == ValueKind::kText) return false;
    }
  }
  return true;
}

// A record is int32 count, then for each live column its type, size (-1: NULL) and bytes
// (record_send in rowtypes.c).
std::span<const postgres::Parameter> RowArray::Encode(std::span<const NetEffect::Row* const> rows) {
  const std::vector<TargetColumn>& targets = binding_->target->columns;
  buffer_.clear();
  postgres::BinaryArrayBuilder array(buffer_, binding_->target->row_type);
  for (const NetEffect::Row* row : rows) {
    record_.clear();
    base::AppendBigEndian(record_, static_cast<int32_t>(targets.size()));
    for (size_t i = 0; i < targets.size(); ++i) {
      base::AppendBigEndian(record_, targets[i].type);
      const Value value =
          source_of_[i] < 0 ? Value() : row->values[static_cast<size_t>(source_of_[i])];
      if (value.kind == ValueKind::kBinary || value.kind == ValueKind::kText) {
        base::AppendBigEndian(record_, value.size);
        record_.append(value.view());
      } else {
        base::AppendBigEndian(record_, int32_t{-1});
      }
    }
    array.Append(record_);
  }
  array.Finish();
  parameters_ = {postgres::Parameter::Binary(buffer_)};
  return parameters_;
}

}  // namespace pgflow::sinks
