// LuaSandbox: one Lua state in which a script can calculate, and nothing else: no files, no
// processes, no clock, no random numbers, no debugger, no loading of code, no memory or time beyond
// its limits, and nothing that it keeps from call to call in global variables.
//
// Owns the state. One thread. Everything that may raise a Lua error runs inside Call: Lua's errors
// jump over C++ frames, so that a function called there holds nothing that needs a destructor.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

struct lua_Debug;
struct lua_State;

namespace pgflow::transformers {

struct SandboxLimits {
  size_t memory_bytes_max = 0;
  // Of the thread's CPU, for one call: a machine that is busy with other things does not end it. A
  // single call of a library's function is not interrupted.
  absl::Duration time_max;
};

class LuaSandbox {
 public:
  // The text's own statements run once, here. `name` is what messages call it. kInvalidArgument:
  // it does not compile, fails, or has no function `transform`.
  static absl::StatusOr<std::unique_ptr<LuaSandbox>> Make(const std::string& text,
                                                          const std::string& name,
                                                          SandboxLimits limits);
  ~LuaSandbox();
  LuaSandbox(const LuaSandbox&) = delete;
  LuaSandbox& operator=(const LuaSandbox&) = delete;

  // Runs `function` with `argument` as its only argument, a light userdata, within the limits.
  // kInvalidArgument: what it raised, "rules.lua:3: ...".
  absl::Status Call(int (*function)(lua_State*), void* argument);

 private:
  explicit LuaSandbox(SandboxLimits limits) : limits_(limits) {}
  absl::Status Start(const std::string& text, const std::string& name);
  static void* Allocate(void* self, void* block, size_t old_size, size_t new_size);
  static void Tick(lua_State* lua, lua_Debug* record);

  const SandboxLimits limits_;
  size_t memory_bytes_ = 0;
  absl::Duration deadline_;  // On the clock of the thread's CPU time.
  lua_State* lua_ = nullptr;
};

// The global function `transform` onto the stack. Inside Call.
void PushTransform(lua_State* lua);

}  // namespace pgflow::transformers
