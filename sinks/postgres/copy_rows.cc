#include "sinks/postgres/copy_rows.h"

#include <fmt/format.h>

#include "postgres/wire/copy_binary.h"
#include "postgres/wire/copy_text.h"

namespace pgflow::sinks {

using schemas::Value;
using schemas::ValueKind;

RowFormat Common(RowFormat a, RowFormat b) {
  if (a == b || b == RowFormat::kAny) return a;
  if (a == RowFormat::kAny) return b;
  return RowFormat::kMixed;
}

bool TextIsBinary(const TargetColumn& column) {
  namespace oid = postgres::oid;
  if (column.base_kind == 'e') return true;
  switch (column.base_type) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kJson:
    case oid::kXml:
      return true;
    default:
      return false;
  }
}

RowFormat FormatOf(const TableBinding& binding, std::span<const Value> values) {
  bool binary = true;
  bool text = true;
  bool any = true;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!binding.columns[i].written) continue;
    if (values[i].kind == ValueKind::kBinary) {
      any = text = false;
    } else if (values[i].kind == ValueKind::kText) {
      any = false;
      binary = binary && TextIsBinary(*binding.columns[i].target);
    }
  }
  if (any) return RowFormat::kAny;
  // Binary where both would do: rows of texts beside rows with numbers stay in one COPY.
  if (binary) return RowFormat::kBinary;
  return text ? RowFormat::kText : RowFormat::kMixed;
}

int WrongBinaryColumn(const TableBinding& binding, std::span<const Value> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].kind == ValueKind::kBinary && !binding.columns[i].takes_binary) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

std::string WrittenColumns(const TableBinding& binding) {
  std::string names;
  for (size_t i = 0; i < binding.columns.size(); ++i) {
    if (!binding.columns[i].written) continue;
    if (!names.empty()) names += ", ";
    names += schemas::QuoteIdentifier(binding.column_name(i));
  }
  return names;
}

std::string CopySql(const TableBinding& binding, const std::string& target, bool binary) {
  const std::string columns = WrittenColumns(binding);
  return fmt::format("COPY {}{} FROM STDIN{}", target,
                     columns.empty() ? "" : fmt::format(" ({})", columns),
                     binary ? " (FORMAT binary)" : "");
}

void AppendBinaryRow(const TableBinding& binding, std::span<const Value> values, std::string& to) {
  const size_t begin = to.size();
  postgres::AppendCopyTuple(to, 0);
  int16_t count = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!binding.columns[i].written) continue;
    ++count;
    if (values[i].kind == ValueKind::kBinary || values[i].kind == ValueKind::kText) {
      postgres::AppendCopyField(to, values[i].view());
    } else {
      postgres::AppendCopyNull(to);
    }
  }
  base::StoreBigEndian(to.data() + begin, count);
}

void AppendTextRow(const TableBinding& binding, std::span<const Value> values, std::string& to) {
  bool first = true;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!binding.columns[i].written) continue;
    if (!first) to.push_back('\t');
    first = false;
    if (values[i].kind == ValueKind::kText || values[i].kind == ValueKind::kBinary) {
      postgres::AppendCopyText(to, values[i].view());
    } else {
      to.append(postgres::kCopyTextNull);
    }
  }
  to.push_back('\n');
}

}  // namespace pgflow::sinks
