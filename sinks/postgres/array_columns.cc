#include "sinks/postgres/array_columns.h"

#include <utility>

#include <fmt/format.h>

#include "postgres/wire/array.h"
#include "sinks/postgres/copy_rows.h"

namespace pgflow::sinks {
namespace {

using schemas::Value;
using schemas::ValueKind;

constexpr postgres::Oid kTextArray = 1009;

}  // namespace

bool ArrayColumns::Choose(const TableBinding& binding, std::vector<uint32_t> columns,
                          std::span<const NetEffect::Row* const> rows) {
  binding_ = &binding;
  columns_ = std::move(columns);
  as_text_.assign(columns_.size(), false);
  types_.clear();
  for (size_t i = 0; i < columns_.size(); ++i) {
    const TargetColumn& target = *binding.columns[columns_[i]].target;
    bool binary = false;
    bool text = false;
    for (const NetEffect::Row* row : rows) {
      binary |= row->values[columns_[i]].kind == ValueKind::kBinary;
      text |= row->values[columns_[i]].kind == ValueKind::kText;
    }
    if (text && TextIsBinary(target)) {
      text = false;
      binary = true;
    }
    if (text && binary) return false;
    if (binary && (target.base_array_type == 0 || target.base_element_type != 0)) return false;
    // NULLs only: text has a cast to every type.
    as_text_[i] = !binary;
    types_.push_back(as_text_[i] ? kTextArray : target.base_array_type);
  }
  return true;
}

std::string ArrayColumns::FromSql() const {
  std::string arguments;
  std::string names;
  for (size_t i = 0; i < columns_.size(); ++i) {
    arguments += fmt::format("{}${}", i == 0 ? "" : ", ", i + 1);
    names += fmt::format("{}c{}", i == 0 ? "" : ", ", i);
  }
  return fmt::format("unnest({}) AS u({})", arguments, names);
}

std::string ArrayColumns::ValueSql(size_t position) const {
  const TargetColumn& target = *binding_->columns[columns_[position]].target;
  if (!as_text_[position]) return fmt::format("u.c{}", position);
  // Without the column's length, or its domain's: an explicit cast would cut a value that an
  // assignment refuses. Unquoted, `character` and `bit` would mean a length of one.
  std::string_view type = target.base_type_name;
  if (type == "character") type = "pg_catalog.bpchar";
  if (type == "character[]") type = "pg_catalog.bpchar[]";
  if (type == "bit") type = "pg_catalog.\"bit\"";
  if (type == "bit[]") type = "pg_catalog.\"bit\"[]";
  return fmt::format("u.c{}::{}", position, type);
}

std::span<const postgres::Parameter> ArrayColumns::Encode(
    std::span<const NetEffect::Row* const> rows) {
  if (buffers_.size() < columns_.size()) buffers_.resize(columns_.size());
  parameters_.clear();
  for (size_t i = 0; i < columns_.size(); ++i) {
    std::string& buffer = buffers_[i];
    buffer.clear();
    const TargetColumn& target = *binding_->columns[columns_[i]].target;
    postgres::BinaryArrayBuilder array(buffer,
                                       as_text_[i] ? postgres::oid::kText : target.base_type);
    for (const NetEffect::Row* row : rows) {
      const Value& value = row->values[columns_[i]];
      if (value.kind == ValueKind::kBinary || value.kind == ValueKind::kText) {
        array.Append(value.view());
      } else {
        array.AppendNull();
      }
    }
    array.Finish();
    parameters_.push_back(postgres::Parameter::Binary(buffer));
  }
  return parameters_;
}

}  // namespace pgflow::sinks
