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

// States as ddl_capture/ sends them, with what these tests need.
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

// What servers of before version 18 run instead, each behind what they are told.
std::vector<std::string> OnVersion15(const Json& message) {
  const absl::StatusOr<DdlScript> script = PlanDdl(message.dump());
  EXPECT_TRUE(script.ok()) << script.status();
  std::vector<std::string> statements;
  if (!script.ok()) return statements;
  for (const DdlStatement& statement : script->statements) {
    const bool too_old = statement.since > 150000;
    if (too_old && !statement.loss.empty()) statements.push_back("-- " + statement.loss);
    const std::string& sql = too_old ? statement.older_sql : statement.sql;
    if (!sql.empty()) statements.push_back(sql);
  }
  return statements;
}

Json Constraint(const std::string& name, const std::string& type, const std::string& definition,
                bool validated = true) {
  return {{"oid", 16400}, {"name", name},           {"type", type},      {"definition", definition},
          {"risk", ""},   {"validated", validated}, {"inherited", false}};
}

TEST(DdlScriptTest, OlderServersGetAVirtualColumnAsAStoredOne) {
  Json twice = Column(2, "twice", "integer", 23);
  twice["generated"] = "v";
  twice["default"] = "(id * 2)";
  const Json added = Message(Table({Id()}), Table({Id(), twice}));
  EXPECT_THAT(Statements(added),
              ElementsAre("ALTER TABLE \"shop\".\"orders\" ADD COLUMN IF NOT EXISTS \"twice\" "
                          "integer GENERATED ALWAYS AS ((id * 2)) VIRTUAL"));
  EXPECT_THAT(OnVersion15(added),
              ElementsAre("-- column twice: servers before version 18 have no virtual generated "
                          "columns: it becomes a stored one",
                          "ALTER TABLE \"shop\".\"orders\" ADD COLUMN IF NOT EXISTS \"twice\" "
                          "integer GENERATED ALWAYS AS ((id * 2)) STORED"));
}

TEST(DdlScriptTest, OlderServersDoWithoutConstraintsThatTheyCannotHave) {
  Json before = Table({Id()});
  Json after = before;
  after["constraints"] =
      Json::array({Constraint("low", "c", "CHECK ((id < 9)) NOT ENFORCED", false)});
  EXPECT_THAT(Statements(Message(before, after)),
              ElementsAre("ALTER TABLE \"shop\".\"orders\" ADD CONSTRAINT \"low\" CHECK ((id < 9)) "
                          "NOT ENFORCED"));
  EXPECT_THAT(OnVersion15(Message(before, after)),
              ElementsAre("-- constraint low: servers before version 18 have none that are NOT "
                          "ENFORCED: it is left out"));
  // What is said of one that is not there is not said there.
  before = after;
  after["constraints"][0]["name"] = "small";
  EXPECT_THAT(OnVersion15(Message(before, after)), IsEmpty());
  // Text that only looks like it.
  after["constraints"] = Json::array({Constraint("word", "c", "CHECK ((w <> ' NOT ENFORCED'))")});
  EXPECT_THAT(OnVersion15(Message(Table({Id()}), after)),
              ElementsAre("ALTER TABLE \"shop\".\"orders\" ADD CONSTRAINT \"word\" CHECK ((w <> ' "
                          "NOT ENFORCED'))"));
}

TEST(DdlScriptTest, OlderServersGetAKeyWithoutOverlapsAsAPlainOne) {
  Json after = Table({Id()});
  after["constraints"] = Json::array(
      {Constraint("k", "p", "PRIMARY KEY (id, \"a WITHOUT OVERLAPS\" WITHOUT OVERLAPS)")});
  EXPECT_THAT(
      OnVersion15(Message(Table({Id()}), after)),
      ElementsAre("-- constraint k: servers before version 18 do not know WITHOUT OVERLAPS: "
                  "the key is made without it",
                  "ALTER TABLE \"shop\".\"orders\" ADD CONSTRAINT \"k\" PRIMARY KEY (id, "
                  "\"a WITHOUT OVERLAPS\")"));
  after["constraints"] = Json::array(
      {Constraint("f", "f", "FOREIGN KEY (id, PERIOD at) REFERENCES shop.k(id, PERIOD at)")});
  EXPECT_THAT(OnVersion15(Message(Table({Id()}), after)),
              ElementsAre("-- constraint f: servers before version 18 have no foreign keys with "
                          "PERIOD: it is left out"));
}

