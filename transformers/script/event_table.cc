#include "transformers/script/event_table.h"

#include <lua.hpp>

namespace pgflow::transformers {
namespace {

constexpr const char* kMetatables = "pgflow.rows";
constexpr lua_Integer kMetatablesMax = 1000;
constexpr int kCopyDepthMax = 16;

// Their addresses are what a script compares with.
char unchanged_marker;
char unreadable_marker;

// __index and __newindex of a row, for a name that is not in it: NULL, or a mistake. The upvalues
// are the set of columns and the table's name.
int CheckColumn(lua_State* lua) {
  lua_pushvalue(lua, 2);
  if (lua_rawget(lua, lua_upvalueindex(1)) == LUA_TNIL) {
    const char* name = lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "?";
    return luaL_error(lua, "table %s has no column '%s'", lua_tostring(lua, lua_upvalueindex(2)),
                      name);
  }
  return 0;
}

int AssignColumn(lua_State* lua) {
  CheckColumn(lua);
  lua_settop(lua, 3);
  lua_rawset(lua, 1);
  return 0;
}

// The table on the top, replaced by a copy of it, tables within as well.
void CopyTable(lua_State* lua, int depth) {
  if (depth > kCopyDepthMax) luaL_error(lua, "copy: the table is nested too deeply");
  luaL_checkstack(lua, 6, nullptr);
  const int from = lua_gettop(lua);
  lua_newtable(lua);
  lua_pushnil(lua);
  while (lua_next(lua, from) != 0) {
    if (lua_istable(lua, -1)) CopyTable(lua, depth + 1);
    lua_pushvalue(lua, -2);
    lua_insert(lua, -2);
    lua_rawset(lua, from + 1);
  }
  if (lua_getmetatable(lua, from) != 0) lua_setmetatable(lua, from + 1);
  lua_remove(lua, from);
}

int Copy(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_settop(lua, 1);
  CopyTable(lua, 0);
  return 1;
}

void PushText(lua_State* lua, std::string_view text) {
  lua_pushlstring(lua, text.data(), text.size());
}

void PushRow(lua_State* lua, const ShownEvent& event, const ShownRow& row) {
  const auto& columns = event.schema.columns;
  lua_createtable(lua, 0, static_cast<int>(columns.size()));
  for (size_t i = 0; i < columns.size() && i < row.values.size(); ++i) {
    const schemas::Value& value = row.values[i];
    if (value.is_null()) continue;
    PushText(lua, columns[i].name);
    if (value.is_unchanged()) {
      lua_pushlightuserdata(lua, &unchanged_marker);
    } else if (row.texts[i].data() == nullptr) {
      lua_pushlightuserdata(lua, &unreadable_marker);
    } else {
      PushText(lua, row.texts[i]);
    }
    lua_rawset(lua, -3);
  }
  PushRowMetatable(lua, event.plan, event.schema);
  lua_setmetatable(lua, -2);
}

}  // namespace

bool IsUnchangedMarker(const void* marker) { return marker == &unchanged_marker; }
bool IsUnreadableMarker(const void* marker) { return marker == &unreadable_marker; }

void DefineEventGlobals(lua_State* lua) {
  lua_pushlightuserdata(lua, &unchanged_marker);
  lua_setglobal(lua, "UNCHANGED");
  lua_pushlightuserdata(lua, &unreadable_marker);
  lua_setglobal(lua, "UNREADABLE");
  lua_pushcfunction(lua, Copy);
  lua_setglobal(lua, "copy");
}

void PushRowMetatable(lua_State* lua, const ScriptPlan& plan, const schemas::TableSchema& schema) {
  luaL_checkstack(lua, 8, nullptr);
  const auto number = static_cast<lua_Integer>(plan.number);
  if (lua_getfield(lua, LUA_REGISTRYINDEX, kMetatables) == LUA_TNIL) {
    lua_pop(lua, 1);
    lua_newtable(lua);
    lua_pushvalue(lua, -1);
    lua_setfield(lua, LUA_REGISTRYINDEX, kMetatables);
  }
  if (lua_rawgeti(lua, -1, number) != LUA_TNIL) {
    lua_remove(lua, -2);
    return;
  }
  lua_pop(lua, 1);
  lua_newtable(lua);
  lua_createtable(lua, 0, static_cast<int>(schema.columns.size()));
  for (const schemas::Column& column : schema.columns) {
    PushText(lua, column.name);
    lua_pushboolean(lua, 1);
    lua_rawset(lua, -3);
  }
  PushText(lua, plan.table);
  lua_pushvalue(lua, -2);
  lua_pushvalue(lua, -2);
  lua_pushcclosure(lua, CheckColumn, 2);
  lua_setfield(lua, -4, "__index");
  lua_pushcclosure(lua, AssignColumn, 2);
  lua_setfield(lua, -2, "__newindex");
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_pushvalue(lua, -1);
  lua_rawseti(lua, -3, number);
  // A table gets a number with each of its versions; those of long ago make room.
  lua_pushnil(lua);
  lua_rawseti(lua, -3, number - kMetatablesMax);
  lua_remove(lua, -2);
}

void PushEvent(lua_State* lua, const ShownEvent& event) {
  lua_createtable(lua, 0, 4);
  PushText(lua, engine::OperationName(event.operation));
  lua_setfield(lua, -2, "operation");
  PushText(lua, event.plan.table);
  lua_setfield(lua, -2, "table");
  if (event.before.exists) {
    PushRow(lua, event, event.before);
    lua_setfield(lua, -2, "before");
  }
  if (event.after.exists) {
    PushRow(lua, event, event.after);
    lua_setfield(lua, -2, "after");
  }
}

}  // namespace pgflow::transformers
