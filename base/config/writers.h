// JSON schema and Markdown from a SpecDescription.
#pragma once

#include <string>

#include "base/config/spec_description.h"

namespace pgflow::config {

// A JSON schema (draft 2020-12) object for a map with these fields, indented by two.
std::string WriteJsonSchema(const SpecDescription& spec, const std::string& title);

// A table of all fields, nested ones as `section.field`; a paragraph when there are none.
std::string WriteMarkdown(const SpecDescription& spec);

// The same for a terminal.
std::string WriteText(const SpecDescription& spec);

// A JSON string literal.
std::string QuoteJson(const std::string& text);

}  // namespace pgflow::config
