// The tables that a script sees of an event. All of this runs inside LuaSandbox::Call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/api/change_event.h"

struct lua_State;

namespace pgflow::transformers {

// What a script needs to know of a table; `number` names it in the Lua states, and is never used
// for another one.
struct ScriptPlan {
  bool chosen = false;
  uint64_t number = 0;
  std::string table;
};

// A row, decoded, and its values as texts; the text of one that cannot be read has no bytes.
struct ShownRow {
  bool exists = false;
  std::vector<schemas::Value> values;
  std::vector<std::string_view> texts;
};

// Owns nothing.
struct ShownEvent {
  const ScriptPlan& plan;
  const schemas::TableSchema& schema;
  engine::Operation operation = engine::Operation::kInsert;
  const ShownRow& before;
  const ShownRow& after;
};

// UNCHANGED, UNREADABLE and copy(), among the globals.
void DefineEventGlobals(lua_State* lua);
bool IsUnchangedMarker(const void* marker);
bool IsUnreadableMarker(const void* marker);

void PushEvent(lua_State* lua, const ShownEvent& event);
// The metatable of the rows of that table: it knows their columns' names.
void PushRowMetatable(lua_State* lua, const ScriptPlan& plan, const schemas::TableSchema& schema);

}  // namespace pgflow::transformers
