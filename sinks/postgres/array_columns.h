// ArrayColumns: some columns of many rows as array parameters, for statements over unnest(...).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "postgres/client/connection.h"
#include "sinks/postgres/net_effect.h"
#include "sinks/postgres/table_binding.h"

namespace pgflow::sinks {

// Values go in their own bytes: binary ones as an array of the column's type, text ones as text[]
// with a cast in the statement. One thread; reused.
class ArrayColumns {
 public:
  // Looks at the values of `columns` in all `rows` and decides each column's form. False: some
  // column has both forms, or cannot be an array's element (it is an array itself).
  bool Choose(const TableBinding& binding, std::vector<uint32_t> columns,
              std::span<const NetEffect::Row* const> rows);

  // "unnest($1, $2) AS u(c0, c1)"
  std::string FromSql() const;
  // "u.c1", or with a cast. `position` counts in `columns`.
  std::string ValueSql(size_t position) const;
  const std::vector<postgres::Oid>& types() const { return types_; }
  const std::vector<uint32_t>& columns() const { return columns_; }

  // The parameters of some of the rows; valid until the next call.
  std::span<const postgres::Parameter> Encode(std::span<const NetEffect::Row* const> rows);

 private:
  const TableBinding* binding_ = nullptr;
  std::vector<uint32_t> columns_;
  std::vector<bool> as_text_;
  std::vector<postgres::Oid> types_;
  std::vector<std::string> buffers_;
  std::vector<postgres::Parameter> parameters_;
};

}  // namespace pgflow::sinks
