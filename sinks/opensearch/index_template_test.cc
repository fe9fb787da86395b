// The server's own index templates, on a real server.
//
// Ways to break it: the sink's derived mapping overwrites what a template says of a column; the
// document has the form of another mapping; a rebuilt index, or one that the file's options make
// anew, forgets the template; a template's alias shows an index that is only filled; a template
// leaves fields out of what documents are kept by.
#include <gmock/gmock.h>

#include "sinks/opensearch/search_fixture_test.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;

class IndexTemplateTest : public SearchFixture {
 protected:
  void PutTemplate(const std::string& content, const std::string& more = "") {
    Ask("PUT", "/_index_template/" + prefix_ + "mine",
        R"({"index_patterns":[")" + prefix_ + R"(items-*"],"priority":7)" + more +
            R"(,"template":)" + content + "}");
    // Another one that counts less.
    Ask("PUT", "/_index_template/" + prefix_ + "less",
        R"({"index_patterns":[")" + prefix_ +
            R"(*"],"priority":3,"template":{"settings":)"
            R"({"number_of_shards":3}}})");
  }
  void TearDown() override {
    for (const char* name : {"mine", "less"}) {
      static_cast<void>(Server().Request("DELETE", "/_index_template/" + prefix_ + name));
    }
  }
  json Index() { return Ask("GET", "/" + prefix_ + "items").begin().value(); }
  json MappingOf(const std::string& field) {
    return Index()["mappings"]["properties"].value(field, json());
  }
  std::vector<engine::Finding> Check() {
    auto sink = MakeSink();
    const std::vector<engine::TablePlan> plans = {Plan("public.items (id int4 key, name text)")};
    const auto found = sink->Check({}, plans, {});
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? *found : std::vector<engine::Finding>();
  }
  void MapColumn(const std::string& mapping) {
    SearchTableOptions options;
    options.table = "public.items";
    options.mapping = Yaml(mapping);
    config_.tables = {options};
  }
};

TEST_F(IndexTemplateTest, HoldsWhereTheFileSaysNothing) {
  PutTemplate(R"({"settings":{"number_of_shards":2,"refresh_interval":"7s"},
    "aliases":{")" +
              prefix_ + R"(all":{"filter":{"term":{"id":1}}}},
    "mappings":{"dynamic":"strict","properties":{"name":{"type":"keyword","normalizer":"lowercase"},
      "note":{"type":"keyword"},"later":{"type":"keyword"},
      "data":{"type":"object","enabled":false}}}})");
  MapColumn("{note: {type: text}}");
  EXPECT_THAT(Check(), Contains(Field(&engine::Finding::problem,
                                      HasSubstr("the index template " + prefix_ + "mine"))));
  builder_.Table("public.items (id int4 key, name text, note text, data jsonb)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 ONE 'a note' '[1]'").ok());
  EXPECT_EQ(MappingOf("name"), (json{{"type", "keyword"}, {"normalizer", "lowercase"}}));
  EXPECT_EQ(MappingOf("note")["type"], "text");
  EXPECT_EQ(Index()["mappings"]["dynamic"], "strict");
  EXPECT_EQ(Index()["settings"]["index"]["number_of_shards"], "2");
  EXPECT_EQ(Index()["settings"]["index"]["refresh_interval"], "7s");
  EXPECT_TRUE(Index()["aliases"].contains(prefix_ + "all"));
  EXPECT_EQ(Source("items", "1"), R"({"id":1,"name":"ONE","note":"a note","data":[1]})");
  EXPECT_EQ(Count("items", R"({"term":{"name":"one"}})"), 1U);
  // Another template now: it is for new indices, and this one goes on as it is.
  PutTemplate(R"({"mappings":{"properties":{"name":{"type":"text"},"later":{"type":"date"}}}})");
  Reopen();
  builder_.Table(
      "public.items (id int4 key, name text, note text, data jsonb, later int8, x int8)");
  ASSERT_TRUE(ApplyOne("insert items 2 TWO 'a note' '{}' 22 5").ok());
  EXPECT_EQ(MappingOf("later")["type"], "keyword");
  EXPECT_EQ(MappingOf("x")["type"], "long");
  builder_.Table("public.items (id int4 key, name text, note text, data jsonb, later int8)");
  const absl::Status rebuilt = ApplyOne("insert items 3 one 'a note' '[3]' 33");
  ASSERT_TRUE(rebuilt.ok()) << rebuilt;
  EXPECT_TRUE(Index()["settings"]["index"]["provided_name"].get<std::string>().ends_with("2"));
  EXPECT_EQ(MappingOf("name"), (json{{"type", "keyword"}, {"normalizer", "lowercase"}}));
  EXPECT_EQ(Index()["mappings"]["dynamic"], "strict");
  EXPECT_EQ(Source("items", "3"), R"({"id":3,"name":"one","note":"a note","data":[3],"later":33})");
  EXPECT_EQ(Count("items", R"({"term":{"name":"one"}})"), 2U);
  EXPECT_EQ(Count("items"), 3U);
  const auto outdated = sink_->FindOutdated({});
  ASSERT_TRUE(outdated.ok()) << outdated.status();
  EXPECT_TRUE(outdated->empty());
  EXPECT_TRUE(Index()["aliases"].contains(prefix_ + "all"));
}

