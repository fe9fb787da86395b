// ReturnedEvent: what a script made of an event. ReadReturned runs inside LuaSandbox::Call.
#pragma once

#include <string>
#include <vector>

#include "transformers/script/event_table.h"

namespace pgflow::transformers {

struct ReturnedValue {
  enum class Kind : uint8_t {
    kNull,
    kKept,  // The value that the row had, bytes and all.
    kText,
    kUnchanged,
  };

  Kind kind = Kind::kNull;
  std::string text;
};

struct ReturnedRow {
  bool exists = false;
  std::vector<ReturnedValue> values;  // As the table's columns.
};

struct ReturnedEvent {
  engine::Operation operation = engine::Operation::kInsert;
  ReturnedRow before;
  ReturnedRow after;
};

// What stands on the top of the stack: nil, an event, or a list of them. Appends to `returned`,
// which the caller owns; raises an error that says what is wrong.
void ReadReturned(lua_State* lua, const ShownEvent& shown, std::vector<ReturnedEvent>& returned);

}  // namespace pgflow::transformers
