// What the sink's integration tests share: one server, a database for each test. Tests only.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/testing/event_builder.h"
#include "engine/testing/scratch_postgres.h"
#include "sinks/postgres/postgres_sink.h"

namespace pgflow::sinks {

// The same changes with values in the types' send formats: int4 and int8; others as they are.
engine::Chunk ToBinary(const engine::Chunk& text);

class SinkFixture : public testing::Test {
 public:
  // A piece of a window: what a table is like from now on, and changes.
  struct Part {
    std::string declaration;  // For EventBuilder::Table; may be empty.
    std::string script;
    bool ends_at_commit = true;  // False: the window ends behind it, in a transaction.
  };

 protected:
  // One server for all tests; it stops with the process.
  static engine::ScratchPostgres& Server() {
    static const std::unique_ptr<engine::ScratchPostgres> server = [] {
      auto made = engine::ScratchPostgres::Make();
      EXPECT_TRUE(made.ok()) << made.status();
      return made.ok() ? *std::move(made) : nullptr;
    }();
    return *server;
  }

  void SetUp() override {
    static int count = 0;
    database_ = fmt::format("db{}", ++count);
    const absl::Status created = Server().CreateDatabase(database_);
    ASSERT_TRUE(created.ok()) << created;
    config_.url = config::Secret(Server().url(database_));
  }

  void Sql(const std::string& sql) {
    const absl::Status status = Server().Execute(sql, database_);
    ASSERT_TRUE(status.ok()) << status << "\n" << sql;
  }
  // A role that may log in and create schemas, and nothing else.
  std::string MakeRole() {
    std::string role = database_ + "_app";
    Sql(fmt::format("CREATE ROLE {0} LOGIN; GRANT CREATE ON DATABASE {1} TO {0}", role, database_));
    return role;
  }
  // Rows as "a,b;c,d"; NULL is "-".
  std::string Rows(const std::string& sql, const std::string& database = "") {
    const auto rows = Server().Query(sql, database.empty() ? database_ : database);
    EXPECT_TRUE(rows.ok()) << rows.status();
    std::string text;
    if (!rows.ok()) return text;
    for (const engine::TextRow& row : *rows) {
      if (!text.empty()) text += ";";
      for (size_t i = 0; i < row.size(); ++i) text += (i == 0 ? "" : ",") + row[i].value_or("-");
    }
    return text;
  }

  std::unique_ptr<engine::Sink> OpenSink() {
    auto sink = PostgresSink::Make(config_);
    EXPECT_TRUE(sink.ok()) << sink.status();
    const absl::Status opened = (*sink)->Open({"test", "target", ""}, {});
    EXPECT_TRUE(opened.ok()) << opened;
    return *std::move(sink);
  }
  static engine::SourceIdentity Identity() { return {7, 1, "shop", "slot"}; }
  void Start() {
    sink_.reset();
    sink_ = OpenSink();
    const absl::Status begun =
        sink_->checkpoint_store()->Begin(Identity(), {postgres::Lsn(1), postgres::Lsn(2)});
    ASSERT_TRUE(begun.ok()) << begun;
  }
  void Reopen() {
    const absl::Status status = sink_->Open({"test", "target", ""}, {});
    ASSERT_TRUE(status.ok()) << status;
  }

  engine::Batch MakeBatch(const std::string& script) {
    engine::Chunk chunk = builder_.Stream(script);
    if (binary_) chunk = ToBinary(chunk);
    return engine::BatchOf(std::make_shared<const engine::Chunk>(std::move(chunk)));
  }
  absl::Status Apply(const std::string& script, bool ends_at_commit = true) {
    engine::Batch batch = MakeBatch(script);
    return ApplyBatches({&batch, 1}, ends_at_commit);
  }
  // As few windows as that makes, with a batch for each part.
  absl::Status ApplyParts(const std::vector<Part>& parts);
  absl::Status ApplyOne(const std::string& changes) {
    return Apply("begin\n" + changes + "\ncommit");
  }
  absl::Status ApplyBatches(std::span<engine::Batch> batches, bool ends_at_commit);
  engine::StreamPoint Checkpoint() {
    const auto checkpoint = sink_->checkpoint_store()->Load();
    EXPECT_TRUE(checkpoint.ok() && checkpoint->has_value()) << checkpoint.status();
    return (*checkpoint)->stream;
  }

  PostgresSinkConfig config_;
  engine::EventBuilder builder_;
  std::string database_;
  std::unique_ptr<engine::Sink> sink_;
  engine::StreamPoint last_;
  uint64_t skipped_ = 0;  // Of the last window.
  bool binary_ = false;
};

}  // namespace pgflow::sinks
