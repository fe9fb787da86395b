// Against a real server.
#include "schemas/catalog.h"

#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/testing/scratch_postgres.h"

namespace pgflow::schemas {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CatalogTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto server = engine::ScratchPostgres::Make();
    ASSERT_TRUE(server.ok()) << server.status();
    shared_server = *std::move(server);
  }
  static void TearDownTestSuite() { shared_server.reset(); }

  void SetUp() override {
    static int count = 0;
    database_ = fmt::format("catalog{}", ++count);
    ASSERT_TRUE(shared_server->CreateDatabase(database_).ok());
    auto connection = shared_server->Connect(database_);
    ASSERT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
  }

  static void Run(postgres::Connection& connection, const std::string& sql) {
    const auto result = connection.Execute(sql);
    ASSERT_TRUE(result.ok()) << result.status();
  }
  void Run(const std::string& sql) { Run(*connection_, "SET search_path = public; " + sql); }

  Catalog Read(const std::vector<std::string>& include,
               const std::vector<std::string>& exclude = {}) {
    const auto filter = TableFilter::Make(include, exclude);
    EXPECT_TRUE(filter.ok()) << filter.status();
    Run(*connection_, "SET search_path = pg_catalog");
    auto catalog = ReadCatalog(*connection_, *filter, CatalogDepth::kSizes, {});
    EXPECT_TRUE(catalog.ok()) << catalog.status();
    return catalog.ok() ? *std::move(catalog) : Catalog();
  }

  static inline std::unique_ptr<engine::ScratchPostgres> shared_server;
  std::string database_;
  std::unique_ptr<postgres::Connection> connection_;
};

std::vector<std::string> Names(const Catalog& catalog) {
  std::vector<std::string> names;
  for (const CatalogTable& table : catalog.tables) names.push_back(table.schema->table.ToString());
  return names;
}

TEST_F(CatalogTest, ReadsColumnsKeysAndIdentity) {
  Run("CREATE SCHEMA \"Sales\";"
      "CREATE TABLE \"Sales\".\"Order Line\" (id bigint GENERATED ALWAYS AS IDENTITY, gone int, "
      "\"Item\" text COLLATE \"C\" NOT NULL DEFAULT 'x', twice bigint GENERATED ALWAYS AS (id * 2) "
      "STORED, amount numeric(10,2), PRIMARY KEY (\"Item\", id) INCLUDE (amount));"
      "ALTER TABLE \"Sales\".\"Order Line\" DROP COLUMN gone");
  const Catalog catalog = Read({"Sales.*"});
  ASSERT_EQ(catalog.tables.size(), 1);
  const CatalogTable& table = catalog.tables[0];
  const TableSchema& schema = *table.schema;
  ASSERT_EQ(schema.columns.size(), 3);
  EXPECT_EQ(schema.columns[0].name, "id");
  EXPECT_EQ(schema.columns[1].name, "Item");
  EXPECT_EQ(schema.columns[1].attribute_number, 3);
  EXPECT_EQ(schema.columns[2].type_name, "numeric");
  EXPECT_TRUE(schema.columns[0].identity && schema.columns[1].identity);
  EXPECT_FALSE(schema.columns[2].identity);
  EXPECT_EQ(schema.columns[0].primary_key, 2);
  EXPECT_EQ(schema.columns[1].primary_key, 1);
  EXPECT_EQ(schema.columns[2].primary_key, 0);
  EXPECT_TRUE(table.has_primary_key);
  EXPECT_TRUE(table.binary_obstacle.empty());
  EXPECT_NE(table.filenode, 0U);

  ASSERT_EQ(catalog.definition.tables.size(), 1);
  const TableDefinition& definition = catalog.definition.tables[0];
  ASSERT_EQ(definition.columns.size(), 4);
  EXPECT_EQ(definition.columns[0].identity, 'a');
  EXPECT_EQ(definition.columns[1].default_sql, "'x'::text");
  EXPECT_THAT(definition.columns[1].collation_sql, HasSubstr("\"C\""));
  EXPECT_EQ(definition.columns[2].generated, 's');
  EXPECT_EQ(definition.columns[3].type_sql, "numeric(10,2)");
  ASSERT_TRUE(definition.primary_key.has_value());
  EXPECT_THAT(definition.primary_key->attribute_numbers, ElementsAre(3, 1));
}

