// KeyChoice: which columns are the key of a message: those the user chose for the table, else its
// primary key or replica identity.
//
// Immutable after Make; copies are cheap enough for one an encoder. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "base/config/config_spec.h"
#include "schemas/table_filter.h"

namespace pgflow::sinks {

struct KeyConfig {
  std::vector<std::string> tables;
  std::vector<std::string> columns;
};

config::ConfigSpec<KeyConfig> KeySpec();

class KeyChoice {
 public:
  static absl::StatusOr<KeyChoice> Make(const std::vector<KeyConfig>& configs);

  // Indexes of the key's columns, in the order of the primary key or of the choice; empty when the
  // table has none. kFailedPrecondition: a chosen column does not exist.
  absl::StatusOr<std::vector<size_t>> ColumnsOf(const schemas::TableSchema& schema) const;

 private:
  struct Rule {
    schemas::TableFilter tables;
    std::vector<std::string> columns;
  };
  std::vector<Rule> rules_;
};

}  // namespace pgflow::sinks
