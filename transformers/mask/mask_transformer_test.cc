#include "transformers/mask/mask_transformer.h"

#include "transformers/mask/mask_fixture_test.h"

namespace pgflow::transformers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(MaskTest, MasksAllImagesAlike) {
  const auto mask = Make(R"(
rules:
  - {table: public.*users, column: id, with: permute, max: "9"}
  - {table: "*", column: name, with: constant, value: x}
  - {table: public.users, column: note, with: partial, keep_first: 1})");
  const std::vector<std::string> seen = Stream(*mask, R"(
      begin
      insert users 1 ann secret a
      update users old(1) 2 ann unchanged null
      update full_users full(1 ann b) 1 bob b
      delete users 2
      truncate users, log
      insert log 7 note
      commit)");
  ASSERT_EQ(seen.size(), 7U);
  const std::string one = seen[0].substr(20, 1);
  const std::string two = seen[3].substr(20, 1);
  EXPECT_NE(one, two);
  EXPECT_THAT(seen, ElementsAre("insert public.users " + one + " x s***** a",
                                "update public.users old(" + one + ") " + two + " x unchanged null",
                                "update public.full_users full(" + one + " x b) " + one + " x b",
                                "delete public.users " + two, "truncate public.users",
                                "truncate audit.log", "insert audit.log 7 note"));
}

TEST_F(MaskTest, KeysStillJoin) {
  const auto mask = Make(R"(
rules:
  - {table: public.users, column: id, with: permute}
  - {table: public.orders, column: user_id, with: permute})");
  const std::vector<std::string> seen = Stream(*mask, R"(
      begin
      insert users 4711 ann null null
      insert orders 1 4711 null
      commit)");
  const std::string id = seen[0].substr(20, seen[0].find(' ', 20) - 20);
  EXPECT_NE(id, "4711");
  EXPECT_EQ(seen[1], "insert public.orders 1 " + id + " null");
}

TEST_F(MaskTest, SnapshotAndStreamAgree) {
  const auto mask = Make(R"(
rules:
  - {table: public.users, column: id, with: permute}
  - {table: public.users, column: name, with: email}
  - {table: public.users, column: note, with: "null"}
  - {table: public.users, column: last, with: last_name})");
  const std::vector<std::string> streamed =
      Stream(*mask, "begin\n insert users 1 ann x null\n insert users 2 bob null b\n commit");
  for (const auto format : {engine::CopyFormat::kText, engine::CopyFormat::kBinary}) {
    engine::Batch rows = builder_.Snapshot("users", "1 ann x null\n2 bob null b", format);
    ASSERT_EQ(mask->Transform(rows), absl::OkStatus());
    // Binary rows stay rows of COPY: the sink passes them on without looking.
    EXPECT_EQ(rows.raw_rows() != nullptr, format == engine::CopyFormat::kBinary);
    EXPECT_EQ(rows.row_count(), 2U);
    const std::vector<std::string> read = engine::Describe(rows);
    ASSERT_EQ(read.size(), 2U);
    EXPECT_EQ(read[0].substr(4), streamed[0].substr(6));
    EXPECT_EQ(read[1].substr(4), streamed[1].substr(6));
  }
}

TEST_F(MaskTest, UntouchedTablesKeepTheirRawRows) {
  const auto mask = Make("table: public.users\ncolumn: name\nwith: email");
  for (const auto format : {engine::CopyFormat::kText, engine::CopyFormat::kBinary}) {
    engine::Batch rows = builder_.Snapshot("log", "1 a", format);
    const engine::CopyRows* raw = rows.raw_rows();
    const char* bytes = raw->bytes.data();
    ASSERT_EQ(mask->Transform(rows), absl::OkStatus());
    ASSERT_NE(rows.raw_rows(), nullptr);
    EXPECT_EQ(rows.raw_rows()->bytes.data(), bytes);
  }
  const schemas::TableSchemaPtr users = builder_.FindTable("users");
  EXPECT_EQ(*mask->TransformSchema(users), users);
}

