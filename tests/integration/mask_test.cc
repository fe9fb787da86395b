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

constexpr const char* kManyKinds = R"yaml(
transformers:
  - mask:
      key: the secret of this test
      rules:
        - {table: public.hosts, column: ip, with: constant, value: 192.0.2.1/24}
        - {table: public.hosts, column: net, with: constant, value: 192.0.2.0/24}
        - {table: public.hosts, column: mac, with: constant, value: "02:00:00:00:00:01"}
        - {table: public.hosts, column: wait, with: constant, value: 90 minutes}
        - {table: public.hosts, column: at, with: constant, value: "12:30"}
        - {table: public.hosts, column: price, with: constant, value: "0.99"}
        - {table: public.hosts, column: place, with: constant, value: "(0,1.5)"}
        - {table: public.hosts, column: flags, with: constant, value: "1001"}
        - {table: public.hosts, column: spare, with: constant, value: "1"}
        - {table: public.people, column: name, with: full_name, locale: de, when: "country = 'DE'"}
        - {table: public.people, column: name, with: constant, value: N.N.}
        - {table: public.people, column: card, with: credit_card}
        - {table: public.people, column: iban, with: iban, locale: es}
        - {table: public.people, column: ip, with: ip, subnet: 198.51.100.0/24}
        - {table: public.people, column: net, with: ip}
        - {table: public.people, column: mac, with: mac}
        - {table: public.people, column: place, with: coordinates}
        - {table: public.people, column: lat, with: latitude}
        - {table: public.people, column: zip, with: postcode, locale: de}
        - {table: public.people, column: salary, with: noise, ratio: 0.1, min: "1050"}
        - {table: public.people, column: site, with: url}
        - {table: public.people, column: code, with: regexp, pattern: '[A-Z]{2}-\d{3}'}
        - {table: public.people, column: started, with: noise, shift: 240h}
        - {table: public.people, column: words, with: paragraph}
)yaml";

// How many rows are not as those rules want them.
constexpr const char* kNotMasked = R"sql(
        SELECT count(*) FROM people WHERE (country = 'DE') <> (name <> 'N.N.')
          OR name LIKE 'Name %' OR card = '4111 1111 1111 1111'
          OR card !~ '^4[0-9]{3}( [0-9]{4}){3}$' OR iban !~ '^ES[0-9]{22}$'
          OR NOT ip << '198.51.100.0/24' OR masklen(net) <> 24 OR NOT net << '10.0.0.0/8'
          OR mac = '08:00:2b:01:02:03' OR abs(place[0]) > 180 OR abs(place[1]) > 90
          OR place[0] = 1 OR abs(lat) > 90 OR zip NOT BETWEEN 1067 AND 99998 OR zip = 10115
          OR salary < 1050 OR salary > 1.11 * (1300 + id) OR site !~ '^https://example.com/'
          OR code !~ '^[A-Z]{2}-[0-9]{3}$' OR abs(started - date '2020-01-01') > 10
          OR words ~ 'secret')sql";

// Every type that a constant can have, kinds that the target's own types check, and a condition: in
// the snapshot and in the stream.
TEST_F(MaskTest, ValuesAreValidForTheServer) {
  source_.Execute(
      "CREATE TABLE hosts (id int PRIMARY KEY, country text, ip inet, net cidr, mac macaddr,"
      "  wait interval, at time, price money, place point, flags bit(4), spare varbit(9));"
      "CREATE TABLE people (id int PRIMARY KEY, country text, name varchar(40), card varchar(19),"
      "  iban varchar(34), ip inet, mac macaddr, net cidr, place point, lat numeric(9,6), zip int,"
      "  salary numeric(8,2), site varchar(60), code text, started date, words varchar(50));"
      "INSERT INTO hosts SELECT i, 'DE', '10.1.2.3', '10.0.0.0/8', '08:00:2b:01:02:03', '1 day',"
      "  '10:00', 12.5, '(1,2)', B'0101', B'01' FROM generate_series(1, 50) i;"
      "INSERT INTO people SELECT i, CASE i % 2 WHEN 0 THEN 'DE' ELSE 'FR' END, 'Name ' || i,"
      "  '4111 1111 1111 1111', 'DE89370400440532013000', '192.168.0.1', '08:00:2b:01:02:03',"
      "  '192.168.7.0/24', '(1,2)', 52.5, 10115, 1000 + i, 'http://host/' || i, 'AB-1',"
      "  '2020-01-01', 'secret' FROM generate_series(1, 300) i");
  pipeline_.more = kManyKinds;
  const auto expect = [&](int rows) {
    EXPECT_EQ(
        target_.Value(
            "SELECT string_agg(DISTINCT h::text, ' ') FROM (SELECT ip, net, mac, wait, at, place,"
            "  flags, spare, price::numeric FROM hosts) h"),
        "(192.0.2.1/24,192.0.2.0/24,02:00:00:00:00:01,01:30:00,12:30:00,\"(0,1.5)\",1001,1,"
        "0.99)");
    EXPECT_EQ(target_.Value(kNotMasked), "0");
    EXPECT_EQ(target_.Value("SELECT count(*) FROM people"), std::to_string(rows));
    EXPECT_EQ(target_.Value("SELECT count(DISTINCT (card, iban, ip, net, mac, place::text, code,"
                            "  zip)) FROM people"),
              "1");
    EXPECT_EQ(target_.Value("SELECT count(DISTINCT site) FROM people"), std::to_string(rows));
  };
  RunToCurrent();
  expect(300);
  source_.Execute(
      "INSERT INTO hosts SELECT id + 50, country, ip, net, mac, wait, at, price, place, flags,"
      "  spare FROM hosts;"
      "UPDATE hosts SET price = price * 2, wait = '3 mons', ip = '::1' WHERE id < 20;"
      "INSERT INTO people SELECT id + 300, country, name, card, iban, ip, mac, net, place, lat, "
      "zip,"
      "  salary, site || 'x', code, started, words FROM people;"
      "UPDATE people SET country = CASE country WHEN 'DE' THEN 'FR' ELSE 'DE' END WHERE id % 3 = "
      "0");
  RunToCurrent();
  expect(600);
}

