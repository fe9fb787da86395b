#include "transformers/script/script_transformer.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"

namespace pgflow::transformers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ScriptTest : public testing::Test {
 protected:
  ScriptTest() {
    builder_.Table("public.t (id int4 key, note text, n numeric)");
    builder_.Table("public.full_t (id int4 key, note text, n numeric) full");
    builder_.Table("audit.log (id int4 key)");
  }

  static ScriptConfig Config(const std::string& body) {
    ScriptConfig config;
    config.table = "public.*";
    config.text = "function transform(event)\n" + body + "\nend";
    return config;
  }

  // The events, or the error alone.
  std::vector<std::string> Stream(const std::string& body, const std::string& script) {
    auto made = ScriptTransformer::Make(Config(body));
    if (!made.ok()) return {std::string(base::Message(made.status()))};
    engine::Batch batch = builder_.StreamBatch("begin\n" + script + "\ncommit");
    const absl::Status status = (*made)->Transform(batch);
    culprit_ = base::Payload(status, engine::kCulpritPayload);
    if (!status.ok()) return {std::string(base::Message(status))};
    return engine::Describe(batch);
  }

  engine::EventBuilder builder_;
  std::string culprit_;
};

TEST_F(ScriptTest, ChangesValues) {
  EXPECT_THAT(Stream(R"(
      local row = event.after
      if row == nil then return event end
      row.note = event.operation .. ' ' .. event.table .. ' ' .. (row.note or 'none'):upper()
      row.n = row.n and tonumber(row.n) * 2
      return event)",
                     R"(
      insert t 1 abc 1.5
      insert t 2 null null
      update full_t full(3 x 1) 3 y 2
      delete t 4
      truncate t
      insert log 5)"),
              ElementsAre("insert public.t 1 'insert public.t ABC' 3",
                          "insert public.t 2 'insert public.t NONE' null",
                          "update public.full_t full(3 x 1) 3 'update public.full_t Y' 4",
                          "delete public.t 4", "truncate public.t", "insert audit.log 5"));
}

TEST_F(ScriptTest, DropsAndSplits) {
  EXPECT_THAT(
      Stream(R"(
      if event.after.note == 'drop' then return nil end
      if event.after.note ~= 'split' then return {} end
      local second = copy(event)
      second.after.id = event.after.id + 100
      second.after.note = nil
      return {event, second, {operation = 'delete', table = event.table, before = {id = 9}}})",
             "insert t 1 drop null\ninsert t 2 split 5\ninsert t 3 other null"),
      ElementsAre("insert public.t 2 split 5", "insert public.t 102 null 5", "delete public.t 9"));
}

TEST_F(ScriptTest, KeepsWhatWasNotSent) {
  const std::string body = R"(
      if event.after.note == UNCHANGED then event.after.n = 7 end
      return event)";
  EXPECT_THAT(Stream(body, "update t 1 unchanged 5\nupdate t 2 x 5"),
              ElementsAre("update public.t 1 unchanged 7", "update public.t 2 x 5"));
  EXPECT_THAT(Stream("event.operation = 'insert' return event", "update t 1 unchanged 5"),
              ElementsAre(HasSubstr("column 'note' is UNCHANGED, which only the new row")));
  EXPECT_THAT(
      Stream("event.after.note = event.after.note .. 'x' return event", "update t 1 unchanged 5"),
      ElementsAre(HasSubstr("attempt to concatenate a userdata value")));
}

TEST_F(ScriptTest, ChangesKeysAlike) {
  EXPECT_THAT(Stream(R"(
      for _, row in ipairs({event.before or {}, event.after or {}}) do
        if row.id then row.id = row.id + 1000 end
      end
      if event.after == nil then event.before.id = event.before.id + 0 end
      return event)",
                     "insert t 1 a 1\nupdate t 1 b 1\nupdate t old(1) 2 b 1\ndelete t 2"),
              ElementsAre("insert public.t 1001 a 1", "update public.t 1001 b 1",
                          "update public.t old(1001) 1002 b 1", "delete public.t 1002"));
}

TEST_F(ScriptTest, LosesNoDigit) {
  EXPECT_THAT(Stream("event.after.note = event.after.n return event",
                     "insert t 1 x 12345678901234567890.123456789"),
              ElementsAre("insert public.t 1 12345678901234567890.123456789 "
                          "12345678901234567890.123456789"));
  EXPECT_THAT(Stream("event.after.n = 0.1 + 0.2 return event", "insert t 1 x 1"),
              ElementsAre("insert public.t 1 x 0.30000000000000004"));
}

