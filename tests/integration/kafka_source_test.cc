// Through Kafka and out again: what one pgflow wrote to topics, others read back and apply, each
// change once, whoever of them dies.
#include <csignal>
#include <optional>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "tests/integration/broker_test.h"

namespace pgflow::tests {
namespace {

class KafkaSourceTest : public BrokerTest {
 protected:
  // The same definition on both sides: the log brings rows, not tables.
  void Define(const std::string& sql) const {
    source_.Execute(sql);
    target_.Execute(sql);
  }
  void WriteWith(int partitions, const std::string& encoding = "{relations: true}",
                 const std::string& more = "") {
    pipeline_.sinks = {
        fmt::format("kafka: {{brokers: [\"{}\"], prefix: {}, partitions: {}, encoding: {}{}}}",
                    broker->bootstrap(), pipeline_.name, partitions, encoding, more)};
  }
  std::string ApplierYaml(const std::string& options, const std::string& sinks) const {
    return fmt::format(
        "name: {5}\n"
        "source: {{kafka: {{brokers: [\"{1}\"], topics: [\"^{0}[.]public[.].*\"],"
        " session_timeout: 6s{2}}}}}\n"
        "sinks:\n  - {3}\n"
        "state: {{directory: \"{4}\"}}\n",
        pipeline_.name, broker->bootstrap(), options,
        sinks.empty() ? fmt::format("{{postgres: {{url: \"{}\"}}}}", target_.url()) : sinks,
        directory_ / "applier", ("apply_" + pipeline_.name).substr(0, 40));
  }
  std::unique_ptr<PgflowProcess> StartApplier(const std::string& command = "run",
                                              const std::vector<std::string>& more = {},
                                              const std::string& options = "",
                                              const std::string& sinks = "") {
    const std::string file = directory_ / "apply.yaml";
    WriteFile(file, ApplierYaml(options, sinks));
    std::vector<std::string> arguments = {command, file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return PgflowProcess::Start({.arguments = std::move(arguments),
                                 .output_file = directory_ / fmt::format("applier{}.log", ++count_),
                                 .file_bytes_max = 0});
  }
  std::string ApplyToCurrent(int code = 0) {
    const auto process = StartApplier("run", {"--until-current"});
    EXPECT_EQ(process->WaitForExit(), code) << process->Output();
    return process->Output();
  }
  void CopyAndExpectEqual(const std::vector<std::string>& tables) {
    RunToCurrent();
    const std::string output = ApplyToCurrent();
    EXPECT_EQ(Difference(source_, target_, tables), "") << output;
  }
  // How many partitions the target has a checkpoint of.
  std::string CheckpointCount() const {
    return target_.ValueIfAny("SELECT count(*) FROM pgflow.checkpoint");
  }

  int count_ = 0;
};

constexpr const char* kTypes =
    "CREATE TYPE mood AS ENUM ('fine', 'so so'); CREATE TYPE pair AS (a int, b text);"
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0);"
    "CREATE TABLE types (id bigint PRIMARY KEY, i2 int2, i4 int4, n numeric, f4 real,"
    " f8 float8, ok bool, t text, v varchar(20), c char(5), b bytea, j json, jb jsonb, u uuid,"
    " d date, ti time, tz timetz, ts timestamp, tstz timestamptz, iv interval, ia int[], ta text[],"
    " ja jsonb[], m mood, ma mood[], p pair, pa pair[], po positive, r int4range, mo money,"
    " inet inet, bits varbit, pt point, x xml, tsv tsvector);";

constexpr const char* kRows =
    "INSERT INTO types VALUES"
    " (1, -32768, 2147483647, 1234567890123456789012345678901234567890.0123456789, 1e-40, 1e300,"
    "  true, E'a \"b\" \\\\ \\n\\t é 日 😀', 'v', 'c', '\\x00ff10', ' {\"a\" : 1,\n \"a\":2} ',"
    "  '{\"a\": [1, null, \"x\"], \"n\": 123456789012345678901234567890.5}',"
    "  '00000000-0000-0000-0000-0000000000ff', '2026-01-31', '23:59:59.999999', '12:00:00+05:30',"
    "  '2026-01-31 12:00:00.000001', '2026-01-31 12:00:00.5+02', '1 year 2 mons -3 days "
    "04:05:06.7',"
    "  '{{1,2},{3,NULL}}', ARRAY['', NULL, 'NULL', '\"', '{}', ','], ARRAY['null', '{}']::jsonb[],"
    "  'so so', '{fine,\"so so\"}', '(1,\"x, \\\"y\\\"\")', ARRAY[ROW(1, NULL)::pair, NULL], 7,"
    "  '[1,5)', '12.34', '10.0.0.0/8', '10110', '(1.5,-2)', '<a>b</a>', 'fat:2 cat:3');"
    "INSERT INTO types VALUES (2, 0, 0, 'NaN', 'NaN', '-Infinity', false, '', '', '', '', 'null', "
    "'null', NULL, 'infinity',"
    "  '00:00', '00:00+00', '-infinity', 'infinity', '0', '{}', '{}', '{}', 'fine', '{}', '(,)',"
    "  '{}', NULL, 'empty', '-0.01', '::1', '', '(0,0)', '', '');"
    "INSERT INTO types VALUES (3, 1, 1, '1.500', '-0', '-0', NULL, 'null', '{}', 'true', '\\x', "
    "'\"text\"', '\"text\"', "
    "NULL,"
    "  '0044-03-15 BC', '24:00', '00:00-15:59', '0044-03-15 00:00:00 BC', '294276-12-31', '-1 "
    "day');"
    "INSERT INTO types VALUES (4);";

TEST_F(KafkaSourceTest, EveryValueComesOutAsItWentIn) {
  Define(kTypes);
  source_.Execute(kRows);
  // Whose binary form is no other database's, so that the stream would be text.
  Define("ALTER TABLE types DROP p, DROP pa, DROP ma");
  WriteWith(1);
  CopyAndExpectEqual({"types"});
  // The same by the stream.
  source_.Execute(
      "CREATE TEMP TABLE kept AS SELECT * FROM types; DELETE FROM types;"
      "INSERT INTO types SELECT * FROM kept; UPDATE types SET id = id + 10, t = t || '!'");
  CopyAndExpectEqual({"types"});
  EXPECT_EQ(target_.Value("SELECT sum(id) FROM types"), "50");
}

TEST_F(KafkaSourceTest, ValuesThatComeAsTextDoToo) {
  Define(kTypes);
  source_.Execute(kRows);
  pipeline_.source_options = "    binary: off\n";
  WriteWith(3);
  CopyAndExpectEqual({"types"});
  source_.Execute("UPDATE types SET id = id + 10; UPDATE types SET n = n + 1, jb = 'null'");
  CopyAndExpectEqual({"types"});
}

TEST_F(KafkaSourceTest, EveryKindOfChangeIsApplied) {
  Define(
      "CREATE TABLE t (id int PRIMARY KEY, v int, big text);"
      "CREATE TABLE whole (a int, b text); ALTER TABLE whole REPLICA IDENTITY FULL;"
      "ALTER TABLE t ALTER big SET STORAGE EXTERNAL");
  source_.Execute(
      "INSERT INTO t SELECT i, i, repeat('x', 5000) FROM generate_series(1, 200) i;"
      "INSERT INTO whole SELECT i / 2, 'w' FROM generate_series(1, 100) i");
  WriteWith(1);
  CopyAndExpectEqual({"t", "whole"});
  source_.Execute("UPDATE t SET v = v + 1 WHERE id % 2 = 0");        // Large values not sent.
  source_.Execute("UPDATE t SET id = id + 1000 WHERE id % 10 = 0");  // The same, and a new key.
  source_.Execute("DELETE FROM t WHERE id % 7 = 0; UPDATE whole SET b = 'x' WHERE a < 9");
  source_.Execute("DELETE FROM whole WHERE ctid IN (SELECT min(ctid) FROM whole)");
  CopyAndExpectEqual({"t", "whole"});
  source_.Execute(
      "TRUNCATE t; INSERT INTO t VALUES (1, 1, 'new'); TRUNCATE whole; INSERT INTO whole VALUES "
      "(1)");
  CopyAndExpectEqual({"t", "whole"});
  // What is behind us does not come again, and nothing is left of the pipeline when it goes.
  EXPECT_EQ(CheckpointCount(), "2");
  const auto process = StartApplier("destroy");
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  EXPECT_EQ(CheckpointCount(), "0");
}

TEST_F(KafkaSourceTest, ATruncateOfSeveralPartitionsHappensOnce) {
  Define("CREATE TABLE t (id int PRIMARY KEY, v int)");
  source_.Execute("INSERT INTO t SELECT i, 0 FROM generate_series(1, 2000) i");
  WriteWith(5);
  RunToCurrent();
  for (int round = 1; round <= 3; ++round) {
    source_.Execute(fmt::format(
        "TRUNCATE t; INSERT INTO t SELECT i, {} FROM generate_series(1, 2000) i", round));
  }
  source_.Execute("DELETE FROM t WHERE id % 3 = 0");
  RunToCurrent();
  const auto one = StartApplier();
  const auto other = StartApplier();
  ExpectEqualSoon({"t"}, *one);
  EXPECT_TRUE(one->Printed("waiting for the other partitions") ||
              other->Printed("waiting for the other partitions"));
  source_.Execute("TRUNCATE t; INSERT INTO t VALUES (7, 7)");
  RunToCurrent();
  ExpectEqualSoon({"t"}, *other);
  for (const auto& process : {one.get(), other.get()}) {
    process->Signal(SIGTERM);
    EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  }
}

TEST_F(KafkaSourceTest, EnvelopesOfDebeziumAreApplied) {
  Define(
      "CREATE TABLE t (id bigint PRIMARY KEY, n numeric, m numeric(12,3), d date, ts timestamp,"
      " tstz timestamptz, b bytea, j jsonb, u uuid, a int[], ta text[], f float8, big text, ok "
      "bool);"
      "ALTER TABLE t ALTER big SET STORAGE EXTERNAL;"
      "CREATE TABLE whole (a int, b text); ALTER TABLE whole REPLICA IDENTITY FULL");
  source_.Execute(
      "INSERT INTO t SELECT i, -12345678901234567890.5 * i, i / 8.0, date '1999-12-31' + i,"
      " timestamp '2026-01-31 12:00:00.000001' - i * interval '50 years', now(), '\\x00ff',"
      " '{\"a\": [1, null]}', gen_random_uuid(), ARRAY[i, NULL], ARRAY['a \"b\"', NULL, ''],"
      " 'Infinity', repeat('x', 5000), i % 2 = 0 FROM generate_series(1, 100) i;"
      "INSERT INTO t (id, d, ts, tstz) VALUES (1000, 'infinity', '-infinity', 'infinity');"
      "INSERT INTO whole VALUES (1, 'a'), (1, 'a'), (2, NULL)");
  WriteWith(1, "{format: debezium, debezium: {schemas: true, skipped_operations: [none]}}");
  RunToCurrent();
  const auto apply = [&] {
    const auto process = StartApplier("run", {"--until-current"}, ", format: debezium");
    EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
    EXPECT_EQ(Difference(source_, target_, {"t", "whole"}), "") << process->Output();
  };
  apply();
  source_.Execute(
      "UPDATE t SET n = 0 WHERE id % 2 = 0; DELETE FROM t WHERE id % 7 = 0;"
      "UPDATE t SET id = id + 500, big = 'sent' WHERE id % 5 = 0; UPDATE whole SET b = 'z'");
  RunToCurrent();
  apply();
  source_.Execute("TRUNCATE t; INSERT INTO t (id) VALUES (7)");
  RunToCurrent();
  apply();
}

TEST_F(KafkaSourceTest, WhatCannotBeReadIsSaid) {
  Define("CREATE TABLE t (id int PRIMARY KEY, v int)");
  source_.Execute("INSERT INTO t VALUES (1, 1)");
  WriteWith(1, "{format: json}");
  RunToCurrent();
  const std::string output = ApplyToCurrent(1);
  EXPECT_NE(output.find("encoding.relations: true"), std::string::npos) << output;
  EXPECT_NE(output.find("partition 0: offset 0"), std::string::npos) << output;
}

class KafkaGroupTest : public KafkaSourceTest {
 protected:
  void SetUp() override {
    KafkaSourceTest::SetUp();
    // Without a key a row that comes twice shows; all of them are in one partition.
    Define(
        "CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE notes (id int, v text);"
        "ALTER TABLE notes REPLICA IDENTITY FULL");
    source_.Execute("INSERT INTO t SELECT i, 0 FROM generate_series(1, 500) i");
    WriteWith(6);
    writer_ = Run();
    ASSERT_TRUE(writer_->WaitForOutput("streaming from")) << writer_->Output();
  }

