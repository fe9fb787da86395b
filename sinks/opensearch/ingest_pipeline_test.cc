// Documents that go through an ingest pipeline, on a real server.
//
// Ways to break it: a failure is taken for another document's, because the server answers in
// another order; a document that the pipeline drops stays as it was; a replay, or what is copied
// within the server, goes through the pipeline again; a large value is what the pipeline made of
// it; rows go in without a pipeline that is gone.
#include <gmock/gmock.h>

#include "engine/api/copy_again.h"
#include "sinks/opensearch/search_fixture_test.h"

namespace pgflow::sinks {
namespace {

using testing::Contains;
using testing::HasSubstr;

class IngestPipelineTest : public SearchFixture {
 protected:
  void SetUp() override {
    SearchFixture::SetUp();
    const auto ingest = Server().Request("GET", "/_nodes/ingest");
    ASSERT_TRUE(ingest.ok()) << ingest.status();
    if (ingest->find("\"append\"") == std::string::npos) {
      GTEST_SKIP() << "the server was installed without the module of common processors";
    }
    config_.pipeline = prefix_ + "enrich";
    // Not idempotent: what goes through it twice shows.
    PutPipeline(R"({"append":{"field":"tags","value":"seen"}},
      {"script":{"source":"if (ctx.name != null) ctx.name += '!'"}},
      {"drop":{"if":"ctx.name == 'hidden!'"}},
      {"fail":{"if":"ctx.name == 'bad!'","message":"not this one"}},
      {"convert":{"if":"ctx.name == 'worse!'","field":"name","type":"integer"}})");
  }
  void PutPipeline(const std::string& processors) {
    Ask("PUT", "/_ingest/pipeline/" + config_.pipeline, "{\"processors\":[" + processors + "]}");
  }
  void KeyIsId() {
    SearchTableOptions options;
    options.table = "public.*";
    options.key = {"id"};
    config_.tables = {options};
  }
  std::string Name(const std::string& id) {
    const std::string source = Source("items", id);
    return source == "-" ? source : nlohmann::json::parse(source).value("name", "");
  }
};

TEST_F(IngestPipelineTest, EachDocumentGoesThroughItOnce) {
  builder_.Table("public.items (id int4 key, name text) full");
  KeyIsId();
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 one\ninsert items 2 two\ninsert items 3 hidden").ok());
  ASSERT_TRUE(Replay().ok());
  EXPECT_EQ(Name("1"), "one!");
  EXPECT_EQ(Name("3"), "-");
  const engine::Chunk first = last_;
  // One that is dropped now, one that is not any more; values that are not sent come with the old
  // row.
  ASSERT_TRUE(ApplyOne("update items full(2 two) 2 hidden\nupdate items full(3 hidden) 3 three\n"
                       "update items full(1 one) 1 unchanged")
                  .ok());
  EXPECT_EQ(Name("1"), "one!");
  EXPECT_EQ(Name("2"), "-");
  EXPECT_EQ(Name("3"), "three!");
  ASSERT_TRUE(Write(first).ok());
  EXPECT_EQ(Name("2"), "-");
  EXPECT_EQ(Name("3"), "three!");
  EXPECT_EQ(Count("items"), 2U);
}

// The server answers for those that a pipeline refuses in the order of its threads.
TEST_F(IngestPipelineTest, WhatItRefusesIsThatDocument) {
  builder_.Table("public.items (id int4 key, name text) full");
  builder_.Table("public.others (id int4 key, name text) full");
  KeyIsId();
  Start();
  std::string changes;
  for (int i = 1; i <= 40; ++i) {
    const char* name = i % 10 == 3 ? "bad" : i % 10 == 5 ? "worse" : i % 10 == 7 ? "hidden" : "ok";
    changes += fmt::format("insert items {0} {1}\ninsert others {0} fine\n", i, name);
  }
  last_ = builder_.Stream("begin\n" + changes + "commit");
  const auto written = Write(last_);
  ASSERT_TRUE(written.ok()) << written.status();
  std::vector<uint64_t> refused;
  for (const engine::Rejection& rejection : written->rejections) {
    refused.push_back(rejection.position.ordinal / 2 + 1);
    EXPECT_THAT(rejection.error.message(), HasSubstr("refused document"));
  }
  std::ranges::sort(refused);
  EXPECT_THAT(refused, testing::ElementsAre(3, 5, 13, 15, 23, 25, 33, 35));
  EXPECT_EQ(Count("items"), 28U);
  EXPECT_EQ(Count("others"), 40U);
}

TEST_F(IngestPipelineTest, WithoutItNothingIsWritten) {
  builder_.Table("public.items (id int4 key, n int4)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 1").ok());
  Ask("DELETE", "/_ingest/pipeline/" + config_.pipeline);
  const absl::Status status = ApplyOne("insert items 2 2");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("does not exist"));
  EXPECT_EQ(Count("items"), 1U);
  auto sink = MakeSink();
  const std::vector<engine::TablePlan> plans = {Plan("public.items (id int4 key, n int4)")};
  const auto found = sink->Check({}, plans, {});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, Contains(testing::Field(&engine::Finding::remedy,
                                              HasSubstr("PUT _ingest/pipeline/"))));
}

TEST_F(IngestPipelineTest, LargeValuesNeedTheWholeRow) {
  auto sink = MakeSink();
  const std::vector<engine::TablePlan> plans = {Plan("public.items (id int4 key, name text)")};
  const auto found = sink->Check({}, plans, {});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, Contains(testing::Field(&engine::Finding::problem,
                                              HasSubstr("REPLICA IDENTITY FULL"))));
  builder_.Table("public.items (id int4 key, name text)");
  Start();
  const absl::Status status = ApplyOne("insert items 1 one");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
}

// What was renamed in a document is not what the pipeline would make of the row.
TEST_F(IngestPipelineTest, ARenamedColumnAsksForACopy) {
  builder_.Table("public.items (id int4 key, n int4, m int4)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 1 1").ok());
  builder_.Table("public.items (id int4 key, n int4)");
  const absl::Status status = ApplyOne("insert items 2 2");
  EXPECT_THAT(status.message(), HasSubstr("copy the table again")) << status;
  EXPECT_FALSE(engine::TablesToCopyAgain(status).empty()) << status;
}

TEST_F(IngestPipelineTest, OneThatMovesDocumentsIsRefused) {
  builder_.Table("public.items (id int4 key, n int4)");
  Start();
  PutPipeline(R"({"set":{"field":"_id","value":"x"}})");
  EXPECT_THAT(ApplyOne("insert items 1 1").message(), HasSubstr("another _id"));
  Reopen();
  PutPipeline(R"({"set":{"field":"_version","value":7}})");
  EXPECT_THAT(ApplyOne("insert items 2 2").message(), HasSubstr("another _version"));
}

TEST_F(IngestPipelineTest, FieldsOfItsMakingAreMapped) {
  builder_.Table("public.items (id int4 key, n int4)");
  SearchTableOptions options;
  options.table = "public.items";
  options.mapping = Yaml("{tags: {type: keyword}}");
  config_.tables = {options};
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 1").ok());
  EXPECT_EQ(Count("items", R"({"term":{"tags":"seen"}})"), 1U);
}

}  // namespace
}  // namespace pgflow::sinks
