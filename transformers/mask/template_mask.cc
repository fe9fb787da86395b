#include "transformers/mask/template_mask.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "sinks/encoding/json_value.h"

namespace pgflow::transformers {

using schemas::Value;

absl::StatusOr<TemplateMask> TemplateMask::Make(std::string_view text,
                                                const schemas::TableSchema& table, size_t column) {
  TemplateMask made;
  made.column_ = column;
  made.characters_max_ = ColumnTypeOf(table.columns[column]).characters_max;
  const auto wrong = [&](std::string_view why) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "mask: table {}, column '{}': template '{}': {}",
                            table.table.ToString(), table.columns[column].name, text, why);
  };
  std::string pending;
  std::string_view rest = text;
  while (!rest.empty()) {
    const char c = rest.front();
    if ((c == '{' || c == '}') && rest.size() > 1 && rest[1] == c) {
      pending.push_back(c);
      rest.remove_prefix(2);
      continue;
    }
    if (c == '}') return wrong("a } without {; write }} for a brace");
    if (c != '{') {
      pending.push_back(c);
      rest.remove_prefix(1);
      continue;
    }
    const size_t end = rest.find('}');
    if (end == std::string_view::npos) return wrong("a { without }; write {{ for a brace");
    const std::string_view name = rest.substr(1, end - 1);
    const std::optional<size_t> index = table.FindColumn(name);
    if (!index.has_value() || *index == column) {
      return wrong(fmt::format("'{}' is no other column of the table", name));
    }
    const sinks::TypeText* type = sinks::FindTypeText(table.columns[*index]);
    if (type == nullptr) return wrong(fmt::format("'{}' has a type without a text form", name));
    if (!pending.empty()) made.pieces_.push_back({std::exchange(pending, {}), nullptr, 0, false});
    made.pieces_.push_back({{}, type, *index, true});
    made.columns_.push_back(*index);
    rest.remove_prefix(end + 1);
  }
  if (!pending.empty()) made.pieces_.push_back({std::move(pending), nullptr, 0, false});
  return made;
}

MaskOutcome TemplateMask::Append(std::span<const Value> row, MaskScratch& scratch,
                                 std::string& out) const {
  const Value& own = row[column_];
  if (own.is_null()) return MaskOutcome::kNull;
  const auto unchanged = [&](size_t column) { return row[column].is_unchanged(); };
  if (own.is_unchanged() && std::ranges::all_of(columns_, unchanged)) return MaskOutcome::kKept;
  if (std::ranges::any_of(columns_, unchanged)) {
    scratch.refusal =
        "a column in its template holds a large value that did not change and was not sent; set "
        "REPLICA IDENTITY FULL for the table, or leave that column out of the template";
    return MaskOutcome::kRefused;
  }
  const size_t begin = out.size();
  for (const Piece& piece : pieces_) {
    if (!piece.is_column) {
      out.append(piece.text);
    } else if (!sinks::AppendValueText(row[piece.column], piece.type, out)) {
      scratch.refusal = "a value in its template cannot be read";
      return MaskOutcome::kRefused;
    }
  }
  if (characters_max_ != 0) {
    out.resize(begin + PrefixBytes(std::string_view(out).substr(begin), characters_max_));
  }
  return MaskOutcome::kWritten;
}

}  // namespace pgflow::transformers
