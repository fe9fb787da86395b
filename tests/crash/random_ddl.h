// RandomDdl: DDL and changes of rows by chance, for tables whose first columns stay as they are and
// whose others are text, integer or date. Statements are never refused, whatever came before.
//
// One test owns it; the same seed makes the same choices.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/integration/system_test.h"

namespace pgflow::tests {

struct Column {
  std::string name;
  std::string type;
};

// All but the first `fixed` ones.
std::vector<Column> ColumnsOf(const Database& database, const std::string& table, int fixed);

class RandomDdl {
 public:
  RandomDdl(Database source, uint64_t seed) : source_(std::move(source)), random_(seed) {}

  int Draw(int first, int last) { return std::uniform_int_distribution<int>(first, last)(random_); }
  bool Chance(int percent) { return Draw(1, 100) <= percent; }
  template <typename List>
  const auto& OneOf(const List& list) {
    return list[static_cast<size_t>(Draw(0, static_cast<int>(list.size()) - 1))];
  }

  // A change of the columns and some of rows: each statement alone, or all in one transaction.
  void Act(const std::string& table, int fixed);

 private:
  std::string FreeName(const std::vector<Column>& taken);
  std::string Value(const std::string& type);
  std::string NewColumn(const std::string& name);
  std::vector<std::string> Ddl(const std::string& table, int fixed);
  std::string ChangeRows(const std::string& table, int fixed);

  const Database source_;
  std::mt19937_64 random_;
  int next_id_ = 1000;
};

}  // namespace pgflow::tests
