// IndexMeta: what an index remembers of its table, in its mapping's _meta.pgflow. A plain value.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <absl/status/statusor.h>
#include <nlohmann/json.hpp>

#include "postgres/types/lsn.h"
#include "postgres/types/oid.h"
#include "schemas/table_schema.h"

namespace pgflow::sinks {

// Names a change of a table's shape, wherever it is read again: the commit that it is in, and how
// many captured DDL commands on the table that transaction has up to it; 0: none was captured, the
// shape is that of a row in it.
struct SchemaStep {
  postgres::Lsn lsn;
  uint32_t number = 0;

  friend auto operator<=>(const SchemaStep&, const SchemaStep&) = default;
};

struct IndexMeta {
  struct Field {
    std::string name;
    nlohmann::json mapping;
    postgres::Oid type = 0;  // The column's.
    int32_t modifier = -1;
    int32_t place = 0;  // Among the columns of a row.

    friend bool operator==(const Field&, const Field&) = default;
  };

  // Rows of a joined table in the documents.
  struct Nested {
    std::string source;     // The uuid of the index that they were taken from; empty: not yet.
    nlohmann::json fields;  // Of the mapping, by name.

    friend bool operator==(const Nested&, const Nested&) = default;
  };

  std::string table;
  std::string made_for;      // The name that it was rebuilt to take; empty: it began with one.
  std::vector<int16_t> key;  // Attribute numbers, sorted.
  int16_t routing = 0;       // Of the column that routes; 0: none, or it has none.
  // By attribute number; a negative one is of our making, for a column whose own is not known.
  // Empty: the index is not ours.
  std::map<int16_t, Field> columns;
  // The last change of the shape that mapping and documents have followed. Whatever that log has of
  // the table before it was written before it.
  SchemaStep done;
  std::string log;  // The pipeline: positions of another one say nothing here.
  // The columns behind the last captured DDL command, by attribute number, until a row shows them.
  std::map<int16_t, std::string> announced;
  // Of columns that the next shape adds: what older rows have in them, as text.
  std::map<int16_t, std::string> defaults;
  // Names that the documents had before the table was renamed, and until when.
  std::map<std::string, SchemaStep> former;
  std::map<std::string, Nested> nested;  // By field.
  bool dropped = false;                  // There is no such table any more.
  // The tables of the source whose rows were copied into it, each with the place in the log from
  // which on the stream has to bring its changes; invalid: it is being copied.
  std::map<schemas::TableName, postgres::Lsn> sources;
  nlohmann::json origin;   // As OriginOf made it; null: nobody remembered.
  nlohmann::json loading;  // The settings to come back to after a load; null: none.

  nlohmann::json ToJson() const;
  // Of a whole mapping; an empty one when there is none in it. kFailedPrecondition: it is not as we
  // write it.
  static absl::StatusOr<IndexMeta> FromMapping(const nlohmann::json& mapping);
  // `former` alone, of the same; none where it is another log's.
  static absl::StatusOr<std::map<std::string, SchemaStep>> FormerIn(const nlohmann::json& mapping,
                                                                    const std::string& log);
};

// The member, or null.
const nlohmann::json& MemberOf(const nlohmann::json& object, std::string_view name);

}  // namespace pgflow::sinks