TEST_F(MaskTest, StrictStopsAtANewColumn) {
  RunToCurrent();
  source_.Execute("ALTER TABLE users ADD COLUMN phone text DEFAULT '+49 30 1234567'");
  source_.Execute("UPDATE users SET phone = '+49 30 7654321' WHERE id = 1");
  Expect(1, "run", {"--until-current"});
  EXPECT_EQ(target_.Value("SELECT count(*) FROM users u WHERE u::text LIKE '%7654321%'"), "0");
}

// As postgresql_anonymizer's users have them. The extension is not needed to read them.
TEST_F(MaskTest, SecurityLabelsAreRules) {
  const auto label = [this](const char* table, const char* column, const char* text) {
    source_.Execute(
        fmt::format("SET allow_system_table_mods = on; INSERT INTO pg_seclabel SELECT attrelid, "
                    "'pg_class'::regclass, attnum, 'anon', $label${}$label$ FROM pg_attribute "
                    "WHERE attrelid = '{}'::regclass AND attname = '{}'",
                    text, table, column));
  };
  source_.Execute(
      "CREATE TABLE parts (id int PRIMARY KEY, secret text, t text) PARTITION BY RANGE (id);"
      "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);"
      "CREATE TABLE parts_2 (t text, id int PRIMARY KEY, secret text);"
      "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (100) TO (200);"
      "INSERT INTO parts SELECT i, 'secret ' || i, 'row ' || i FROM generate_series(1, 150) i");
  label("users", "name", "MASKED WITH FUNCTION anon.fake_last_name()");
  label("users", "profile", "MASKED WITH VALUE NULL");
  label("users", "note", "MASKED WITH FUNCTION anon.partial(note, 2, $$*$$, 0)");
  label("users", "born", "NOT MASKED");
  label("users", "email", "MASKED WITH FUNCTION anon.my_own(email)");
  label("logins", "at", "MASKED WITH FUNCTION anon.dnoise(at, '1 day'::interval)");
  label("parts", "secret", "MASKED WITH VALUE $$hidden$$");
  label("parts_2", "secret", "MASKED WITH VALUE $$hidden in 2$$");
  const std::string mask =
      "\ntransformers:\n  - mask: {key: the secret of this test, "
      "security_labels: true, rules: [";
  pipeline_.more = mask + "]}\n";
  const std::string check = Expect(3, "check");
  EXPECT_NE(check.find("my_own"), std::string::npos) << check;
  pipeline_.more = mask + "{table: public.*, column: email, with: email}]}\n";
  Expect(0, "check");
  RunToCurrent();
  const auto expect_masked = [this] {
    EXPECT_EQ(target_.Value("SELECT count(*) FROM users WHERE email LIKE '%host.net' OR name LIKE "
                            "'Name %' OR profile IS NOT NULL OR born <> '1970-01-01' "
                            "OR note <> left(note, 2) || repeat('*', 3198)"),
              "0");
    EXPECT_EQ(target_.Value("SELECT string_agg(DISTINCT secret, ', ') FROM parts"),
              "hidden, hidden in 2");
    EXPECT_EQ(target_.Value("SELECT count(*) FROM parts WHERE t = 'row ' || id"),
              source_.Value("SELECT count(*) FROM parts"));
    ExpectEqual({"plain", "orders"});
  };
  expect_masked();
  source_.Execute(
      "INSERT INTO users SELECT i, 'user' || i || '@host.net', 'Name ' || i, '1970-01-01',"
      "  gen_random_uuid(), jsonb_build_object('ssn', i), repeat(md5(i::text), 100)"
      "  FROM generate_series(501, 600) i;"
      "UPDATE users SET name = 'Name x' WHERE id % 7 = 0;"
      "INSERT INTO parts SELECT i, 'secret ' || i, 'row ' || i FROM generate_series(151, 160) i;"
      "UPDATE parts SET secret = 'secret again' WHERE id % 5 = 0;"
      // The catalog of today does not know the column.
      "ALTER TABLE plain ADD COLUMN gone text");
  target_.Execute("ALTER TABLE plain ADD COLUMN gone text");
  source_.Execute("UPDATE plain SET gone = 'secret'; ALTER TABLE plain DROP COLUMN gone");
  RunToCurrent();
  EXPECT_EQ(target_.Value("SELECT count(gone) FROM plain"), "0");
  target_.Execute("ALTER TABLE plain DROP COLUMN gone");
  expect_masked();
}

}  // namespace
}  // namespace pgflow::tests