TEST_F(MaskTest, TemplatesSeeMaskedColumns) {
  const auto mask = Make(R"(
rules:
  - {table: public.*users, column: name, with: template, value: "{{{id}}} {last}"}
  - {table: public.*users, column: last, with: constant, value: L})");
  EXPECT_THAT(Stream(*mask, R"(
      begin
      insert users 1 ann x secret
      insert users 2 null x secret
      update users 1 unchanged x y
      update full_users full(1 ann secret) 1 unchanged unchanged
      update users 3 ann x null
      commit)"),
              ElementsAre("insert public.users 1 '{1} L' x L", "insert public.users 2 null x L",
                          "update public.users 1 '{1} L' x L",
                          "update public.full_users full(1 '{1} L' L) 1 '{1} L' unchanged",
                          "update public.users 3 '{3} ' x null"));
  engine::Batch batch = builder_.StreamBatch("begin\n update users 1 a x unchanged\n commit");
  const absl::Status status = mask->Transform(batch);
  EXPECT_THAT(base::Message(status), HasSubstr("REPLICA IDENTITY FULL"));
  EXPECT_EQ(base::Payload(status, engine::kCulpritPayload),
            batch.PositionOf((*batch.Events())[0]).ToString());
}

TEST_F(MaskTest, FirstRuleCounts) {
  const auto mask = Make(R"(
rules:
  - {table: public.users, column: name, with: keep}
  - {table: "public.*", column: "*", with: "null"})");
  builder_.Table("public.loose (id int4, name text, last text) full");
  engine::Batch batch = builder_.StreamBatch("begin\n insert loose 1 ann b\n commit");
  // Its identity is the whole row, not a key: it may become NULL.
  ASSERT_EQ(mask->Transform(batch), absl::OkStatus());
  EXPECT_THAT(engine::Describe(batch), ElementsAre("insert public.loose null null null"));
  const auto schema = mask->TransformSchema(builder_.FindTable("users"));
  EXPECT_THAT(base::Message(schema.status()), HasSubstr("column 'id' of type"));
}

TEST_F(MaskTest, StrictWantsARuleForEveryColumn) {
  const std::string rules = R"(
rules:
  - {table: public.orders, column: note, with: email}
  - {table: public.orders, column: "*id", with: keep})";
  const auto mask = Make("strict: true" + rules);
  EXPECT_EQ(Stream(*mask, "begin\n insert orders 1 2 null\n commit").size(), 1U);
  EXPECT_TRUE(mask->TransformSchema(builder_.FindTable("users")).ok());
  builder_.Table("public.orders (id int8 key, user_id int8, note text, address text)");
  EXPECT_THAT(Stream(*mask, "begin\n insert orders 1 2 null x\n commit"),
              ElementsAre(HasSubstr("column 'address' of table public.orders has no rule")));
}

TEST_F(MaskTest, FindsWhatMayCollideInAUniqueIndex) {
  builder_.Table(
      "public.people (id int4 key, mail text unique, name text unique, tag text unique, "
      "code text unique, nick text)");
  const auto mask = Make(R"(
rules:
  - {table: public.people, column: mail, with: email}
  - {table: public.people, column: name, with: full_name}
  - {table: public.people, column: tag, with: "null"}
  - {table: public.people, column: code, with: constant, value: x, allow_duplicates: true}
  - {table: public.people, column: nick, with: first_name})");
  const schemas::TableSchemaPtr table = builder_.FindTable("people");
  const std::vector<engine::Finding> findings = mask->Check({&table, 1});
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].severity, engine::Finding::Severity::kError);
  EXPECT_EQ(findings[0].subject, "table public.people, column name");
  EXPECT_THAT(findings[0].problem, HasSubstr("unique index people_name_key, and full_name may"));
  // A target without that index takes the rows.
  EXPECT_TRUE(mask->TransformSchema(table).ok());
}

TEST_F(MaskTest, NamesWhatIsWrong) {
  const auto message = [](const std::string& yaml) {
    return std::string(base::Message(Parse(yaml).status()));
  };
  EXPECT_THAT(message("strict: true"), HasSubstr("or `rules`"));
  EXPECT_THAT(message("rules: [{table: a.b, column: c}]"), HasSubstr("'with' is missing"));
  EXPECT_THAT(message("table: a.b\ncolumn: c"), HasSubstr("needs `table`, `column` and `with`"));
  EXPECT_THAT(message("table: a.b\ncolumn: c\nwith: email"), HasSubstr("needs the mask's `key`"));
  EXPECT_THAT(message("table: users\ncolumn: c\nwith: keep"), HasSubstr("write 'public.users'"));
  EXPECT_THAT(message("table: a.b\ncolumn: c\nwith: emial"), HasSubstr("email"));
  const auto mask = Make("table: public.users\ncolumn: mail\nwith: email");
  EXPECT_THAT(base::Message(mask->TransformSchema(builder_.FindTable("users")).status()),
              HasSubstr("table public.users has no column 'mail'"));
}

}  // namespace
}  // namespace pgflow::transformers
