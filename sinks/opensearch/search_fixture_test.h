// What the sink's integration tests share: one OpenSearch for all of them, new indices for each
// test. Tests only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/config/yaml_reader.h"
#include "engine/testing/event_builder.h"
#include "engine/testing/scratch_opensearch.h"
#include "sinks/opensearch/opensearch_sink.h"

namespace pgflow::sinks {

class SearchFixture : public testing::Test {
 protected:
  static engine::ScratchOpenSearch& Server() { return engine::ScratchOpenSearch::Shared(); }

  void SetUp() override {
    static int count = 0;
    prefix_ = "t" + std::to_string(++count) + "-";
    config_.url = Server().url();
    config_.index = prefix_ + "{table}";
  }

  nlohmann::json Ask(const std::string& method, const std::string& path,
                     const std::string& body = "") {
    const auto answer = Server().Request(method, path, body);
    EXPECT_TRUE(answer.ok()) << answer.status();
    if (!answer.ok()) return {};
    return nlohmann::json::parse(*answer, nullptr, false);
  }
  // The value of an option.
  static config::Node Yaml(const std::string& text) {
    config::Problems problems;
    return config::ParseYaml(text, "test", problems);
  }
  void Refresh() { Ask("POST", "/" + prefix_ + "*/_refresh"); }
  // The document's source as the server keeps it; "-" when there is none.
  std::string Source(const std::string& table, const std::string& id) {
    const auto answer = Server().Request("GET", "/" + prefix_ + table + "/_source/" + id);
    return answer.ok() ? *answer : "-";
  }
  uint64_t Count(const std::string& table, const std::string& query = "{\"match_all\":{}}") {
    Refresh();
    return Ask("POST", "/" + prefix_ + table + "/_count", "{\"query\":" + query + "}")
        .value("count", uint64_t{999999});
  }

  std::unique_ptr<engine::Sink> MakeSink() {
    auto sink = OpenSearchSink::Make(config_);
    EXPECT_TRUE(sink.ok()) << sink.status();
    return *std::move(sink);
  }
  void Start() {
    sink_ = MakeSink();
    Reopen();
  }
  void Reopen() {
    const absl::Status opened = sink_->Open({"test", "search", "shop"}, {});
    ASSERT_TRUE(opened.ok()) << opened;
  }

  absl::StatusOr<engine::WriteResult> Write(const engine::Chunk& chunk, bool ends_at_commit = true,
                                            std::stop_token stop = {}) {
    engine::Batch batch = engine::BatchOf(std::make_shared<const engine::Chunk>(chunk));
    engine::Window window;
    window.batches = {&batch, 1};
    window.ends_at_commit = ends_at_commit;
    window.end = {batch.transactions().back().commit_lsn, batch.transactions().back().end_lsn};
    return sink_->Write(window, std::move(stop));
  }
  absl::Status Apply(const std::string& script) {
    last_ = builder_.Stream(script);
    return Write(last_).status();
  }
  absl::Status ApplyOne(const std::string& changes) {
    return Apply("begin\n" + changes + "\ncommit");
  }
  // The last chunk once more.
  absl::Status Replay() { return Write(last_).status(); }

  engine::TablePlan Plan(const std::string& declaration) {
    engine::TablePlan plan;
    plan.schema = builder_.Table(declaration);
    plan.source_table = plan.schema->table;
    return plan;
  }

  OpenSearchSinkConfig config_;
  std::string prefix_;
  engine::EventBuilder builder_;
  std::unique_ptr<engine::Sink> sink_;
  engine::Chunk last_;
};

}  // namespace pgflow::sinks