TEST_F(CatalogTest, NamesTheUniqueIndexesOfColumns) {
  Run("CREATE TABLE u (id int PRIMARY KEY, mail text, a int, b int, kept int, note text, "
      "gone timestamptz, name text, word text, CONSTRAINT u_a_b UNIQUE (a, b) INCLUDE (kept));"
      "CREATE UNIQUE INDEX u_mail ON u (lower(mail), name) WHERE gone IS NULL AND name <> '';"
      "CREATE INDEX u_note ON u (note)");
  if (connection_->server_version() >= 150000) {
    Run("CREATE UNIQUE INDEX u_word ON u (word) NULLS NOT DISTINCT");
  }
  const Catalog catalog = Read({"public.u"});
  std::vector<std::string> found;
  for (const Column& column : catalog.tables.at(0).schema->columns) {
    found.push_back(column.unique_index + (column.unique_nulls ? " nulls" : ""));
  }
  const bool distinct_nulls = connection_->server_version() < 150000;
  EXPECT_THAT(found, ElementsAre("", "u_mail nulls", "u_a_b", "u_a_b", "", "", "u_mail nulls",
                                 "u_mail", distinct_nulls ? "" : "u_word nulls"));
}

// Before version 18, where the server refuses its updates (hides_identity).
TEST_F(CatalogTest, AGeneratedColumnIsNoPartOfAFullIdentity) {
  if (connection_->server_version() >= 180000) GTEST_SKIP();
  Run("CREATE TABLE g (a int, b int GENERATED ALWAYS AS (a + 1) STORED);"
      "ALTER TABLE g REPLICA IDENTITY FULL");
  EXPECT_TRUE(Read({"public.*"}).problems.empty());
}

TEST_F(CatalogTest, PartitionsFollowTheirRoot) {
  Run("CREATE TABLE m (at date, v int) PARTITION BY RANGE (at);"
      "CREATE TABLE m_2024 PARTITION OF m FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') "
      "PARTITION BY LIST (v);"
      "CREATE TABLE m_2024_1 PARTITION OF m_2024 FOR VALUES IN (1);"
      "CREATE TABLE m_rest PARTITION OF m DEFAULT;"
      "CREATE TABLE plain (a int); CREATE UNLOGGED TABLE fast (a int); CREATE VIEW v AS SELECT 1");
  const Catalog catalog = Read({"public.m", "public.plain", "public.fast", "public.none"});
  EXPECT_THAT(Names(catalog), ElementsAre("public.m_2024_1", "public.m_rest", "public.plain"));
  EXPECT_EQ(catalog.published, (std::vector<TableName>{{"public", "m"}, {"public", "plain"}}));
  ASSERT_EQ(catalog.definition.tables.size(), 5);
  EXPECT_EQ(catalog.definition.tables[0].table.name, "m");
  EXPECT_TRUE(catalog.definition.tables[0].partitioned);
  EXPECT_EQ(catalog.definition.tables[0].partition_key_sql, "RANGE (at)");
  EXPECT_EQ(catalog.definition.tables[4].table.name, "m_2024_1");
  EXPECT_EQ(catalog.definition.tables[4].parent->name, "m_2024");
  EXPECT_EQ(catalog.definition.tables[4].partition_bound_sql, "FOR VALUES IN (1)");
  // No identity: three leaves; unlogged: fast; no match: none.
  EXPECT_EQ(catalog.problems.size(), 5);

  const Catalog alone = Read({"public.m_rest"});
  EXPECT_EQ(alone.published, (std::vector<TableName>{{"public", "m_rest"}}));
  EXPECT_FALSE(alone.definition.tables[0].parent.has_value());
  const Catalog contradiction = Read({"public.m"}, {"public.m_rest"});
  EXPECT_TRUE(contradiction.problems[0].fatal);
}

