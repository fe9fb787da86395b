#include "schemas/ddl/ddl_script.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/status.h"

namespace pgflow::schemas {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

// States as ddl_capture.sql sends them, with what these tests need.
Json Column(int number, const std::string& name, const std::string& type, int type_oid) {
  return {{"number", number},    {"name", name},      {"type", type}, {"type_oid", type_oid},
          {"type_modifier", -1}, {"not_null", false}, {"local", true}};
}

Json Id() {
  Json id = Column(1, "id", "integer", 23);
  id["not_null"] = true;
  return id;
}

Json Table(std::vector<Json> columns, const std::string& name = "orders") {
  return {{"object", "table"},
          {"oid", 16384},
          {"schema", "shop"},
          {"name", name},
          {"partitioned", false},
          {"persistence", "p"},
          {"owner", "app"},
          {"grants", Json::array()},
          {"default_grants", true},
          {"row_security", false},
          {"force_row_security", false},
          {"identity", "d"},
          {"columns", std::move(columns)},
          {"constraints", Json::array()},
          {"indexes", Json::array()},
          {"triggers", Json::array()},
          {"policies", Json::array()},
          {"rules", Json::array()},
          {"statistics", Json::array()}};
}

Json Message(const Json& before, const Json& after, const std::string& tag = "ALTER TABLE") {
  Json message = {{"tag", tag}, {"cascade", false}};
  if (!before.is_null()) message["before"] = before;
  if (!after.is_null()) message["after"] = after;
  return message;
}

std::vector<std::string> Statements(const Json& message) {
  const absl::StatusOr<DdlScript> script = PlanDdl(message.dump());
  EXPECT_TRUE(script.ok()) << script.status();
  std::vector<std::string> statements;
  if (!script.ok()) return statements;
  for (const DdlStatement& statement : script->statements) statements.push_back(statement.sql);
  return statements;
}

TEST(DdlScriptTest, TellsARenamedColumnFromADroppedAndAnAddedOne) {
  const Json before = Table({Id(), Column(2, "note", "text", 25)});
  EXPECT_THAT(Statements(Message(before, Table({Id(), Column(2, "remark", "text", 25)}))),
              ElementsAre("ALTER TABLE \"shop\".\"orders\" RENAME COLUMN \"note\" TO \"remark\""));
  EXPECT_THAT(
      Statements(Message(before, Table({Id(), Column(3, "note", "text", 25)}))),
      ElementsAre("ALTER TABLE \"shop\".\"orders\" DROP COLUMN IF EXISTS \"note\"",
                  "ALTER TABLE \"shop\".\"orders\" ADD COLUMN IF NOT EXISTS \"note\" text"));
}

TEST(DdlScriptTest, AnAddedColumnHasTheSourcesValueInOldRows) {
  Json added = Column(2, "at", "timestamp with time zone", 1184);
  added["missing"] = "2026-11-22 10:00:00+00";
  added["default"] = "now()";
  EXPECT_THAT(
      Statements(Message(Table({Id()}), Table({Id(), added}))),
      ElementsAre("ALTER TABLE \"shop\".\"orders\" ADD COLUMN IF NOT EXISTS \"at\" timestamp "
                  "with time zone DEFAULT '2026-11-22 10:00:00+00'::timestamp with time "
                  "zone",
                  "ALTER TABLE \"shop\".\"orders\" ALTER COLUMN \"at\" SET DEFAULT now()"));
}

TEST(DdlScriptTest, NothingChangedIsNothingToDo) {
  EXPECT_THAT(Statements(Message(Table({Id()}), Table({Id()}))), IsEmpty());
}

TEST(DdlScriptTest, ARenamedTableAndADroppedOne) {
  EXPECT_THAT(Statements(Message(Table({Id()}), Table({Id()}, "orders \"2\""))),
              ElementsAre("ALTER TABLE \"shop\".\"orders\" RENAME TO \"orders \"\"2\"\"\""));
  EXPECT_THAT(Statements(Message(Table({Id()}), nullptr, "DROP TABLE")),
              ElementsAre("DROP TABLE IF EXISTS \"shop\".\"orders\""));
}

TEST(DdlScriptTest, AConstraintThatIsReplaced) {
  Json before = Table({Id()});
  Json after = before;
  before["constraints"] = {{{"oid", 1},
                            {"name", "positive"},
                            {"type", "c"},
                            {"definition", "CHECK ((id > 0))"},
                            {"validated", true},
                            {"inherited", false},
                            {"columns", {1}}}};
  after["constraints"] = {{{"oid", 2},
                           {"name", "small"},
                           {"type", "c"},
                           {"definition", "CHECK ((id < 9)) NOT VALID"},
                           {"validated", false},
                           {"inherited", false},
                           {"columns", {1}}}};
  EXPECT_THAT(
      Statements(Message(before, after)),
      ElementsAre("ALTER TABLE \"shop\".\"orders\" DROP CONSTRAINT IF EXISTS \"positive\"",
                  "ALTER TABLE \"shop\".\"orders\" ADD CONSTRAINT \"small\" CHECK ((id < 9)) NOT "
                  "VALID"));
}

TEST(DdlScriptTest, AStatementTravelsAsTextOnlyWhenItStoodAlone) {
  Json message = {{"tag", "CREATE CAST"},   {"object", "cast"},
                  {"identity", "(a AS b)"}, {"statement", "CREATE CAST (a AS b) WITHOUT FUNCTION;"},
                  {"top_level", true},      {"search_path", "shop"}};
  EXPECT_THAT(Statements(message),
              ElementsAre("SELECT pg_catalog.set_config('search_path', 'shop', true)",
                          "CREATE CAST (a AS b) WITHOUT FUNCTION",
                          "SELECT pg_catalog.set_config('search_path', 'pg_catalog', true)"));
  for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{
           {"statement", "BEGIN; CREATE CAST (a AS b) WITHOUT FUNCTION; COMMIT"},
           {"top_level", false}}) {
    Json part = message;
    part[key] = value;
    const absl::StatusOr<DdlScript> script = PlanDdl(part.dump());
    ASSERT_TRUE(script.ok()) << script.status();
    EXPECT_THAT(script->statements, IsEmpty());
    ASSERT_EQ(script->warnings.size(), 1u);
    EXPECT_NE(script->warnings[0].find("run it on the target yourself"), std::string::npos);
  }
}

TEST(DdlScriptTest, AFailedCaptureSaysWhy) {
  const Json message = {{"tag", "ALTER TABLE"}, {"error", "deadlock detected"}, {"query", "ALTER"}};
  EXPECT_FALSE(ReadDdlSubject(message.dump())->captured);
  const absl::Status status = PlanDdl(message.dump()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(base::Message(status).find("deadlock detected"), std::string_view::npos) << status;
}

TEST(DdlScriptTest, MalformedMessagesAreRefused) {
  for (const char* message : {"", "{", "[]", R"({"tag": 3})",
                              R"({"tag": "ALTER TABLE", "after": {"object": "table"}})"}) {
    EXPECT_EQ(PlanDdl(message).status().code(), absl::StatusCode::kDataLoss) << message;
  }
}

}  // namespace
}  // namespace pgflow::schemas