TEST(DdlScriptTest, ARuleIsRenamed) {
  Json before = Table({Id()});
  before["rules"] = Json::array({{{"oid", 16500},
                                  {"name", "a AS b"},
                                  {"definition", "CREATE RULE \"a AS b\" AS ON DELETE DO NOTHING"},
                                  {"enabled", "O"}}});
  Json after = before;
  after["rules"][0]["name"] = "c";
  after["rules"][0]["definition"] = "CREATE RULE c AS ON DELETE DO NOTHING";
  EXPECT_THAT(Statements(Message(before, after)),
              ElementsAre("ALTER RULE \"a AS b\" ON \"shop\".\"orders\" RENAME TO \"c\""));
  after["rules"][0]["definition"] = "CREATE RULE c AS ON UPDATE DO NOTHING";
  EXPECT_THAT(Statements(Message(before, after)),
              ElementsAre("DROP RULE IF EXISTS \"a AS b\" ON \"shop\".\"orders\"",
                          "CREATE RULE c AS ON UPDATE DO NOTHING"));
}

TEST(DdlScriptTest, AStatementTravelsAsTextOnlyWhenItStoodAlone) {
  Json message = {{"tag", "CREATE CAST"},   {"object", "cast"},
                  {"identity", "(a AS b)"}, {"statement", "CREATE CAST (a AS b) WITHOUT FUNCTION;"},
                  {"top_level", true},      {"search_path", "shop"},
                  {"role", "app"}};
  EXPECT_THAT(Statements(message),
              ElementsAre("SELECT pg_catalog.set_config('search_path', 'shop', true)",
                          "SET LOCAL ROLE \"app\";\nCREATE CAST (a AS b) WITHOUT FUNCTION\n;"
                          "RESET ROLE",
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

Json Trigger(const std::string& enabled) {
  return {{"oid", 7},
          {"name", "audit"},
          {"enabled", enabled},
          {"definition", "CREATE TRIGGER audit"},
          {"risk", "shop.f()"}};
}

TEST(DdlScriptTest, ATriggerThatWouldFireForTheSinkIsLeftOut) {
  const auto statements_of = [](const std::string& enabled, const DdlTrust& trust) {
    Json after = Table({Id()});
    after["triggers"] = {Trigger(enabled)};
    const absl::StatusOr<DdlScript> script = PlanDdl(Message(Table({Id()}), after).dump(), trust);
    EXPECT_TRUE(script.ok()) << script.status();
    EXPECT_EQ(script->statements.empty(), script->warnings.size() == 1);
    return script->statements.size();
  };
  EXPECT_EQ(statements_of("A", {.fires_as_replica = true}), 0U);
  EXPECT_EQ(statements_of("R", {.fires_as_replica = true}), 0U);
  EXPECT_EQ(statements_of("O", {.fires_as_replica = true}), 2U);
  EXPECT_EQ(statements_of("O", {}), 0U);
  EXPECT_EQ(statements_of("A", {.everybody = true}), 3U);
  // One that was harmless, and is no longer.
  Json before = Table({Id()});
  before["triggers"] = {Trigger("O")};
  Json after = Table({Id()});
  after["triggers"] = {Trigger("A")};
  const auto script = PlanDdl(Message(before, after).dump(), {.fires_as_replica = true});
  ASSERT_TRUE(script.ok()) << script.status();
  ASSERT_EQ(script->statements.size(), 1U);
  EXPECT_TRUE(script->statements[0].sql.starts_with("DROP TRIGGER IF EXISTS \"audit\""));
}

TEST(DdlScriptTest, ExpressionsThatWouldRunForTheSinkAreLeftOut) {
  Json after = Table({Id()});
  after["constraints"] = {{{"oid", 2},
                           {"name", "checked"},
                           {"type", "c"},
                           {"definition", "CHECK (shop.f(id))"},
                           {"validated", true},
                           {"risk", "shop.f(integer)"}}};
  after["indexes"] = {
      {{"oid", 3}, {"name", "by_f"}, {"definition", "CREATE INDEX"}, {"risk", "shop.f(integer)"}}};
  after["policies"] = {{{"oid", 4}, {"name", "p"}, {"risk", "shop.f(integer)"}}};
  after["columns"][0]["default"] = "shop.f()";
  after["columns"][0]["risk"] = "shop.f()";
  const absl::StatusOr<DdlScript> script = PlanDdl(Message(Table({Id()}), after).dump());
  ASSERT_TRUE(script.ok()) << script.status();
  EXPECT_THAT(script->statements, IsEmpty());
  EXPECT_EQ(script->warnings.size(), 3U);
  Json generated = Column(2, "g", "integer", 23);
  generated["generated"] = "s";
  generated["default"] = "shop.f(id)";
  generated["risk"] = "shop.f(integer)";
  const Json message = Message(Table({Id()}), Table({Id(), generated}));
  EXPECT_NE(PlanDdl(message.dump())->refused, "");
  EXPECT_EQ(PlanDdl(message.dump(), {.everybody = true})->refused, "");
}

TEST(DdlScriptTest, AFunctionArrivesWithItsOwnerOrNotAtAll) {
  const Json routine = {{"object", "function"},
                        {"schema", "shop"},
                        {"name", "f"},
                        {"arguments", "a integer"},
                        {"definition", "CREATE OR REPLACE FUNCTION shop.f(a integer)"},
                        {"whole_signature", "shop.f(integer)"},
                        {"owner", "o'wner"},
                        {"default_grants", true}};
  const auto script = PlanDdl(Message(nullptr, routine, "CREATE FUNCTION").dump());
  ASSERT_TRUE(script.ok()) << script.status();
  ASSERT_FALSE(script->statements.empty());
  const DdlStatement& whole = script->statements[0];
  EXPECT_EQ(whole.sql,
            "CREATE OR REPLACE FUNCTION shop.f(a integer);\nALTER FUNCTION \"shop\".\"f\"(a "
            "integer) OWNER TO \"o'wner\"");
  EXPECT_TRUE(whole.best_effort);
  EXPECT_NE(whole.left_out_when.find("proowner) <> 'o''wner'"), std::string::npos)
      << whole.left_out_when;
  const auto dropped = PlanDdl(Message(routine, nullptr, "DROP FUNCTION").dump());
  ASSERT_EQ(dropped->statements.size(), 1U);
  EXPECT_NE(dropped->statements[0].left_out_when, "");
}

TEST(DdlScriptTest, AMaterializedViewIsFilledAsItsOwner) {
  const Json view = {
      {"object", "materialized view"}, {"schema", "shop"},        {"name", "m"},
      {"definition", "SELECT 1;"},     {"owner", "app"},          {"populated", true},
      {"default_grants", true},        {"columns", Json::array()}};
  const auto script = PlanDdl(Message(nullptr, view, "CREATE MATERIALIZED VIEW").dump());
  ASSERT_TRUE(script.ok()) << script.status();
  ASSERT_FALSE(script->statements.empty());
  EXPECT_EQ(script->statements[0].sql,
            "CREATE MATERIALIZED VIEW \"shop\".\"m\" AS SELECT 1 WITH NO DATA;\nALTER MATERIALIZED "
            "VIEW \"shop\".\"m\" OWNER TO \"app\";\nREFRESH MATERIALIZED VIEW \"shop\".\"m\"");
}

Json OperatorState(const std::string& owner, bool of_superuser) {
  return {{"object", "operator"},
          {"schema", "shop"},
          {"name", "==="},
          {"suffix", " (integer, integer)"},
          {"definition", "CREATE OPERATOR shop.=== (FUNCTION = int4eq)"},
          {"alter", Json::array({"SET (RESTRICT = NONE)"})},
          {"catalog", "pg_operator"},
          {"address", "shop.===(integer,integer)"},
          {"owner", owner},
          {"of_superuser", of_superuser},
          {"default_grants", true}};
}

TEST(DdlScriptTest, AnOperatorIsMadeAsTheUserWhoOwnsItUnlessThatIsASuperuser) {
  EXPECT_THAT(Statements(Message(nullptr, OperatorState("postgres", true))),
              ElementsAre("CREATE OPERATOR shop.=== (FUNCTION = int4eq)",
                          "ALTER OPERATOR \"shop\".=== (integer, integer) OWNER TO \"postgres\""));
  const std::vector<std::string> statements =
      Statements(Message(nullptr, OperatorState("app", false)));
  ASSERT_EQ(statements.size(), 2U);
  EXPECT_EQ(statements[0],
            "SET LOCAL ROLE \"app\";\nCREATE OPERATOR shop.=== (FUNCTION = int4eq);\nRESET ROLE");
  // It is given away by the sink, unless somebody else has it on the target.
  const absl::StatusOr<DdlScript> script =
      PlanDdl(Message(OperatorState("app", false), OperatorState("other", false)).dump());
  ASSERT_TRUE(script.ok());
  ASSERT_EQ(script->statements.size(), 1U);
  EXPECT_NE(script->statements[0].left_out_when.find("pg_get_userbyid(o.oprowner) <> 'app'"),
            std::string::npos);
}

TEST(DdlScriptTest, AnOperatorThatChanges) {
  const Json before = OperatorState("postgres", true);
  Json after = before;
  after["alter"] = Json::array({"SET (RESTRICT = eqsel)"});
  after["schema"] = "parts";
  EXPECT_THAT(
      Statements(Message(before, after)),
      ElementsAre("ALTER OPERATOR \"shop\".=== (integer, integer) SET SCHEMA \"parts\"",
                  "ALTER OPERATOR \"parts\".=== (integer, integer) SET (RESTRICT = eqsel)"));
  EXPECT_THAT(Statements(Message(after, nullptr)),
              ElementsAre("DROP OPERATOR IF EXISTS \"parts\".=== (integer, integer)"));
}

Json GrantedBy(const std::string& by, const std::string& role, bool grantable) {
  return {{"role", role},
          {"public", false},
          {"privilege", "SELECT"},
          {"grantable", grantable},
          {"by", by}};
}

TEST(DdlScriptTest, WhatSomebodyElseGrantedIsGrantedByThatOneOnceHeMay) {
  Json after = Table({Id()});
  after["default_grants"] = false;
  after["grants"] =
      Json::array({GrantedBy("first", "another", false), GrantedBy("app", "first", true)});
  const std::vector<std::string> statements = Statements(Message(Table({Id()}), after, "GRANT"));
  ASSERT_EQ(statements.size(), 6U);
  EXPECT_EQ(statements[4],
            "GRANT SELECT  ON TABLE \"shop\".\"orders\" TO \"first\" WITH GRANT "
            "OPTION");
  EXPECT_EQ(statements[5],
            "SET LOCAL ROLE \"first\";\nGRANT SELECT  ON TABLE \"shop\".\"orders\" "
            "TO \"another\";\nRESET ROLE");
}

TEST(DdlScriptTest, TheSearchPathCountsOfSuperusersOnly) {
  Json message = Message(nullptr, Table({Id()}), "CREATE TABLE");
  message["schemas"] = Json::array({"shop", "pub\"lic"});
  for (const bool by_superuser : {true, false}) {
    message["by_superuser"] = by_superuser;
    const absl::StatusOr<DdlScript> script = PlanDdl(message.dump());
    ASSERT_TRUE(script.ok());
    EXPECT_EQ(script->search_path, by_superuser ? "\"shop\", \"pub\"\"lic\"" : "");
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
