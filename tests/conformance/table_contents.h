// What a database holds, value by value, so that two can be compared.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/system_test.h"

namespace pgflow::tests {

// A session that looks at one database: what is compared takes many queries.
class Onlooker {
 public:
  // Fails the running test when the server is not there.
  Onlooker(const Database& database, const std::string& settings);
  // The first column of each row, and the second; nothing, and a failed test, when it is refused.
  std::vector<std::pair<std::string, std::string>> Rows(const std::string& sql);

 private:
  std::unique_ptr<postgres::Connection> connection_;
};

using Contents = std::map<std::string, std::vector<std::string>>;

// The rows of each ordinary table outside the schema `pgflow`, sorted. A row has each column's text
// form and, for types that mean the same in every database, its binary form too.
Contents ContentsOf(const Database& database);

// Where two databases differ, a line each; empty when they do not. The target may have tables of
// its own.
std::string DifferenceOf(const Database& source, const Database& target);
// The target may have none.
std::string DifferenceOfBoth(const Database& source, const Database& target);

}  // namespace pgflow::tests
