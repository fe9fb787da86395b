// Values of 100 MB, far larger than any buffer and budget: they cost memory while they pass,
// nothing else.
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

using LargeValueTest = SharedServerTest;

std::string Sums(const Database& database) {
  return database.Value(
      "SELECT string_agg(format('%s %s %s %s %s', id, v, md5(t), md5(y), md5(j::text)), E'\\n'"
      " ORDER BY id) FROM documents");
}

TEST_F(LargeValueTest, OfTextByteaAndJsonb) {
  source_.Execute(
      "CREATE TABLE documents (id int PRIMARY KEY, v int, t text, y bytea, j jsonb);"
      "ALTER TABLE documents ALTER t SET STORAGE EXTERNAL, ALTER y SET STORAGE EXTERNAL;"
      "INSERT INTO documents VALUES (1, 0, repeat('0123456789', 10000000), NULL, NULL),"
      " (2, 0, NULL, decode(repeat('00ff5c27', 25000000), 'hex'), NULL),"
      " (3, 0, NULL, NULL, (SELECT jsonb_agg(repeat('json \"\\', 70000) || n)"
      "  FROM generate_series(1, 200) n)), (4, 0, NULL, NULL, NULL)");
  RunToCurrent();
  EXPECT_EQ(Sums(source_), Sums(target_)) << "after the snapshot";
  source_.Execute(
      "INSERT INTO documents SELECT id + 10, v, t, y, j FROM documents WHERE id IN (2, 3)");
  source_.Execute("UPDATE documents SET v = v + 1");
  // Several of them in one transaction, one twice, and a small one again.
  source_.Execute(
      "UPDATE documents SET t = repeat('abcdefghij', 10000000) WHERE id IN (1, 4);"
      "UPDATE documents SET v = v + 1, t = t || 'k' WHERE id = 4;"
      "UPDATE documents SET id = -id WHERE id = 1; UPDATE documents SET y = 'short' WHERE id = 12;"
      "DELETE FROM documents WHERE id = 13");
  RunToCurrent();
  EXPECT_EQ(Sums(source_), Sums(target_)) << "after the stream";
}

}  // namespace
}  // namespace pgflow::tests
