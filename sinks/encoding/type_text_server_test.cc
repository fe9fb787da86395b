// Every type against a real server: its binary form, decoded here, must be the text that the
// server itself prints. The values go through a temporary table a type, read once as text and once
// by COPY BINARY, in sessions with the settings that production has.
#include <absl/time/clock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "engine/testing/scratch_postgres.h"
#include "postgres/client/connection.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {
namespace {

struct TypeCase {
  std::string type;
  std::vector<std::string> literals;
  std::string random_sql;  // An expression of many values, over generate_series g; may be empty.
  int since = 13;          // The server's first version that has it.
};

std::vector<TypeCase> NumberAndTextCases() {
  return {
      {"bool", {"t", "f"}, ""},
      {"int2", {"-32768", "0", "32767"}, ""},
      {"int4", {"-2147483648", "-1", "0", "2147483647"}, "(random()*1e9)::int4"},
      {"int8", {"-9223372036854775808", "9007199254740993", "9223372036854775807"}, ""},
      {"oid", {"0", "4294967295"}, ""},
      {"float4",
       {"0", "-0", "1", "1.5", "1e6", "123456", "1234567", "999999", "0.0001", "0.00001", "1e-45",
        "3.4028235e38", "-7.2689696e+07", "-2.0025859e+08", "16777216", "NaN", "Infinity",
        "-Infinity"},
       "((random()-0.5) * 10^(random()*70-35))::float4"},
      {"float8",
       {"0", "-0", "0.1", "1e15", "999999999999999", "1e14", "123456789012345678", "0.0001",
        "0.00001", "5e-324", "9007199254740993", "9.5e22", "1.7976931348623157e308", "NaN",
        "Infinity", "-Infinity"},
       "(random()-0.5) * 10^(random()*600-300)"},
      {"numeric",
       {"0", "0.00", "-0.5", "1", "10000", "9999", "10000.0001", "0.0000000001", "1e30", "1e-30",
        "123456789012345678901234567890.123456789", "-99999.9999", "NaN"},
       "((random()-0.5) * 10^(random()*40-20))::numeric"},
      {"numeric", {"Infinity", "-Infinity"}, "", 14},
      {"numeric(12,2)", {"1", "1.5", "-1234567890.12"}, ""},
      {"text", {"", "plain", "grün 日本 😀", "a\"b\\c\n\t", "null"}, "md5(g::text)"},
      {"varchar(10)", {"", "abc"}, ""},
      {"char(5)", {"", "ab"}, ""},
      {"name", {"relname"}, ""},
      {"\"char\"", {"a", ""}, ""},
      {"bytea", {"\\x", "\\x00ff10", "\\xdeadbeef"}, "decode(md5(g::text), 'hex')"},
  };
}

std::vector<TypeCase> TimeCases() {
  return {
      {"date",
       {"2000-01-01", "1999-12-31", "2024-02-29", "0001-01-01", "0001-12-31 BC", "4713-01-01 BC",
        "9999-12-31", "10000-01-01", "5874897-12-31", "infinity", "-infinity"},
       "date '4000-01-01 BC' + (random()*3000000)::int"},
      {"time", {"00:00:00", "23:59:59.999999", "24:00:00", "12:00:00.5"}, ""},
      {"timetz", {"12:00:00+00", "12:00:00.123+05:30", "12:00:00-08", "00:00:00+01:02:03"}, ""},
      {"timestamp",
       {"2000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "2024-02-29 12:34:56.7",
        "0044-03-15 12:00:00 BC", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999",
        "infinity", "-infinity"},
       "timestamp '3000-01-01 BC' + random() * interval '6000 years'"},
      {"timestamptz",
       {"2024-06-01 12:00:00+02", "0044-03-15 12:00:00+00 BC", "infinity", "-infinity"},
       "timestamptz '1900-01-01 UTC' + random() * interval '300 years'"},
      {"interval",
       {"0", "1 day", "-1 day", "1 year 2 mons 3 days 04:05:06.789", "-1 year 2 mons -3 days",
        "1 mon -1 day 00:00:01", "-00:00:01", "100:00:00", "1 day -00:00:00.000001", "2 years",
        "-1 mons +5 days -02:00:00"},
       "make_interval(0, ((random()-0.5)*40)::int, 0, ((random()-0.5)*40)::int, 0, 0, "
       "(random()-0.5)*90000)"},
  };
}

std::vector<TypeCase> OtherCases() {
  return {
      {"uuid", {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}, "gen_random_uuid()"},
      {"json", {"{\"a\": [1, 2.50,\n null]}", "null", "\"x\""}, ""},
      {"jsonb", {"{\"b\": 1, \"a\": \"é\\n\"}", "[1.00, 1e100]", "\"x\"", "null"}, ""},
      {"jsonpath", {"$.a[*] ? (@ > 1)"}, ""},
      {"xml", {"<a>b</a>"}, ""},
      {"inet",
       {"1.2.3.4", "10.0.0.1/8", "0.0.0.0/0", "::1", "2001:db8::ff00:42:8329/64", "::ffff:1.2.3.4",
        "::/0", "1:2:3:4:5:6:7:8"},
       "('10.0.0.0'::inet + (random()*1000000)::int8)"},
      {"cidr", {"10.0.0.0/8", "1.2.3.4/32", "2001:db8::/32", "::1/128"}, ""},
      {"macaddr", {"08:00:2b:01:02:03"}, ""},
      {"macaddr8", {"08:00:2b:01:02:03:04:05"}, ""},
      {"bit(11)", {"10101010101"}, ""},
      {"varbit", {"", "1", "00000000", "101010101"}, ""},
      {"pg_lsn", {"0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"}, ""},
      {"xid", {"3", "4294967295"}, ""},
      {"xid8", {"0", "18446744073709551615"}, ""},
      {"tsvector", {"", "'a':1A 'b\\\\c':2,3B 'it''s'", "fat cat"}, ""},
      {"point", {"(1,2)", "(-1.5,1e30)", "(NaN,Infinity)"}, "point(random(), -random())"},
      {"line", {"{1,-1,0}"}, ""},
      {"lseg", {"[(1,2),(3,4)]"}, ""},
      {"box", {"(3,4),(1,2)"}, ""},
      {"path", {"((1,2),(3,4))", "[(1,2),(3,4),(5,6)]"}, ""},
      {"polygon", {"((0,0),(1,1),(1,0))"}, ""},
      {"circle", {"<(1,2),3.5>"}, ""},
  };
}

std::vector<TypeCase> ContainerCases() {
  return {
      {"int4[]",
       {"{}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[0:2]={1,2,3}", "[-1:0][2:3]={{1,2},{3,4}}"},
       "ARRAY[g, -g]"},
      {"text[]",
       {"{}", "{\"\",NULL,\"NULL\",null,\"a,b\",\"a b\",\"a\\\"b\\\\c\",\"{}\",plain,é}",
        "{{{a},{b}}}"},
       ""},
      {"bool[]", {"{t,f}"}, ""},
      {"numeric[]", {"{1.50,NaN}"}, ""},
      {"timestamptz[]", {"{\"2024-01-01 00:00:00+00\",infinity}"}, ""},
      {"uuid[]", {"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"}, ""},
      {"jsonb[]", {"{\"{\\\"a\\\": 1}\"}"}, ""},
      {"bytea[]", {"{\"\\\\x00ff\"}"}, ""},
      {"box[]", {"{(3,4),(1,2);(7,8),(5,6)}"}, ""},
      {"interval[]", {"{\"1 day 02:00:00\",00:00:01}"}, ""},
      {"varchar(3)[]", {"{abc,\"\"}"}, ""},
      {"int4range", {"empty", "[1,5)", "(,5)", "[1,)", "(,)"}, ""},
      {"int8range", {"[1,9223372036854775807)"}, ""},
      {"numrange", {"[1.5,2.50]", "(1,2)", "[NaN,NaN]"}, ""},
      {"tsrange", {"[\"2024-01-01 00:00:00\",\"2024-02-01 12:00:00\")"}, ""},
      {"tstzrange", {"(,\"2024-02-01 12:00:00+00\"]"}, ""},
      {"daterange", {"[2024-01-01,2024-02-01)", "(,infinity)"}, ""},
      {"int4multirange", {"{}", "{[1,3),[5,7)}"}, "", 14},
      {"nummultirange", {"{[1.5,2.5]}"}, "", 14},
      {"tstzmultirange", {"{[\"2024-01-01 00:00:00+00\",\"2024-02-01 00:00:00+00\")}"}, "", 14},
      {"int4range[]", {"{\"[1,3)\",empty}"}, ""},
      {"int4multirange[]", {"{\"{[1,3)}\"}"}, "", 14},
  };
}

class TypeTextServerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto server = engine::ScratchPostgres::Make();
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = server->release();
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }

  void SetUp() override {
    auto connection = server_->Connect();
    ASSERT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
  }

  void Execute(const std::string& sql) {
    const auto result = connection_->Execute(sql);
    ASSERT_TRUE(result.ok()) << sql << ": " << result.status();
  }

  // The one column of `query`, in the bytes of its send function.
  std::vector<schemas::Value> Binary(const std::string& query) {
    copied_.clear();
    EXPECT_TRUE(
        connection_->BeginCopyOut("COPY (" + query + ") TO STDOUT (FORMAT binary)", {}).ok());
    uint64_t rows = 0;
    while (true) {
      const auto more = connection_->ReadCopyRows(copied_, rows, 1 << 20, {});
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) break;
    }
    base::ByteReader reader(copied_);
    if (copied_.starts_with("PGCOPY")) {
      reader.ReadBytes(15);
      reader.ReadBytes(reader.Read<uint32_t>());
    }
    std::vector<schemas::Value> values;
    while (reader.remaining() > 0 && reader.Read<int16_t>() == 1) {
      const auto size = reader.Read<int32_t>();
      const std::string_view bytes = reader.ReadBytes(static_cast<uint32_t>(size));
      values.push_back(
          {bytes.data(), static_cast<uint32_t>(bytes.size()), schemas::ValueKind::kBinary});
    }
    return values;
  }

  void Check(const TypeCase& type_case, const TypeText* type) {
    SCOPED_TRACE(type_case.type);
    ASSERT_NE(type, nullptr);
    Execute("DROP TABLE IF EXISTS pg_temp.v; CREATE TEMP TABLE v (o int, v " + type_case.type +
            ")");
    for (size_t i = 0; i < type_case.literals.size(); ++i) {
      Execute("INSERT INTO v VALUES (" + std::to_string(i) + ", " +
              connection_->QuoteLiteral(type_case.literals[i]) + ")");
    }
    if (!type_case.random_sql.empty()) {
      Execute("INSERT INTO v SELECT 1000 + g, " + type_case.random_sql +
              " FROM generate_series(1, 2000) g");
    }
    const auto texts = connection_->ExecuteParams("SELECT v FROM v ORDER BY o", {});
    ASSERT_TRUE(texts.ok()) << texts.status();
    const std::vector<schemas::Value> values = Binary("SELECT v FROM v ORDER BY o");
    ASSERT_EQ(values.size(), static_cast<size_t>(texts->row_count()));
    for (size_t i = 0; i < values.size(); ++i) {
      const std::string expected = texts->text(static_cast<int>(i), 0);
      std::string text;
      EXPECT_TRUE(AppendValueText(values[i], type, text)) << expected;
      EXPECT_EQ(text, expected);
      std::string json;
      std::string json_of_text;
      AppendJsonValue(values[i], type, json);
      AppendJsonValue(
          {expected.data(), static_cast<uint32_t>(expected.size()), schemas::ValueKind::kText},
          type, json_of_text);
      EXPECT_EQ(json, json_of_text);
      EXPECT_TRUE(nlohmann::json::accept(json)) << json;
      EXPECT_EQ(json.find('\n'), std::string::npos);
    }
  }

  void CheckAll(const std::vector<TypeCase>& cases) {
    const auto seed = static_cast<double>(absl::ToUnixMicros(absl::Now()) % 1'000'000) / 1e6;
    SCOPED_TRACE(seed);
    Execute("SELECT setseed(" + std::to_string(seed) + ")");
    for (const TypeCase& type_case : cases) {
      if (connection_->server_version() / 10000 < type_case.since) continue;
      const auto oid = connection_->Execute("SELECT " + connection_->QuoteLiteral(type_case.type) +
                                            "::regtype::oid::int8");
      ASSERT_TRUE(oid.ok()) << oid.status();
      Check(type_case, FindTypeText(static_cast<postgres::Oid>(oid->integer(0, 0))));
    }
  }

  static engine::ScratchPostgres* server_;
  std::unique_ptr<postgres::Connection> connection_;
  std::string copied_;
};