// A type that a column's values do not have.
TEST_F(IndexTemplateTest, AContradictionIsNamed) {
  PutTemplate(R"({"mappings":{"properties":{"name":{"properties":{"first":{"type":"text"}}}}}})");
  builder_.Table("public.items (id int4 key, name text)");
  Start();
  last_ = builder_.Stream("begin\ninsert items 1 one\ninsert items 2 null\ncommit");
  const auto written = Write(last_);
  ASSERT_TRUE(written.ok()) << written.status();
  ASSERT_EQ(written->rejections.size(), 1U);
  EXPECT_THAT(written->rejections[0].error.message(), HasSubstr("[name]"));
  EXPECT_THAT(written->rejections[0].error.message(), HasSubstr("change the mapping"));
  // The file's mapping counts, but the server does not take this one over the template's.
  Ask("DELETE", "/" + prefix_ + "items-000001");
  MapColumn("{name: {type: text}}");
  Start();
  const absl::Status status = ApplyOne("insert items 3 three");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("create index " + prefix_ + "items-000001"));
  // One that it takes.
  PutTemplate(R"({"mappings":{"dynamic":"strict","properties":{"name":{"type":"long"}}}})");
  Reopen();
  ASSERT_TRUE(ApplyOne("insert items 3 three").ok());
  EXPECT_EQ(MappingOf("name")["type"], "text");
}

TEST_F(IndexTemplateTest, WhatDocumentsCannotBeKeptInIsRefused) {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {R"({"mappings":{"_source":{"excludes":["name"]}}})", "_source"},
      {R"({"mappings":{"_source":{"enabled":false}}})", "_source"},
      {R"({"mappings":{"_routing":{"required":true}}})", "_routing"},
      {R"({"aliases":{")" + prefix_ + R"(items":{}}})", "the alias " + prefix_ + "items"}};
  builder_.Table("public.items (id int4 key, name text)");
  for (const auto& [content, why] : bad) {
    PutTemplate(content);
    EXPECT_THAT(Check(), Contains(Field(&engine::Finding::problem, HasSubstr(why)))) << content;
    Start();
    const absl::Status status = ApplyOne("insert items 1 one");
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(status.message(), HasSubstr(why));
  }
  PutTemplate("{}", R"(,"data_stream":{})");
  EXPECT_THAT(Check(), Contains(Field(&engine::Finding::problem, HasSubstr("data streams"))));
}

// What is filled is not found by the names that a template gives.
TEST_F(IndexTemplateTest, ACopyHasNoneOfItsNames) {
  PutTemplate(R"({"aliases":{")" + prefix_ + R"(all":{}}})");
  const engine::TablePlan plan = Plan("public.items (id int4 key, name text)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 one").ok());
  sink_ = MakeSink();
  engine::SinkContext context{"test", "search", "shop"};
  context.copies = {plan.source_table};
  ASSERT_TRUE(sink_->Open(context, {}).ok());
  const std::vector<engine::TablePlan> plans = {plan};
  ASSERT_TRUE(sink_->PrepareSnapshot({}, plans, {}, {}).ok());
  EXPECT_EQ(Ask("GET", "/_alias/" + prefix_ + "all").size(), 1U);
  EXPECT_TRUE(Ask("GET", "/" + prefix_ + "items-000002")
                  .begin()
                  .value()["aliases"]
                  .contains(prefix_ + "items-pgflow-copy"));
}

}  // namespace
}  // namespace pgflow::sinks
