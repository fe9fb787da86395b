// What a database holds, value by value, so that two can be compared.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/integration/system_test.h"

namespace pgflow::tests {

// The rows of each ordinary table outside the schema `pgflow`, sorted. A row has each column's text
// form and, for types that mean the same in every database, its binary form too.
std::map<std::string, std::vector<std::string>> ContentsOf(const Database& database);

// Where two databases differ, a line each; empty when they do not.
std::string DifferenceOf(const Database& source, const Database& target);

}  // namespace pgflow::tests
