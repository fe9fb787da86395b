#include "tests/random/workload.h"

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "schemas/table_schema.h"

namespace pgflow::tests {

Workload::Writer::Writer(Workload& workload, uint64_t seed, std::stop_token stop)
    : workload_(workload), random_(seed), stop_(std::move(stop)) {
  postgres::ConnectOptions options;
  options.url = workload_.url_;
  options.application_name = "workload";
  absl::StatusOr<std::unique_ptr<postgres::Connection>> connection =
      postgres::Connection::Connect(options, stop_);
  if (!connection.ok()) {
    ADD_FAILURE() << connection.status();
    return;
  }
  connection_ = *std::move(connection);
  Execute(
      fmt::format("SET search_path = w; SET lock_timeout = '2s'; SET deadlock_timeout = '50ms';"
                  "SELECT setseed({})",
                  static_cast<double>(seed % 1000) / 1000));
}

std::string Workload::Writer::Name(std::string_view prefix) {
  const int number = workload_.next_name_.fetch_add(1);
  // Now and then a name that needs its quotes.
  return number % 7 == 0 ? fmt::format("\"{} {}.x\"\"\"", prefix, number)
                         : fmt::format("{}{}", prefix, number);
}

bool Workload::Writer::Execute(const std::string& sql) {
  return connection_ != nullptr && connection_->Execute(sql, stop_).ok();
}

bool Workload::Writer::Attempt(const std::string& sql) {
  if (sql.empty() || !Execute("SAVEPOINT step")) return false;
  if (Execute(sql)) return Execute("RELEASE SAVEPOINT step");
  Execute("ROLLBACK TO SAVEPOINT step; RELEASE SAVEPOINT step");
  return false;
}

std::string Workload::Writer::RandomType() {
  static constexpr const char* kTypes[] = {"integer",
                                           "bigint",
                                           "text",
                                           "numeric",
                                           "numeric(12,3)",
                                           "timestamp with time zone",
                                           "date",
                                           "boolean",
                                           "uuid",
                                           "jsonb",
                                           "integer[]",
                                           "bytea",
                                           "double precision",
                                           "character varying(60)",
                                           "w.mood",
                                           "interval",
                                           "w.small",
                                           "int4range"};
  return kTypes[Draw(0, static_cast<int>(std::size(kTypes)) - 1)];
}

// An expression of SQL, new for each row.
std::string Workload::Writer::ValueOf(const std::string& type) {
  if (type == "integer" || type == "bigint") return "(random() * 100000)::int";
  if (type == "w.small") return "(random() * 99)::int";
  if (type.starts_with("numeric")) return "(random() * 1000)::numeric(12,3)";
  if (type == "timestamp with time zone") return "clock_timestamp() - random() * interval '9 year'";
  if (type == "date") return "date '2020-01-01' + (random() * 3000)::int";
  if (type == "boolean") return "random() < 0.5";
  if (type == "uuid") return "md5(random()::text)::uuid";
  if (type == "jsonb") return "jsonb_build_object('r', random(), 't', md5(random()::text))";
  if (type == "integer[]") return "ARRAY[(random() * 9)::int, NULL, 3]";
  if (type == "bytea") return "decode(md5(random()::text), 'hex')";
  if (type == "double precision") return "random()";
  if (type == "w.mood") return "(enum_range(NULL::w.mood))[1 + (random() * 2)::int]";
  if (type == "interval") return "random() * interval '100 days'";
  if (type == "int4range") return "int4range((random() * 9)::int, 10 + (random() * 9)::int)";
  if (type == "text" && Chance(20)) {
    return "(SELECT string_agg(md5(random()::text || i), '') FROM generate_series(1, 150) i)";
  }
  return "md5(random()::text)";
}

std::optional<Workload::Table> Workload::Writer::PickTable(std::string_view kinds) {
  const auto relations = connection_->Execute(
      fmt::format(
          "SELECT c.oid, format('w.%I', relname), relkind FROM pg_class c WHERE relnamespace "
          "= 'w'::regnamespace AND position(relkind::text IN '{}') > 0 AND NOT "
          "relispartition ORDER BY relname",
          kinds),
      stop_);
  if (!relations.ok() || relations->row_count() == 0) return std::nullopt;
  const int row = Draw(0, relations->row_count() - 1);
  Table table{relations->text(row, 1), relations->at(row, 2)[0], {}};
  const auto columns = connection_->Execute(
      fmt::format(
          "SELECT quote_ident(attname), format_type(atttypid, atttypmod), attgenerated = '' "
          "AND attidentity <> 'a' FROM pg_attribute WHERE attrelid = {} AND attnum > 0 AND "
          "NOT attisdropped ORDER BY attnum",
          relations->at(row, 0)),
      stop_);
  if (!columns.ok()) return std::nullopt;
  for (int i = 0; i < columns->row_count(); ++i) {
    // format_type leaves the schema out for what search_path finds.
    std::string type = columns->text(i, 1);
    if (type == "mood" || type == "small") type.insert(0, "w.");
    table.columns.push_back({columns->text(i, 0), type, columns->boolean(i, 2)});
  }
  return table;
}

std::optional<Workload::Column> Workload::Writer::PickColumn(const Table& table) {
  if (table.columns.empty()) return std::nullopt;
  return table.columns[static_cast<size_t>(Draw(0, static_cast<int>(table.columns.size()) - 1))];
}

std::string Workload::Writer::NewTable(std::string* name) {
  const std::string table = "w." + Name("t");
  if (name != nullptr) *name = table;
  std::string columns;
  for (int i = Draw(1, 5); i > 0; --i) {
    columns += fmt::format(", {} {}", Name("c"), RandomType());
    if (Chance(15)) columns += " DEFAULT NULL";
  }
  static constexpr const char* kKeys[] = {"id int PRIMARY KEY",
                                          "id bigserial PRIMARY KEY",
                                          "id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
                                          "id text PRIMARY KEY",
                                          "id int",
                                          "id int PRIMARY KEY DEFERRABLE"};
  const std::string key = kKeys[Draw(0, 5)];
  if (Chance(15)) {
    return fmt::format(
        "CREATE TABLE {0} (id int{1}, part int DEFAULT (random() * 2)::int) PARTITION BY LIST "
        "(part);"
        "CREATE TABLE {2} PARTITION OF {0} FOR VALUES IN (0);"
        "CREATE TABLE {3} PARTITION OF {0} DEFAULT",
        table, columns, "w." + Name("p"), "w." + Name("p"));
  }
  const bool keyed = key != "id int";
  return fmt::format("CREATE TABLE {} ({}{}){}", table, key, columns,
                     keyed && running_ && Chance(10)
                         ? fmt::format("; ALTER TABLE {} REPLICA IDENTITY NOTHING", table)
                         : "");
}

std::string Workload::Writer::Insert(const Table& table, int rows) {
  std::string names;
  std::string values;
  for (const Column& column : table.columns) {
    if (!column.writable) continue;
    const bool key = column.name == "id";
    if (!key && Chance(15)) continue;
    names += (names.empty() ? "" : ", ") + column.name;
    values += (values.empty() ? "" : ", ");
    values += column.name == "part" ? "(random() * 2)::int"
              : !key && Chance(8)   ? "NULL"
                                    : ValueOf(column.type);
  }
  if (names.empty()) return fmt::format("INSERT INTO {} DEFAULT VALUES", table.name);
  return fmt::format(
      "INSERT INTO {} ({}) SELECT {} FROM generate_series(1, {}) ON CONFLICT DO "
      "NOTHING",
      table.name, names, values, rows);
}

std::string Workload::Writer::Update(const Table& table) {
  std::string set;
  for (const Column& column : table.columns) {
    if (!column.writable || column.name == "part") continue;
    if (column.name == "id" ? Chance(90) : Chance(60)) continue;
    set += fmt::format("{}{} = {}", set.empty() ? "" : ", ", column.name, ValueOf(column.type));
  }
  if (set.empty()) return {};
  return fmt::format(
      "UPDATE {0} SET {1} WHERE tableoid::text || ctid::text IN (SELECT "
      "tableoid::text || ctid::text FROM {0} ORDER BY random() LIMIT {2})",
      table.name, set, Draw(1, 20));
}

std::string Workload::Writer::Rows() {
  const std::optional<Table> table = PickTable("rp");
  if (!table.has_value()) return {};
  const int draw = Draw(1, 100);
  if (draw <= 45) return Insert(*table, Chance(10) ? 1500 : Draw(1, 20));
  if (draw <= 80) return Update(*table);
  if (draw <= 98) {
    return fmt::format(
        "DELETE FROM {0} WHERE tableoid::text || ctid::text IN (SELECT "
        "tableoid::text || ctid::text FROM {0} ORDER BY random() LIMIT {1})",
        table->name, Draw(1, 15));
  }
  return fmt::format("TRUNCATE {}", table->name);
}

std::string Workload::Writer::ColumnDdl(const Table& table) {
  const std::optional<Column> column = PickColumn(table);
  const std::string alter = fmt::format("ALTER TABLE {} ", table.name);
  const std::string type = RandomType();
  switch (Draw(1, 12)) {
    case 1:
      return fmt::format("{}ADD COLUMN {} {}", alter, Name("c"), type);
    case 2:
      return fmt::format("{}ADD COLUMN {} {} NOT NULL DEFAULT {}", alter, Name("c"), type,
                         ValueOf(type));
    case 3:
      return fmt::format("{}ADD COLUMN {} timestamptz DEFAULT now(), ADD COLUMN {} int DEFAULT 7",
                         alter, Name("c"), Name("c"));
    case 4:
      return fmt::format("{}ADD COLUMN {} bigserial", alter, Name("c"));
    case 5:
      return fmt::format(
          "{}ADD COLUMN {} text GENERATED ALWAYS AS (coalesce(id::text, '') || 'g') "
          "STORED",
          alter, Name("c"));
    default:
      break;
  }
  if (!column.has_value() || column->name == "part") return {};
  switch (Draw(1, 7)) {
    case 1:
      return column->name == "id" ? "" : fmt::format("{}DROP COLUMN {}", alter, column->name);
    case 2:
      return column->name == "id"
                 ? ""
                 : fmt::format("{}RENAME COLUMN {} TO {}", alter, column->name, Name("c"));
    case 3:
      return fmt::format("{}ALTER COLUMN {} TYPE text USING {}::text || 'u'", alter, column->name,
                         column->name);
    case 4:
      return fmt::format("{}ALTER COLUMN {} TYPE bigint", alter, column->name);
    case 5:
      return fmt::format("{0}ALTER COLUMN {1} DROP DEFAULT, ALTER COLUMN {1} DROP NOT NULL", alter,
                         column->name);
    case 6:
      return fmt::format("{}ALTER COLUMN {} SET DEFAULT {}", alter, column->name,
                         ValueOf(column->type));
    default:
      return fmt::format("COMMENT ON COLUMN {}.{} IS 'c{}'", table.name, column->name,
                         Draw(1, 1000));
  }
}

// Not NOTHING, nor an index that may be dropped: a table that was updated before and cannot be any
// more is refused at a start.
std::string Workload::Writer::IdentityDdl(const Table& table) {
  const int draw = Draw(1, 10);
  if (draw <= 5) return fmt::format("ALTER TABLE {} REPLICA IDENTITY FULL", table.name);
  if (draw <= 7) return fmt::format("ALTER TABLE {} REPLICA IDENTITY DEFAULT", table.name);
  return fmt::format(
      "DO $do$ BEGIN EXECUTE (SELECT format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', "
      "i.indrelid::regclass, c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
      "WHERE i.indisprimary AND i.indrelid = {}::regclass); END $do$",
      schemas::QuoteLiteral(table.name));
}

std::string Workload::Writer::TableDdl(const Table& table) {
  const std::optional<Column> column = PickColumn(table);
  const std::string name = column.has_value() ? column->name : "id";
  switch (Draw(1, 14)) {
    case 1:
      return NewTable();
    case 2:
      return Chance(50) ? fmt::format("DROP TABLE {}", table.name) : NewTable();
    case 3:
      return fmt::format("ALTER TABLE {} RENAME TO {}", table.name, Name("t"));
    case 4:
      return fmt::format("CREATE TABLE w.{} AS SELECT * FROM {} LIMIT 300", Name("t"), table.name);
    case 5:
      return fmt::format("CREATE INDEX {} ON {} ({})", Name("i"), table.name, name);
    case 6:
      return fmt::format("CREATE UNIQUE INDEX {} ON {} (id)", Name("i"), table.name);
    case 7:
      return IdentityDdl(table);
    case 8:
      return fmt::format(
          "ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL OR id IS NOT NULL)", table.name,
          Name("k"), name);
    case 9:
      return fmt::format("CREATE VIEW w.{} AS SELECT {} FROM {}", Name("v"), name, table.name);
    case 10: {
      const std::optional<Table> view = PickTable("v");
      return view.has_value() ? fmt::format("DROP VIEW {}", view->name) : "";
    }
    case 11: {
      const std::optional<Table> index = PickTable("i");
      return index.has_value() ? fmt::format("DROP INDEX {}", index->name) : "";
    }
    case 12:
      return fmt::format("ALTER TYPE w.mood ADD VALUE '{}'", Name("m"));
    case 13:
      return fmt::format(
          "CREATE OR REPLACE FUNCTION w.f(int) RETURNS int LANGUAGE sql AS 'SELECT {}'",
          Draw(1, 1000));
    default:
      return fmt::format("ALTER TABLE {} ADD PRIMARY KEY (id)", table.name);
  }
}

std::string Workload::Writer::Ddl() {
  const std::optional<Table> table = PickTable("rp");
  if (!table.has_value()) return NewTable();
  return Chance(60) ? ColumnDdl(*table) : TableDdl(*table);
}

void Workload::Writer::Step() {
  const bool ddl = Chance(20);
  const std::string sql = ddl ? Ddl() : Rows();
  if (Attempt(sql) && ddl) workload_.ddl_.fetch_add(1);
}

void Workload::Writer::Transaction() {
  Execute("BEGIN");
  for (int steps = Draw(1, 6); steps > 0; --steps) {
    if (!Chance(20)) {
      Step();
      continue;
    }
    Execute("SAVEPOINT part");
    for (int inner = Draw(1, 3); inner > 0; --inner) Step();
    // Long enough that it is sent before it is rolled back, if it is large.
    if (Chance(5)) Execute("SELECT pg_sleep(0.3)");
    Execute(Chance(50) ? "ROLLBACK TO SAVEPOINT part" : "RELEASE SAVEPOINT part");
  }
  if (!Chance(12) && Execute("COMMIT")) {
    workload_.committed_.fetch_add(1);
  } else {
    Execute("ROLLBACK");
  }
}

void Workload::Writer::Create() {
  Execute(
      "CREATE SCHEMA w; CREATE TYPE w.mood AS ENUM ('bad', 'fair', 'good');"
      "CREATE DOMAIN w.small AS int CHECK (VALUE < 100)");
  for (int i = 0; i < 4; ++i) Execute(NewTable());
  Execute("CREATE TABLE w.always (id int PRIMARY KEY, v text, m w.mood, s w.small)");
  // A table without a key that has been updated would be refused at the start.
  Execute(
      "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT c.oid FROM pg_class c WHERE relnamespace "
      "= 'w'::regnamespace AND relkind IN ('r', 'p') AND NOT EXISTS (SELECT FROM pg_index WHERE "
      "indrelid = c.oid AND indisprimary) LOOP EXECUTE format('ALTER TABLE %s REPLICA IDENTITY "
      "FULL', t); END LOOP; END $$");
  // Some that have a key send whole rows.
  Execute(fmt::format(
      "DO $$ DECLARE t regclass; n int := {}; BEGIN FOR t IN SELECT c.oid FROM pg_class c WHERE "
      "relnamespace = 'w'::regnamespace AND relkind = 'r' AND NOT relispartition LOOP n := n + 1; "
      "IF n % 3 = 0 THEN EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', t); END IF; END "
      "LOOP; END $$",
      Draw(0, 2)));
  for (int i = 0; i < 8; ++i) {
    const std::optional<Table> table = PickTable("rp");
    if (table.has_value()) Execute(Insert(*table, 2000));
  }
}

void Workload::Writer::Run() {
  running_ = true;
  while (!stop_.stop_requested() && connection_ != nullptr && connection_->healthy()) Transaction();
}

void Workload::Create() { Writer(*this, seed_, {}).Create(); }

void Workload::Start(int writers) {
  for (int i = 0; i < writers; ++i) {
    writers_.emplace_back([this, i](const std::stop_token& stop) {
      Writer(*this, seed_ * 31 + static_cast<uint64_t>(i), stop).Run();
    });
  }
}

}  // namespace pgflow::tests
