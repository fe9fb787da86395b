// Rows as COPY takes them: the statement, and the two encodings of decoded values.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "schemas/value.h"
#include "sinks/postgres/table_binding.h"

namespace pgflow::sinks {

// How the values of some rows can be sent.
enum class RowFormat : uint8_t {
  kAny,  // NULLs only.
  kBinary,
  kText,
  kMixed,  // Neither: some are binary, others text that has no binary form we know.
};

// What fits both.
RowFormat Common(RowFormat a, RowFormat b);
// Only columns that are written count. kUnchanged counts as NULL.
RowFormat FormatOf(const TableBinding& binding, std::span<const schemas::Value> values);
// A column that has a binary value its type does not take; -1: none.
int WrongBinaryColumn(const TableBinding& binding, std::span<const schemas::Value> values);

// Text values of this type have the same bytes in binary.
bool TextIsBinary(const TargetColumn& column);

// "COPY target (a, b) FROM STDIN (FORMAT binary)"; `target` is quoted.
std::string CopySql(const TableBinding& binding, const std::string& target, bool binary);
// "a", "b": the columns that are written.
std::string WrittenColumns(const TableBinding& binding);

void AppendBinaryRow(const TableBinding& binding, std::span<const schemas::Value> values,
                     std::string& to);
void AppendTextRow(const TableBinding& binding, std::span<const schemas::Value> values,
                   std::string& to);

}  // namespace pgflow::sinks