TEST_F(CatalogTest, DefinesTypesInOrderAndFindsWhatBinaryCannotCarry) {
  Run("CREATE TYPE mood AS ENUM ('sad', 'it''s ok');"
      "CREATE DOMAIN positive AS int CHECK (VALUE > 0);"
      "CREATE DOMAIN more AS positive NOT NULL DEFAULT 3;"
      "CREATE TYPE pair AS (a int, m mood);"
      "CREATE TYPE floatrange AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);"
      "CREATE TABLE fine (p more, m mood, r floatrange, i int[], t text);"
      "CREATE TABLE moods (m mood[]); CREATE TABLE pairs (p pair); CREATE TABLE regs (c regclass)");
  const Catalog catalog = Read({"public.*"});
  EXPECT_THAT(Names(catalog),
              ElementsAre("public.fine", "public.moods", "public.pairs", "public.regs"));
  EXPECT_EQ(catalog.tables[0].binary_obstacle, "");
  EXPECT_THAT(catalog.tables[1].binary_obstacle, HasSubstr("column m"));
  EXPECT_NE(catalog.tables[2].binary_obstacle, "");
  EXPECT_NE(catalog.tables[3].binary_obstacle, "");
  const auto& columns = catalog.tables[0].schema->columns;
  EXPECT_EQ(columns[0].wire_type, postgres::oid::kInt4);
  EXPECT_EQ(columns[0].type_name, "public.more");
  EXPECT_EQ(columns[1].wire_type, postgres::oid::kText);
  EXPECT_EQ(columns[3].wire_type, 0U);
  EXPECT_EQ(catalog.tables[1].schema->columns[0].wire_type, 1009U);

  ASSERT_EQ(catalog.definition.objects.size(), 5);
  // The statements build the same types again.
  Run("CREATE SCHEMA again");
  for (const ObjectDefinition& type : catalog.definition.objects) {
    std::string sql = type.create_sql;
    for (size_t at = 0; (at = sql.find("public", at)) != std::string::npos;) {
      sql.replace(at, 6, "again");
    }
    Run(sql);
  }
}

TEST_F(CatalogTest, NamesWhatIsMissing) {
  Run("CREATE TABLE a (x int)");
  const Catalog misspelt = Read({"public.b"});
  ASSERT_EQ(misspelt.problems.size(), 1u);
  EXPECT_TRUE(misspelt.problems[0].fatal && misspelt.problems[0].nothing_chosen);
  EXPECT_NE(misspelt.problems[0].text.find("tables.include"), std::string::npos);
}

// Tables may come later.
TEST_F(CatalogTest, ADatabaseWithoutTablesIsNoMistake) {
  for (const char* pattern : {"*.*", "public.b"}) {
    const Catalog empty = Read({pattern});
    ASSERT_EQ(empty.problems.size(), 1u);
    EXPECT_TRUE(!empty.problems[0].fatal && empty.problems[0].nothing_chosen);
    EXPECT_TRUE(empty.tables.empty());
  }
}

// A table that is dropped between two of its statements has no columns, and no key.
TEST_F(CatalogTest, SeesACommandWhole) {
  Run("CREATE TABLE kept (id int PRIMARY KEY)");
  auto other = shared_server->Connect(database_);
  ASSERT_TRUE(other.ok()) << other.status();
  std::jthread changes([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      Run(**other, "CREATE TABLE public.gone (id int PRIMARY KEY)");
      Run(**other, "DROP TABLE public.gone");
    }
  });
  for (int i = 0; i < 200; ++i) ASSERT_EQ(Read({"*.*"}).problems.size(), 0u);
}

}  // namespace
}  // namespace pgflow::schemas