TEST_F(ScriptTest, SaysWhatIsWrong) {
  const std::string row = "script: table public.t, row (id) = (1): ";
  EXPECT_THAT(Stream("return event.after.nope", "insert t 1 a 1"),
              ElementsAre(row + "script:2: table public.t has no column 'nope'"));
  EXPECT_EQ(culprit_, "0/100:0");
  EXPECT_THAT(Stream("event.after.nope = 1", "insert t 1 a 1"),
              ElementsAre(HasSubstr("script:2: table public.t has no column 'nope'")));
  EXPECT_THAT(Stream("event.after = {id = 1, nope = 2} return event", "insert t 1 a 1"),
              ElementsAre(row + "table public.t has no column 'nope'"));
  EXPECT_THAT(Stream("return 5", "insert t 1 a 1"),
              ElementsAre(HasSubstr("transform returned a number")));
  EXPECT_THAT(Stream("return {1}", "insert t 1 a 1"),
              ElementsAre(HasSubstr("the list that transform returned holds a number")));
  EXPECT_THAT(Stream("event.after.id = 'x' return event", "insert t 1 a 1"),
              ElementsAre(HasSubstr("'x' is no value of column 'id' (int4)")));
  EXPECT_THAT(Stream("event.after.note = {} return event", "insert t 1 a 1"),
              ElementsAre(HasSubstr("the value of column 'note' is a table")));
  EXPECT_THAT(Stream("event.table = 'public.x' return event", "insert t 1 a 1"),
              ElementsAre(HasSubstr("`route` gives rows another table")));
  EXPECT_THAT(Stream("event.operation = 'upsert' return event", "insert t 1 a 1"),
              ElementsAre(HasSubstr("the operation 'upsert' cannot come of 'insert'")));
  EXPECT_THAT(Stream("event.after = nil return event", "insert t 1 a 1"),
              ElementsAre(HasSubstr("it has no row `after`")));
  EXPECT_THAT(Stream("\n\nreturn nil + 1", "insert t 1 a 1"),
              ElementsAre(HasSubstr("script:4: attempt to perform arithmetic on a nil value")));
}

TEST_F(ScriptTest, IsCheckedBeforeItRuns) {
  const auto refusal = [](ScriptConfig config) {
    return std::string(base::Message(ScriptTransformer::Make(std::move(config)).status()));
  };
  EXPECT_THAT(refusal(Config("return return")), HasSubstr("script:2: "));
  ScriptConfig config;
  config.text = "local x = 1";
  EXPECT_EQ(refusal(config), "script: it defines no function transform(event)");
  config.file = "rules.lua";
  EXPECT_THAT(refusal(config), HasSubstr("either `text` or `file`"));
  config.text.reset();
  EXPECT_THAT(refusal(config), HasSubstr("rules.lua"));
  config = Config("return event");
  config.table = "t";
  EXPECT_THAT(refusal(config), HasSubstr("write 'public.t'"));
  EXPECT_EQ(ScriptType().describe().fields.size(), 5U);
}

TEST_F(ScriptTest, WorksOnSnapshots) {
  auto script = *ScriptTransformer::Make(Config(R"(
      if event.after.id == '2' then return nil end
      event.after.note = event.operation
      event.after.id = event.after.id + 1
      return event)"));
  builder_.Table("public.s (id int4 key, note text)");
  for (const auto format : {engine::CopyFormat::kText, engine::CopyFormat::kBinary}) {
    engine::Batch rows = builder_.Snapshot("s", "1 a\n2 b\n3 null", format);
    ASSERT_TRUE(script->Transform(rows).ok());
    EXPECT_THAT(engine::Describe(rows),
                ElementsAre("read public.s 2 read", "read public.s 4 read"));
    std::vector<schemas::Value> values;
    (*rows.Events())[0].after.Decode(values);
    EXPECT_EQ(values[0].kind, format == engine::CopyFormat::kBinary ? schemas::ValueKind::kBinary
                                                                    : schemas::ValueKind::kText);
  }
  engine::Batch rows = builder_.Snapshot("log", "1");
  ASSERT_TRUE(script->Transform(rows).ok());
  EXPECT_NE(rows.raw_rows(), nullptr);
}

TEST_F(ScriptTest, RunsInSeveralThreads) {
  auto script =
      *ScriptTransformer::Make(Config("event.after.note = ('x'):rep(event.after.id) return event"));
  std::vector<engine::Batch> batches;
  batches.reserve(4);
  for (int i = 1; i <= 4; ++i) {
    batches.push_back(builder_.StreamBatch(fmt::format("begin\ninsert t {} a null\ncommit", i)));
  }
  {
    std::vector<std::jthread> threads;
    threads.reserve(batches.size());
    for (engine::Batch& batch : batches) {
      threads.emplace_back([&] { EXPECT_TRUE(script->Transform(batch).ok()); });
    }
  }
  EXPECT_THAT(engine::Describe(batches[2]), ElementsAre("insert public.t 3 xxx null"));
}

}  // namespace
}  // namespace pgflow::transformers