  void Work(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      ++round_;
      source_.Execute(fmt::format(
          "BEGIN; UPDATE t SET v = {0} WHERE id % 17 = {0} % 17; INSERT INTO t VALUES (1000 + {0}, "
          "{0}); INSERT INTO notes VALUES ({0}, 'n'); COMMIT;"
          "UPDATE t SET id = id + 100000 WHERE id = 1000 + {0} - 20; DELETE FROM t WHERE id = "
          "100000 + 1000 + {0} - 40",
          round_));
    }
  }
  void ExpectEqualAtLast(PgflowProcess& process) { ExpectEqualSoon({"t", "notes"}, process); }

  std::unique_ptr<PgflowProcess> writer_;
  int round_ = 0;
};

TEST_F(KafkaGroupTest, AnApplierThatIsKilledLosesAndRepeatsNothing) {
  for (int life = 0; life < 6; ++life) {
    const auto applier = StartApplier();
    ASSERT_TRUE(applier->WaitForOutput("reading from offset")) << applier->Output();
    Work(15 + 10 * (life % 3));
    EXPECT_TRUE(applier->running()) << applier->Output();
    applier->Kill9();
  }
  const auto applier = StartApplier();
  Work(10);
  ExpectEqualAtLast(*applier);
  applier->Signal(SIGTERM);
  EXPECT_EQ(applier->WaitForExit(), 0) << applier->Output();
}

TEST_F(KafkaGroupTest, AppliersShareThePartitionsAndTakeOver) {
  const auto one = StartApplier();
  ASSERT_TRUE(one->WaitForOutput("reading from offset")) << one->Output();
  Work(20);
  auto other = StartApplier();
  ASSERT_TRUE(one->WaitForOutput("goes to another process")) << one->Output();
  ASSERT_TRUE(other->WaitForOutput("reading from offset")) << other->Output();
  Work(20);
  ExpectEqualAtLast(*one);
  // A clean end gives them back at once, a death when the session is over.
  other->Signal(SIGTERM);
  EXPECT_EQ(other->WaitForExit(), 0) << other->Output();
  Work(20);
  ExpectEqualAtLast(*one);
  other = StartApplier();
  ASSERT_TRUE(other->WaitForOutput("reading from offset")) << other->Output();
  one->Kill9();
  Work(20);
  ExpectEqualAtLast(*other);
}

TEST_F(KafkaGroupTest, OneThatSleptThroughItsReplacementWritesNoMore) {
  const auto sleeper = StartApplier();
  ASSERT_TRUE(sleeper->WaitForOutput("reading from offset")) << sleeper->Output();
  Work(20);
  ExpectEqualAtLast(*sleeper);
  sleeper->Signal(SIGSTOP);
  const auto other = StartApplier();
  Work(20);
  ExpectEqualAtLast(*other);
  sleeper->Signal(SIGCONT);
  for (int i = 0; i < 10; ++i) {
    Work(5);
    absl::SleepFor(absl::Milliseconds(300));
  }
  ExpectEqualAtLast(*other);
  EXPECT_TRUE(sleeper->running()) << sleeper->Output();
}

TEST_F(KafkaGroupTest, OtherSinksBeginWhereTheGroupStands) {
  const std::string sink = fmt::format("{{stdout: {{file: \"{}\"}}}}", FileSinkPath());
  const auto lines = [&] { return CountOf(ReadFile(FileSinkPath()), "\n"); };
  auto applier = StartApplier("run", {}, "", sink);
  EXPECT_TRUE(Eventually([&] { return lines() == 500; })) << applier->Output();
  applier->Signal(SIGTERM);
  EXPECT_EQ(applier->WaitForExit(), 0) << applier->Output();
  source_.Execute("INSERT INTO notes SELECT i, 'x' FROM generate_series(1, 30) i");
  applier = StartApplier("run", {}, "", sink);
  EXPECT_TRUE(Eventually([&] { return lines() >= 530; })) << applier->Output();
  applier->Signal(SIGTERM);
  EXPECT_EQ(applier->WaitForExit(), 0) << applier->Output();
  EXPECT_EQ(lines(), 530U);
}

}  // namespace
}  // namespace pgflow::tests
