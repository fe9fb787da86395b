#include "transformers/script/lua_sandbox.h"

#include <cstdlib>
#include <ctime>
#include <lua.hpp>

#include "base/status.h"
#include "transformers/script/event_table.h"

namespace pgflow::transformers {
namespace {

constexpr int kTickInstructions = 1000;

// Keys of the registry.
constexpr const char* kGlobals = "pgflow.globals";

absl::Duration ThreadTime() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

// What a script is not to have: ways to files, code and other people's tables, and what gives
// another result when a row comes again.
constexpr const char* kForbidden[] = {"collectgarbage", "dofile",  "load", "loadfile", "print",
                                      "rawset",         "require", "warn", "_G"};
struct ForbiddenMember {
  const char* library;
  const char* name;
};
constexpr ForbiddenMember kForbiddenMembers[] = {
    {"string", "dump"}, {"math", "random"}, {"math", "randomseed"}};

// setmetatable without finalizers: Lua runs those with hooks switched off, out of reach of the time
// limit. The upvalue is Lua's own function.
int SetMetatable(lua_State* lua) {
  luaL_checkany(lua, 2);
  lua_settop(lua, 2);
  if (lua_istable(lua, 2)) {
    lua_pushliteral(lua, "__gc");
    if (lua_rawget(lua, 2) != LUA_TNIL) return luaL_error(lua, "a script may have no __gc");
    lua_settop(lua, 2);
  }
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_call(lua, 2, 1);
  return 1;
}

void OpenLibraries(lua_State* lua) {
  luaL_requiref(lua, "_G", luaopen_base, 1);
  luaL_requiref(lua, "string", luaopen_string, 1);
  luaL_requiref(lua, "table", luaopen_table, 1);
  luaL_requiref(lua, "math", luaopen_math, 1);
  luaL_requiref(lua, "utf8", luaopen_utf8, 1);
  lua_settop(lua, 0);
  lua_pushnil(lua);
  lua_setfield(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (const char* name : kForbidden) {
    lua_pushnil(lua);
    lua_setglobal(lua, name);
  }
  for (const ForbiddenMember& member : kForbiddenMembers) {
    lua_getglobal(lua, member.library);
    lua_pushnil(lua);
    lua_setfield(lua, -2, member.name);
    lua_pop(lua, 1);
  }
  lua_getglobal(lua, "setmetatable");
  lua_pushcclosure(lua, SetMetatable, 1);
  lua_setglobal(lua, "setmetatable");
  // The table of methods that all strings share is not for changing.
  lua_pushstring(lua, "");
  lua_getmetatable(lua, -1);
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_settop(lua, 0);
}

int RefuseGlobal(lua_State* lua) {
  const char* name = lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "?";
  return luaL_error(lua,
                    "'%s' is assigned as a global variable; a script keeps nothing from row to "
                    "row: write 'local %s'",
                    name, name);
}

// While the text's own statements run, its globals are defined.
int DefineGlobal(lua_State* lua) {
  lua_getfield(lua, LUA_REGISTRYINDEX, kGlobals);
  lua_replace(lua, 1);
  lua_rawset(lua, 1);
  return 0;
}

struct Source {
  const std::string& text;
  const std::string& chunk_name;
};

// The text sees an empty table that reads through to the real globals and decides about
// assignments.
int LoadSource(lua_State* lua) {
  const auto* source = static_cast<const Source*>(lua_touserdata(lua, 1));
  OpenLibraries(lua);
  DefineEventGlobals(lua);
  lua_pushglobaltable(lua);
  lua_setfield(lua, LUA_REGISTRYINDEX, kGlobals);
  if (luaL_loadbufferx(lua, source->text.data(), source->text.size(), source->chunk_name.c_str(),
                       "t") != LUA_OK) {
    return lua_error(lua);
  }
  lua_newtable(lua);
  lua_newtable(lua);
  lua_pushglobaltable(lua);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, DefineGlobal);
  lua_setfield(lua, -2, "__newindex");
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_pushvalue(lua, -1);
  lua_insert(lua, 1);
  lua_setmetatable(lua, -2);
  lua_setupvalue(lua, -2, 1);
  lua_call(lua, 0, 0);
  lua_pushcfunction(lua, RefuseGlobal);
  lua_setfield(lua, 1, "__newindex");
  if (lua_getglobal(lua, "transform") != LUA_TFUNCTION) {
    return luaL_error(lua, "it defines no function transform(event)");
  }
  return 0;
}

}  // namespace

void PushTransform(lua_State* lua) { lua_getglobal(lua, "transform"); }

void* LuaSandbox::Allocate(void* self, void* block, size_t old_size, size_t new_size) {
  auto* sandbox = static_cast<LuaSandbox*>(self);
  // For a new block Lua passes the kind of its object as the old size.
  const size_t had = block == nullptr ? 0 : old_size;
  if (new_size == 0) {
    std::free(block);
    sandbox->memory_bytes_ -= had;
    return nullptr;
  }
  const size_t after = sandbox->memory_bytes_ - had + new_size;
  if (new_size > had && after > sandbox->limits_.memory_bytes_max) return nullptr;
  void* moved = std::realloc(block, new_size);
  if (moved != nullptr) sandbox->memory_bytes_ = after;
  return moved;
}

void LuaSandbox::Tick(lua_State* lua, lua_Debug*) {
  void* self = nullptr;
  lua_getallocf(lua, &self);
  if (ThreadTime() < static_cast<const LuaSandbox*>(self)->deadline_) return;
  // From here on every instruction fails: also the one behind a pcall that swallowed the error.
  lua_sethook(lua, &LuaSandbox::Tick, LUA_MASKCOUNT, 1);
  luaL_where(lua, 0);  // In a hook, the function that it interrupts.
  lua_pushliteral(lua, "it takes longer than its time limit");
  lua_concat(lua, 2);
  lua_error(lua);
}

absl::StatusOr<std::unique_ptr<LuaSandbox>> LuaSandbox::Make(const std::string& text,
                                                             const std::string& name,
                                                             SandboxLimits limits) {
  std::unique_ptr<LuaSandbox> sandbox(new LuaSandbox(limits));
  PGFLOW_RETURN_IF_ERROR(sandbox->Start(text, name));
  return sandbox;
}

LuaSandbox::~LuaSandbox() {
  if (lua_ != nullptr) lua_close(lua_);
}

absl::Status LuaSandbox::Start(const std::string& text, const std::string& name) {
  lua_ = lua_newstate(&LuaSandbox::Allocate, this);
  if (lua_ == nullptr) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "{}: its memory limit leaves no room for Lua itself", name);
  }
  const std::string chunk_name = "=" + name;
  const Source source{text, chunk_name};
  const absl::Status loaded =
      Call(&LoadSource, const_cast<Source*>(&source));  // Lua knows only one kind of pointer.
  const bool placed = base::Message(loaded).starts_with(name + ":");
  return loaded.ok() || placed ? loaded : base::Annotate(loaded, name);
}

absl::Status LuaSandbox::Call(int (*function)(lua_State*), void* argument) {
  deadline_ = ThreadTime() + limits_.time_max;
  lua_settop(lua_, 0);
  lua_sethook(lua_, &LuaSandbox::Tick, LUA_MASKCOUNT, kTickInstructions);
  lua_pushcfunction(lua_, function);
  lua_pushlightuserdata(lua_, argument);
  const int outcome = lua_pcall(lua_, 1, 0, 0);
  lua_sethook(lua_, nullptr, 0, 0);
  if (outcome == LUA_OK) return absl::OkStatus();
  std::string message = "it needs more memory than its limit";
  if (outcome != LUA_ERRMEM) {
    const bool text = lua_type(lua_, -1) == LUA_TSTRING;  // Of anything else it may raise, no text.
    message = text ? lua_tostring(lua_, -1) : "it raised an error that is no text";
  }
  lua_settop(lua_, 0);
  return absl::InvalidArgumentError(message);
}

}  // namespace pgflow::transformers
