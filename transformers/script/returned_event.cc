#include "transformers/script/returned_event.h"

#include <lua.hpp>

#include "sinks/encoding/text_floats.h"

namespace pgflow::transformers {
namespace {

using engine::Operation;
using Kind = ReturnedValue::Kind;

// The value on the top, of column `index`.
void ReadValue(lua_State* lua, const ShownEvent& shown, const ShownRow& row, size_t index,
               ReturnedValue& value) {
  const char* column = shown.schema.columns[index].name.c_str();
  const bool had = row.exists && index < row.values.size() && !row.values[index].is_null();
  switch (lua_type(lua, -1)) {
    case LUA_TNIL:
      value.kind = Kind::kNull;
      return;
    case LUA_TBOOLEAN:
      value.kind = Kind::kText;
      value.text = lua_toboolean(lua, -1) != 0 ? "t" : "f";
      return;
    case LUA_TNUMBER:
      value.kind = Kind::kText;
      value.text.clear();
      if (lua_isinteger(lua, -1) != 0) {
        value.text = std::to_string(lua_tointeger(lua, -1));
      } else {
        sinks::AppendDoubleText(lua_tonumber(lua, -1), value.text);
      }
      return;
    case LUA_TSTRING: {
      size_t size = 0;
      const char* bytes = lua_tolstring(lua, -1, &size);
      const std::string_view text(bytes, size);
      if (had && row.texts[index].data() != nullptr && row.texts[index] == text) {
        value.kind = Kind::kKept;
        return;
      }
      if (text.find('\0') != std::string_view::npos) {
        luaL_error(lua, "the value of column '%s' holds a zero byte", column);
      }
      value.kind = Kind::kText;
      value.text = text;
      return;
    }
    case LUA_TLIGHTUSERDATA:
      if (IsUnchangedMarker(lua_touserdata(lua, -1))) {
        value.kind = Kind::kUnchanged;
        return;
      }
      if (!had) luaL_error(lua, "column '%s' has no value that could not be read", column);
      value.kind = Kind::kKept;
      return;
    default:
      luaL_error(lua, "the value of column '%s' is a %s", column, luaL_typename(lua, -1));
  }
}

// Every name of the table on the top is a column's; a row that came from here cannot have others.
void CheckNames(lua_State* lua, const ShownEvent& shown) {
  PushRowMetatable(lua, shown.plan, shown.schema);
  if (lua_getmetatable(lua, -2) != 0) {
    const bool ours = lua_rawequal(lua, -1, -2) != 0;
    lua_pop(lua, 1);
    if (ours) {
      lua_pop(lua, 1);
      return;
    }
  }
  lua_pop(lua, 1);
  lua_pushnil(lua);
  while (lua_next(lua, -2) != 0) {
    lua_pop(lua, 1);
    bool known = false;
    const char* name = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "?";
    for (const schemas::Column& column : shown.schema.columns) known |= column.name == name;
    if (!known) luaL_error(lua, "table %s has no column '%s'", shown.plan.table.c_str(), name);
  }
}

// The row under `field` of the event on the top.
void ReadRow(lua_State* lua, const ShownEvent& shown, const char* field, const ShownRow& row,
             ReturnedRow& returned) {
  lua_getfield(lua, -1, field);
  if (!lua_isnil(lua, -1)) {
    if (!lua_istable(lua, -1))
      luaL_error(lua, "`%s` is a %s, no row", field, luaL_typename(lua, -1));
    CheckNames(lua, shown);
    returned.exists = true;
    returned.values.resize(shown.schema.columns.size());
    for (size_t i = 0; i < returned.values.size(); ++i) {
      const std::string& name = shown.schema.columns[i].name;
      lua_pushlstring(lua, name.data(), name.size());
      lua_rawget(lua, -2);
      ReadValue(lua, shown, row, i, returned.values[i]);
      lua_pop(lua, 1);
    }
  }
  lua_pop(lua, 1);
}

Operation ReadOperation(lua_State* lua, const ShownEvent& shown) {
  lua_getfield(lua, -1, "operation");
  const char* name = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "";
  Operation found = shown.operation;
  bool good = engine::OperationName(found) == name;
  // The rows of a snapshot stay its rows; a change may become another one.
  for (const Operation each : {Operation::kInsert, Operation::kUpdate, Operation::kDelete}) {
    if (shown.operation == Operation::kRead || engine::OperationName(each) != name) continue;
    found = each;
    good = true;
  }
  if (!good) {
    luaL_error(lua, "the operation '%s' cannot come of '%s'", name,
               engine::OperationName(shown.operation).data());
  }
  lua_pop(lua, 1);
  return found;
}

void CheckUnchanged(lua_State* lua, const ShownEvent& shown, const ReturnedRow& row) {
  for (size_t i = 0; i < row.values.size(); ++i) {
    if (row.values[i].kind != Kind::kUnchanged) continue;
    luaL_error(lua, "column '%s' is UNCHANGED, which only the new row of an update can be",
               shown.schema.columns[i].name.c_str());
  }
}

// The event on the top.
void ReadEvent(lua_State* lua, const ShownEvent& shown, ReturnedEvent& returned) {
  luaL_checkstack(lua, 10, nullptr);
  lua_getfield(lua, -1, "table");
  const char* table = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "";
  if (shown.plan.table != table) {
    luaL_error(lua, "`table` cannot become '%s' here; `route` gives rows another table", table);
  }
  lua_pop(lua, 1);
  returned.operation = ReadOperation(lua, shown);
  if (returned.operation != Operation::kInsert && returned.operation != Operation::kRead) {
    ReadRow(lua, shown, "before", shown.before, returned.before);
    CheckUnchanged(lua, shown, returned.before);
  }
  if (returned.operation != Operation::kDelete) {
    ReadRow(lua, shown, "after", shown.after, returned.after);
    if (!returned.after.exists) luaL_error(lua, "it has no row `after`");
    if (returned.operation != Operation::kUpdate) CheckUnchanged(lua, shown, returned.after);
  } else if (!returned.before.exists) {
    luaL_error(lua, "a delete has no row `before`");
  }
}

}  // namespace

void ReadReturned(lua_State* lua, const ShownEvent& shown, std::vector<ReturnedEvent>& returned) {
  if (lua_isnil(lua, -1)) return;
  if (!lua_istable(lua, -1)) {
    luaL_error(lua, "transform returned a %s; it is to return an event, a list of events, or nil",
               luaL_typename(lua, -1));
  }
  lua_pushstring(lua, "operation");
  const bool single = lua_rawget(lua, -2) != LUA_TNIL;
  lua_pop(lua, 1);
  if (single) return ReadEvent(lua, shown, returned.emplace_back());
  const lua_Unsigned count = lua_rawlen(lua, -1);
  for (lua_Unsigned i = 1; i <= count; ++i) {
    if (lua_rawgeti(lua, -1, static_cast<lua_Integer>(i)) != LUA_TTABLE) {
      luaL_error(lua, "the list that transform returned holds a %s", luaL_typename(lua, -1));
    }
    ReadEvent(lua, shown, returned.emplace_back());
    lua_pop(lua, 1);
  }
}

}  // namespace pgflow::transformers
