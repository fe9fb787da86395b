// TemplateMask: a text with values of other columns of the row in it, as they are after masking.
//
// Immutable; thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "schemas/table_schema.h"
#include "schemas/value.h"
#include "transformers/mask/column_mask.h"

namespace pgflow::transformers {

class TemplateMask {
 public:
  // kInvalidArgument: a brace without its partner, a column that the table does not have or that is
  // `column` itself, or one whose values have no text form here.
  static absl::StatusOr<TemplateMask> Make(std::string_view text, const schemas::TableSchema& table,
                                           size_t column);

  std::span<const size_t> columns() const { return columns_; }

  // What `row[column]` becomes; the other columns of `row` are masked already. NULL columns give
  // nothing. kKept: the value and all that it is made of were not sent. kRefused: a part of these
  // was not.
  MaskOutcome Append(std::span<const schemas::Value> row, MaskScratch& scratch,
                     std::string& out) const;

 private:
  struct Piece {
    std::string text;
    const sinks::TypeText* type = nullptr;
    size_t column = 0;
    bool is_column = false;
  };

  std::vector<Piece> pieces_;
  std::vector<size_t> columns_;  // Of the pieces.
  size_t column_ = 0;
  uint32_t characters_max_ = 0;
};

}  // namespace pgflow::transformers
