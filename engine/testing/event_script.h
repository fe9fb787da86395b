// The words of the event language (event_builder.h); for engine/testing itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/testing/event_builder.h"

namespace pgflow::engine {

// Words, quoted values, and ( ) , as tokens of their own.
std::vector<ScriptToken> Tokenize(std::string_view line);
// The lines that are not empty.
std::vector<std::vector<ScriptToken>> TokenizeLines(std::string_view script);

// Ends the process: the test itself is wrong.
[[noreturn]] void ScriptError(std::string_view why, std::string_view where);

}  // namespace pgflow::engine
