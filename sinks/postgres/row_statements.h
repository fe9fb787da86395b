// RowStatement: the SQL that writes one row, for one table, kind of change and set of columns.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sinks/postgres/decoded_change.h"
#include "sinks/postgres/table_binding.h"

namespace pgflow::sinks {

enum class RowShape : char {
  kInsert = 'i',
  kUpsert = 's',     // INSERT, or UPDATE when the key is there.
  kUpdate = 'u',     // The key stays; its columns are not set.
  kUpdateKey = 'k',  // All columns are set.
  // All columns are set; a foreign key of the target may have given the row its new key already.
  kUpdateMoved = 'w',
  kDelete = 'd',
  // Removes the row that has the new key, if the row with the old one is there to take its place.
  kMakeRoom = 'm',
  kInsertIfFree = 'f',  // Unless a unique value of it is taken.
  kInsertOrTake = 'o',  // Takes the place of the row that has its key, which it touches then.
  kFind = 'q',          // Touches the row with the old key, and changes nothing.
  kUpdateIfFree = 'p',  // kUpdateKey, unless another row has the new key.
  // GENERATED ALWAYS AS IDENTITY cannot be set by an UPDATE: the row is deleted and inserted again,
  kReinsert = 'r',  // with its new values,
  kRenumber = 'n',  // or behind its UPDATE, if such a column beside the key has another value.
};

struct RowParameter {
  bool before = false;  // From DecodedChange::before, else after.
  uint32_t column = 0;
};

struct RowStatement {
  std::string sql;
  std::vector<postgres::Oid> types;
  std::vector<RowParameter> parameters;
};

// Changes with equal signatures of one table share a statement: the shape, which columns are
// unchanged, and (tables without a key) which columns of the old row are NULL.
void AppendSignature(const TableBinding& binding, RowShape shape, const DecodedChange& change,
                     std::string& to);
// `signature` as made by AppendSignature.
RowStatement BuildRowStatement(const TableBinding& binding, std::string_view signature);

// "TRUNCATE ONLY a, b RESTART IDENTITY".
std::string TruncateSql(const std::vector<const TableBinding*>& tables, bool restart_identity,
                        bool cascade);

}  // namespace pgflow::sinks
