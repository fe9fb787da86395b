// What a server sends before its transaction has ended, with parts that were rolled back: it may
// have read the catalog as it was before somebody else changed it.
//
// The server looks at a table's definition as of the place in its log that it has come to. When it
// comes to a part of a transaction that is known to be rolled back by then, it drops all that it
// holds of the transaction, also the note that somebody else's DDL has taken effect. What comes
// behind is sent with the definitions of before. Here that place is reached each time, because
// pgflow does not run while it is written.
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class InProgressTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        fmt::format("ALTER DATABASE {} SET logical_decoding_work_mem = '64kB'", source_.name));
    source_.Execute(
        "CREATE TABLE item (id int PRIMARY KEY, v int);"
        "INSERT INTO item SELECT i, i FROM generate_series(1, 10) i;"
        "CREATE TABLE first (id int PRIMARY KEY);"
        "CREATE TABLE bulk (id int PRIMARY KEY, filler text);"
        "CREATE TABLE more (id int PRIMARY KEY, filler text)");
  }

  // While pgflow does not run: `ddl` is committed while a transaction is in a savepoint that it
  // rolls back behind so much that it is sent; then the transaction does `change`.
  void ChangeBehindDdl(const std::string& ddl, const std::string& change) {
    auto writer = source_.server->Connect(source_.name);
    ASSERT_TRUE(writer.ok()) << writer.status();
    const auto write = [&](const std::string& sql) {
      const auto done = (*writer)->Execute(sql);
      ASSERT_TRUE(done.ok()) << done.status();
    };
    write("BEGIN; INSERT INTO first VALUES (1); SAVEPOINT part; INSERT INTO bulk VALUES (0, 'x')");
    source_.Execute(ddl);
    write(
        "INSERT INTO bulk SELECT i, repeat('y', 500) FROM generate_series(1, 1000) i;"
        "ROLLBACK TO SAVEPOINT part");
    write(change);
    write("INSERT INTO more SELECT i, repeat('z', 500) FROM generate_series(1, 1000) i; COMMIT");
  }
};

TEST_F(InProgressTest, AColumnThatCameMeanwhileKeepsItsValues) {
  pipeline_.source_options = "    replication: {ddl: true}\n";
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  process->Kill9();
  ChangeBehindDdl("ALTER TABLE item ADD COLUMN c int", "UPDATE item SET c = id * 10");
  const std::string printed = Expect(0, "run", {"--until-current"});
  if (source_.server->version() >= 140000) {  // The older ones send nothing before its end.
    EXPECT_NE(printed.find("only when they have ended"), std::string::npos) << printed;
  }
  ExpectEqual({"public.item", "public.first", "public.bulk", "public.more"});
}

TEST_F(InProgressTest, AlsoWhereTheTargetIsChangedByHand) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  process->Kill9();
  target_.Execute("ALTER TABLE item ADD COLUMN c int");
  ChangeBehindDdl("ALTER TABLE item ADD COLUMN c int", "UPDATE item SET c = id * 10");
  RunToCurrent();
  ExpectEqual({"public.item", "public.first", "public.bulk", "public.more"});
}

// It is asked for transactions in progress as before: large ones need not be sent twice.
TEST_F(InProgressTest, ASavepointAloneCostsNothing) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  process->Kill9();
  ChangeBehindDdl("CREATE TABLE other (id int)", "UPDATE item SET v = id * 10");
  const std::string printed = Expect(0, "run", {"--until-current"});
  EXPECT_EQ(printed.find("only when they have ended"), std::string::npos) << printed;
  ExpectEqual({"public.item", "public.first", "public.bulk", "public.more"});
}

}  // namespace
}  // namespace pgflow::tests
