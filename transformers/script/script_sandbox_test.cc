// What a script must not be able to do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"
#include "transformers/script/script_transformer.h"

namespace pgflow::transformers {
namespace {

using ::testing::HasSubstr;

class SandboxTest : public testing::Test {
 protected:
  SandboxTest() { builder_.Table("public.t (id int4 key, note text)"); }

  // What becomes of one row under `body`, the body of transform: its note, or the error.
  std::string Run(const std::string& body) {
    ScriptConfig config;
    config.text = "function transform(event)\n" + body + "\nreturn event end";
    return RunWhole(std::move(config));
  }

  std::string RunWhole(ScriptConfig config) {
    config.memory = {2 << 20};
    config.time = absl::Milliseconds(50);
    auto made = ScriptTransformer::Make(std::move(config));
    if (!made.ok()) return std::string(base::Message(made.status()));
    engine::Batch batch = builder_.StreamBatch("begin\ninsert t 1 a\ncommit");
    const absl::Status status = (*made)->Transform(batch);
    if (!status.ok()) return std::string(base::Message(status));
    const std::vector<std::string> events = engine::Describe(batch);
    return events.empty() ? "" : events.front();
  }

  engine::EventBuilder builder_;
};

TEST_F(SandboxTest, HasNothingThatReachesOutside) {
  for (const char* name : {"io", "os", "debug", "package", "require", "load", "loadfile", "dofile",
                           "collectgarbage", "coroutine", "rawset", "print", "warn", "_G",
                           "string.dump", "math.random", "math.randomseed"}) {
    EXPECT_EQ(Run(fmt::format("event.after.note = type({})", name)), "insert public.t 1 nil")
        << name;
  }
  EXPECT_EQ(Run("event.after.note = type(_ENV._G) .. type(_ENV.os) .. type(_ENV.load)"),
            "insert public.t 1 nilnilnil");
}

TEST_F(SandboxTest, CannotReachTheTablesOfOthers) {
  EXPECT_EQ(Run("event.after.note = tostring(getmetatable(''))"), "insert public.t 1 false");
  EXPECT_EQ(Run("event.after.note = tostring(getmetatable(event.after))"),
            "insert public.t 1 false");
  EXPECT_EQ(Run("event.after.note = tostring(getmetatable(_ENV))"), "insert public.t 1 false");
  EXPECT_THAT(Run("setmetatable(event.after, {})"), HasSubstr("protected metatable"));
  EXPECT_THAT(Run("count = 1"), HasSubstr("script:2: 'count' is assigned as a global variable"));
  EXPECT_THAT(Run("transform = nil"), HasSubstr("'transform' is assigned"));
}

TEST_F(SandboxTest, ReadsNoBytecode) {
  ScriptConfig config;
  config.text = "\x1bLua";
  EXPECT_THAT(RunWhole(config), HasSubstr("attempt to load a binary chunk"));
}

TEST_F(SandboxTest, StopsAnEndlessLoop) {
  EXPECT_THAT(Run("while true do end"),
              HasSubstr("script: table public.t, row (id) = (1): script:2: it takes longer than"));
  EXPECT_THAT(Run("local function f() return f() end f()"),
              HasSubstr("longer than its time limit"));
  // An error that is caught comes again.
  EXPECT_THAT(Run("while true do pcall(function() while true do end end) end"),
              HasSubstr("longer than its time limit"));
  EXPECT_THAT(Run("setmetatable({}, {__gc = function() while true do end end}) "
                  "local t = {} for i = 1, 1e6 do t[i % 10] = {i} end"),
              HasSubstr("script:2: a script may have no __gc"));
  ScriptConfig config;
  config.text = "while true do end";
  EXPECT_THAT(RunWhole(config), HasSubstr("script:1: it takes longer than its time limit"));
}

TEST_F(SandboxTest, StopsAMemoryBomb) {
  const std::string bomb = "it needs more memory than its limit";
  EXPECT_THAT(Run("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end"),
              HasSubstr(bomb));
  EXPECT_THAT(Run("local s = ('x'):rep(1 << 40)"),
              ::testing::AnyOf(HasSubstr(bomb), HasSubstr("too large")));
  EXPECT_THAT(Run("local s = 'x' while true do s = s .. s end"), HasSubstr(bomb));
  EXPECT_THAT(Run("local function f() return 1 + f() end f()"), HasSubstr(bomb));
  EXPECT_THAT(Run("local t = {} for i = 1, 1e7 do t[i] = i end"), HasSubstr(bomb));
  ScriptConfig config;
  config.text = "local s = ('x'):rep(10 << 20) function transform(e) return e end";
  EXPECT_THAT(RunWhole(config), HasSubstr("script: " + bomb));
}

TEST_F(SandboxTest, GoesOnAfterAnError) {
  ScriptConfig config;
  config.text = "function transform(e) if e.after.id == '1' then error('no') end return e end";
  auto script = *ScriptTransformer::Make(config);
  for (const std::string id : {"1", "2", "1", "3"}) {
    engine::Batch batch = builder_.StreamBatch("begin\ninsert t " + id + " a\ncommit");
    EXPECT_EQ(script->Transform(batch).ok(), id != "1");
  }
  EXPECT_THAT(Run("error({})"), HasSubstr("an error that is no text"));
}

}  // namespace
}  // namespace pgflow::transformers
