// A masked copy: what it shows, and that its keys still join, after the snapshot and in the stream.

#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class MaskTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        "CREATE TABLE users (id int PRIMARY KEY, email varchar(60) NOT NULL UNIQUE, name text,"
        "  born date, account uuid, profile jsonb, note text);"
        "CREATE TABLE orders (id bigserial PRIMARY KEY, user_id int NOT NULL REFERENCES users(id)"
        "  ON UPDATE CASCADE ON DELETE CASCADE, total numeric(10,2));"
        "CREATE TABLE logins (email varchar(60) PRIMARY KEY, at timestamptz);"
        "CREATE TABLE plain (id int PRIMARY KEY, t text);"
        "INSERT INTO users SELECT i, 'user' || i || '@host.net', 'Name ' || i, '1970-01-01',"
        "  gen_random_uuid(), jsonb_build_object('ssn', i, 'n', 1.10), repeat(md5(i::text), 100)"
        "  FROM generate_series(1, 500) i;"
        "ALTER TABLE users ALTER note SET STORAGE EXTERNAL;"
        "UPDATE users SET note = repeat(md5(id::text), 100);"
        "INSERT INTO orders (user_id, total) SELECT 1 + i % 500, i FROM generate_series(1, 2000) i;"
        "INSERT INTO logins SELECT email, now() FROM users;"
        "INSERT INTO plain SELECT i, 'row ' || i FROM generate_series(1, 100) i");
    pipeline_.sinks = {PostgresSink()};
    pipeline_.more = R"(
transformers:
  - mask:
      key: the secret of this test
      strict: true
      rules:
        - {table: public.users, column: id, with: permute}
        - {table: public.orders, column: user_id, with: permute}
        - {table: public.*, column: email, with: email}
        - {table: public.users, column: name, with: full_name}
        - {table: public.users, column: born, with: date, min: 1950-01-01, max: 2000-12-31}
        - {table: public.users, column: account, with: uuid}
        - {table: public.users, column: profile, with: json, set: {ssn: "0"}}
        - {table: public.users, column: note, with: partial, keep_first: 2}
        - {table: public.plain, column: "*", with: keep}
        - {table: public.logins, column: at, with: timestamp, shift: 24h}
        - {table: public.orders, column: "*", with: keep}
)";
  }
  void TearDown() override { Expect(0, "destroy"); }

  // Nothing of the source is to be seen, and everything that joined still does.
  void ExpectMasked() {
    EXPECT_EQ(target_.Value("SELECT count(*) FROM users WHERE email LIKE '%host.net'"
                            "  OR name LIKE 'Name %' OR profile->>'ssn' <> '0'"
                            "  OR profile->>'n' <> '1.10' "
                            "  OR note <> left(note, 2) || repeat('*', 3198)"),
              "0");
    const std::string shape =
        "SELECT string_agg(format('%s/%s/%s', u, n, t), ' ' ORDER BY u, n, t) FROM (SELECT"
        "  count(*) u, count(l.email) n, sum(o.total) t FROM users x JOIN logins l USING (email)"
        "  JOIN orders o ON o.user_id = x.id GROUP BY x.id) y";
    EXPECT_EQ(source_.Value(shape), target_.Value(shape));
    for (const char* table : {"users", "orders", "logins"}) {
      const std::string count = fmt::format("SELECT count(*) FROM {}", table);
      EXPECT_EQ(source_.Value(count), target_.Value(count)) << table;
    }
    EXPECT_EQ(target_.Value("SELECT count(*) FROM orders o LEFT JOIN users u ON u.id = o.user_id"
                            "  WHERE u.id IS NULL"),
              "0");
    ExpectEqual({"plain"});
  }
};

TEST_F(MaskTest, KeysJoinInSnapshotAndStream) {
  RunToCurrent();
  ExpectMasked();
  const std::string before = target_.Value("SELECT email FROM users ORDER BY email LIMIT 1");
  source_.Execute(
      "INSERT INTO users SELECT i, 'user' || i || '@host.net', 'Name ' || i, '1970-01-01',"
      "  gen_random_uuid(), jsonb_build_object('ssn', i, 'n', 1.10), repeat(md5(i::text), 100)"
      "  FROM generate_series(501, 600) i;"
      "INSERT INTO orders (user_id, total) SELECT i, i FROM generate_series(501, 600) i;"
      "INSERT INTO logins SELECT email, now() FROM users WHERE id > 500;"
      "UPDATE users SET name = 'Name x' WHERE id % 7 = 0;"
      "UPDATE users SET id = id + 1000, email = 'other' || id || '@host.net' WHERE id % 11 = 0;"
      "UPDATE logins SET email = 'other' || substr(email, 5) WHERE substr(email, 5) IN"
      "  (SELECT substr(email, 6) FROM users WHERE email LIKE 'other%');"
      "DELETE FROM logins WHERE email IN (SELECT email FROM users WHERE id % 5 = 0);"
      "DELETE FROM users WHERE id % 5 = 0;"
      "INSERT INTO plain VALUES (1000, 'more')");
  RunToCurrent();
  ExpectMasked();
  EXPECT_EQ(before.substr(before.find('@')), "@example.com");
}

TEST_F(MaskTest, StrictStopsAtANewColumn) {
  RunToCurrent();
  source_.Execute("ALTER TABLE users ADD COLUMN phone text DEFAULT '+49 30 1234567'");
  source_.Execute("UPDATE users SET phone = '+49 30 7654321' WHERE id = 1");
  Expect(1, "run", {"--until-current"});
  EXPECT_EQ(target_.Value("SELECT count(*) FROM users u WHERE u::text LIKE '%7654321%'"), "0");
}

}  // namespace
}  // namespace pgflow::tests
