// TypeText: how a value in a type's binary wire form becomes the type's text output.
//
// Pure functions of bytes; thread-safe. A function appends the text and returns true, or returns
// false for malformed bytes and may then have appended a part (the caller cuts it off again).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "postgres/types/oid.h"
#include "schemas/table_schema.h"

namespace pgflow::sinks {

// What a value becomes in JSON.
enum class JsonForm : uint8_t {
  kNumber,       // Written digit for digit; NaN and infinities as strings.
  kBool,         // true, false.
  kJson,         // json and jsonb: inline.
  kPlainString,  // A string of ASCII without anything to escape.
  kString,
};

struct TypeText;
using AppendText = bool (*)(std::string_view bytes, const TypeText& type, std::string& out);

struct TypeText {
  postgres::Oid type = 0;
  JsonForm form = JsonForm::kString;
  AppendText append = nullptr;
  // Of an array, range or multirange: the type inside.
  postgres::Oid element = 0;
};

// Null for a type whose binary form is not known here (money, composites, extensions' types).
const TypeText* FindTypeText(postgres::Oid type);

// The same for a column: a domain is read as its base type, an enum as text, some types of
// extensions by their name.
const TypeText* FindTypeText(const schemas::Column& column);

}  // namespace pgflow::sinks
