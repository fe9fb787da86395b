// What a database's objects look like, as text, so that two can be compared.
#pragma once

#include <string>

#include "tests/integration/system_test.h"

namespace pgflow::tests {

// Where the definitions of two databases differ, a line each; empty when they do not. Looks at all
// objects that users make outside the schema `pgflow`, with their owners, privileges and comments.
std::string DefinitionDifference(const Database& source, const Database& target);

}  // namespace pgflow::tests