engine::ScratchPostgres* TypeTextServerTest::server_ = nullptr;

TEST_F(TypeTextServerTest, NumbersAndTexts) { CheckAll(NumberAndTextCases()); }

TEST_F(TypeTextServerTest, Times) { CheckAll(TimeCases()); }

TEST_F(TypeTextServerTest, OtherScalars) { CheckAll(OtherCases()); }

TEST_F(TypeTextServerTest, Containers) { CheckAll(ContainerCases()); }

TEST_F(TypeTextServerTest, DomainsAndEnumsReadByTheirWireType) {
  Execute("CREATE TYPE mood AS ENUM ('sad', 'it''s ok'); CREATE DOMAIN price AS numeric(10,2)");
  Check({"mood", {"sad", "it's ok"}, ""}, FindTypeText(25));
  Check({"mood[]", {"{sad,\"it's ok\",NULL}"}, ""}, FindTypeText(1009));
  Check({"price", {"1.5"}, ""}, FindTypeText(1700));
}

TEST_F(TypeTextServerTest, TypesOfExtensions) {
  Execute("CREATE EXTENSION hstore; CREATE EXTENSION ltree");
  const auto extension = [](std::string name) {
    schemas::Column column;
    column.type = postgres::kFirstUserOid;
    column.type_name = std::move(name);
    return FindTypeText(column);
  };
  Check({"hstore", {"", "a=>1, b=>NULL", R"("q\"" => "back\\slash, comma")"}, ""},
        extension("public.hstore"));
  Check({"ltree", {"", "a.b.c"}, ""}, extension("ltree"));
  Check({"lquery", {"a.*"}, ""}, extension("lquery"));
  if (!connection_->Execute("CREATE EXTENSION postgis").ok()) return;
  Check({"geometry", {"POINT(1 2)", "SRID=4326;LINESTRING(0 0,1 1)"}, ""},
        extension("public.geometry"));
  Check({"geography", {"POINT(1 2)"}, ""}, extension("geography"));
}

}  // namespace
}  // namespace pgflow::sinks
