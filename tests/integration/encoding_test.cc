// Databases that are not UTF8: what both encodings have arrives; what the target's has not is
// refused with the place where it stands, and nothing is lost.
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

struct Encodings {
  std::string source;
  std::string target;
  std::string letters;  // Some that both have, in UTF-8.
};

class EncodingTest : public SharedServerTest {
 protected:
  void SetUp() override {}
  void TearDown() override {
    if (!source_.name.empty()) Expect(0, "destroy");
  }

  void UseEncodings(const std::string& source, const std::string& target, bool binary = true) {
    static int count = 0;
    std::vector<Database> databases;
    for (const std::string& encoding : {source, target}) {
      databases.push_back({shared_server.get(), fmt::format("encoding_{}", ++count)});
      const absl::Status status = shared_server->Execute(
          fmt::format("CREATE DATABASE {} ENCODING '{}' LC_COLLATE 'C' LC_CTYPE 'C' "
                      "TEMPLATE template0",
                      databases.back().name, encoding));
      ASSERT_TRUE(status.ok()) << status;
    }
    Use(databases[0], databases[1]);
    pipeline_.name = fmt::format("encoding_{}", count);
    pipeline_.source_options = fmt::format("    binary: {}\n", binary ? "auto" : "off");
  }

  // `pgflow run` ends with code 1 and a message that holds all of `parts`.
  void ExpectRefused(const std::vector<std::string>& parts) {
    const std::string output = Expect(1, "run", {"--until-current"});
    for (const std::string& part : parts) {
      EXPECT_NE(output.find(part), std::string::npos) << "no '" << part << "' in:\n" << output;
    }
  }
};

class EncodingsTest : public EncodingTest,
                      public testing::WithParamInterface<std::tuple<Encodings, bool>> {};

TEST_P(EncodingsTest, CarryTheirLetters) {
  const auto& [encodings, binary] = GetParam();
  UseEncodings(encodings.source, encodings.target, binary);
  const std::string& x = encodings.letters;
  const std::string table = fmt::format("\"table {}\"", x);
  // SQL_ASCII counts bytes, so what is padded there has another length.
  const bool same_padding = (encodings.source == "SQL_ASCII") == (encodings.target == "SQL_ASCII");
  source_.Execute(fmt::format(
      "CREATE TYPE \"type {0}\" AS ENUM ('{0}', 'b');"
      "CREATE TABLE {1} (id int, \"column {0}\" text PRIMARY KEY, v varchar(30), c {2}, n name,"
      " j json, jb jsonb, x xml, a text[], e \"type {0}\", y bytea, one \"char\","
      " d text DEFAULT '{0}');"
      "CREATE TABLE rows (t text, i int); ALTER TABLE rows REPLICA IDENTITY FULL",
      x, table, same_padding ? "char(20)" : "text"));
  const auto insert = [&](int first, int last) {
    source_.Execute(fmt::format(
        "INSERT INTO {1} SELECT i, '{0}' || i, '{0}', '{0}', '{0}', '{{\"{0}\": \"{0}\"}}',"
        " '{{\"{0}\": \"{0}\"}}', '<a>{0}</a>', ARRAY['{0}', NULL, '{0},'], '{0}', '\\xe9ff00', 'a'"
        " FROM generate_series({2}, {3}) i;"
        "INSERT INTO rows SELECT '{0}', i FROM generate_series({2}, {3}) i",
        x, table, first, last));
  };
  insert(1, 50);
  RunToCurrent();
  ExpectEqual({table, "rows"});
  insert(51, 100);
  source_.Execute(
      fmt::format("UPDATE {1} SET v = '{0}!', a = a || 'z{0}'::text WHERE id % 3 = 0;"
                  "UPDATE {1} SET \"column {0}\" = '{0}' || -id WHERE id % 7 = 0;"
                  "DELETE FROM {1} WHERE id % 10 = 0; UPDATE rows SET t = t || 'b' WHERE i < 20;"
                  "DELETE FROM rows WHERE i > 90",
                  x, table));
  RunToCurrent();
  ExpectEqual({table, "rows"});
}

