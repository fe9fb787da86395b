// RowArray: whole rows as one parameter, an array of the target table's row type. Slower than an
// array for each column, but takes columns that are arrays themselves.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "postgres/client/connection.h"
#include "sinks/postgres/net_effect.h"
#include "sinks/postgres/table_binding.h"

namespace pgflow::sinks {

// One thread; reused.
class RowArray {
 public:
  // False: a value has no binary form that we know.
  bool Choose(const TableBinding& binding, std::vector<uint32_t> columns,
              std::span<const NetEffect::Row* const> rows);

  const std::vector<postgres::Oid>& types() const { return types_; }
  const std::vector<uint32_t>& columns() const { return columns_; }

  // The parameter for some of the rows; valid until the next call.
  std::span<const postgres::Parameter> Encode(std::span<const NetEffect::Row* const> rows);

 private:
  const TableBinding* binding_ = nullptr;
  std::vector<uint32_t> columns_;
  std::vector<int> source_of_;  // By the target's columns: index of ours, or -1 for NULL.
  std::vector<postgres::Oid> types_;
  std::string record_;
  std::string buffer_;
  std::vector<postgres::Parameter> parameters_;
};

}  // namespace pgflow::sinks
