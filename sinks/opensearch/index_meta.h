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

namespace pgflow::sinks {

struct IndexMeta {
  struct Field {
    std::string name;
    nlohmann::json mapping;
    postgres::Oid type = 0;  // The column's.
    int32_t modifier = -1;

    friend bool operator==(const Field&, const Field&) = default;
  };

  // Rows of a joined table in the documents.
  struct Nested {
    std::string source;     // The uuid of the index that they were taken from; empty: not yet.
    nlohmann::json fields;  // Of the mapping, by name.

    friend bool operator==(const Nested&, const Nested&) = default;
  };

  std::string table;
  std::vector<int16_t> key;          // Attribute numbers, sorted.
  std::map<int16_t, Field> columns;  // By attribute number. Empty: the index is not ours.
  postgres::Lsn lsn;                 // The table looked so from here on.
  // Of columns that the next shape adds: what older rows have in them, as text.
  std::map<int16_t, std::string> defaults;
  std::map<std::string, Nested> nested;  // By field.
  nlohmann::json loading;                // The settings to come back to after a load; null: none.

  nlohmann::json ToJson() const;
  // Of a whole mapping; an empty one when there is none in it. kFailedPrecondition: it is not as we
  // write it.
  static absl::StatusOr<IndexMeta> FromMapping(const nlohmann::json& mapping);
};

// The member, or null.
const nlohmann::json& MemberOf(const nlohmann::json& object, std::string_view name);

}  // namespace pgflow::sinks