// The letters of the two encodings as a whole are what the servers convert, not we.
const Encodings kEncodings[] = {
    {"LATIN1", "UTF8", "Größe é"},      {"LATIN1", "LATIN1", "Größe é"},
    {"UTF8", "WIN1252", "€ „é“"},       {"EUC_JP", "UTF8", "日本 ソ表"},
    {"UTF8", "EUC_JP", "日本 ソ表"},    {"SQL_ASCII", "UTF8", "é 日"},
    {"SQL_ASCII", "SQL_ASCII", "é 日"}, {"UTF8", "SQL_ASCII", "é 日"},
};

std::string NameOf(const testing::TestParamInfo<std::tuple<Encodings, bool>>& parameter) {
  const auto& [encodings, binary] = parameter.param;
  return fmt::format("{}_to_{}_{}", encodings.source, encodings.target, binary ? "binary" : "text");
}

INSTANTIATE_TEST_SUITE_P(Pairs, EncodingsTest,
                         testing::Combine(testing::ValuesIn(kEncodings), testing::Bool()), NameOf);

constexpr const char* kNotes =
    "CREATE TABLE notes (id int PRIMARY KEY, fine text, foreign_note text);"
    "INSERT INTO notes SELECT i, 'é', 'ü' FROM generate_series(1, 100) i";

TEST_F(EncodingTest, ALetterThatTheTargetLacksIsRefusedInTheStream) {
  for (const bool binary : {true, false}) {
    UseEncodings("UTF8", "LATIN1", binary);
    source_.Execute(kNotes);
    RunToCurrent();
    source_.Execute(
        "UPDATE notes SET fine = 'è' WHERE id = 1; UPDATE notes SET foreign_note = '日' WHERE id = "
        "2;"
        "UPDATE notes SET fine = 'è' WHERE id = 3");
    source_.Execute("UPDATE notes SET fine = 'later' WHERE id = 4");
    ExpectRefused({"public.notes", "(id) = (2)", "LATIN1"});
    ExpectRefused({"public.notes", "(id) = (2)", "LATIN1"});
    EXPECT_EQ(target_.Value("SELECT count(*) FROM notes WHERE fine = 'é'"), "100");
    // With a dead letter the rest goes on, and the row waits there.
    const std::string file = directory_ / fmt::format("refused_{}.jsonl", binary);
    pipeline_.sinks[0] += fmt::format(", dead_letter: {{file: \"{}\"}}", file);
    RunToCurrent();
    EXPECT_EQ(CountOf(ReadFile(file), "\n"), 1u) << ReadFile(file);
    // Before version 14 the stream is text.
    const bool in_bytes = binary && source_.server->version() >= 140000;
    EXPECT_NE(ReadFile(file).find(in_bytes ? "e697a5" : "日"), std::string::npos) << ReadFile(file);
    EXPECT_EQ(target_.Value("SELECT count(*) FROM notes WHERE fine = 'é'"), "97");
    Expect(0, "destroy");
  }
}

TEST_F(EncodingTest, ALetterThatTheTargetLacksIsRefusedInTheSnapshot) {
  for (const bool binary : {true, false}) {
    UseEncodings("UTF8", "LATIN1", binary);
    source_.Execute(kNotes);
    source_.Execute("UPDATE notes SET foreign_note = '日' WHERE id = 2");
    ExpectRefused({"public.notes", "0xe6 0x97 0xa5", "LATIN1"});
    source_.Execute("UPDATE notes SET foreign_note = 'day' WHERE id = 2");
    Expect(0, "destroy");
    RunToCurrent();
    ExpectEqual({"notes"});
    Expect(0, "destroy");
  }
}

// SQL_ASCII takes any bytes, and its server converts nothing.
TEST_F(EncodingTest, BytesThatAreNoLettersAreRefused) {
  UseEncodings("SQL_ASCII", "SQL_ASCII");
  source_.Execute("CREATE TABLE notes (id int PRIMARY KEY, note text)");
  source_.Execute("INSERT INTO notes VALUES (1, 'fine'), (2, E'\\351')");
  ExpectRefused({"public.notes", "\"UTF8\": 0xe9"});
  source_.Execute("DELETE FROM notes WHERE id = 2");
  RunToCurrent();
  source_.Execute("INSERT INTO notes VALUES (4, E'\\351')");
  ExpectRefused({"\"UTF8\": 0xe9", "pgflow_" + pipeline_.name});
  ExpectRefused({"\"UTF8\": 0xe9", "pgflow_" + pipeline_.name});
  EXPECT_NE(Expect(0, "check").find("SQL_ASCII"), std::string::npos);
}

}  // namespace
}  // namespace pgflow::tests
