// An index that is filled anew: whoever searches meanwhile does not see it.
//
// Ways to break it: the name is nobody's for a moment (404); a part of the rows is found, while the
// new index is filled, when it takes the place (not refreshed, not all of it written), or while the
// old one is emptied; changes meanwhile go to one of the two only, or come out of order; a change
// of the file is not seen; a half-made index stays.
#include <csignal>
#include <map>
#include <memory>
#include <thread>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "engine/testing/scratch_opensearch.h"
#include "tests/integration/search_watch.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

using engine::ScratchOpenSearch;
using nlohmann::json;

class SearchRebuildTest : public SharedServerTest {
 protected:
  static ScratchOpenSearch& Search() { return ScratchOpenSearch::Shared(); }

  void SetUp() override {
    SharedServerTest::SetUp();
    prefix_ = TestName() + "-";
    std::erase(prefix_, '_');
    index_ = prefix_ + "items";
    pipeline_.source_options = "    replication: {ddl: true}\n";
    pipeline_.sinks = {Sink()};
    source_.Execute(
        "CREATE TABLE items (id int PRIMARY KEY, n int8, name text, big text, price numeric);"
        "ALTER TABLE items ALTER big SET STORAGE EXTERNAL;"
        "INSERT INTO items SELECT i, 0, 'name ' || i, CASE i % 20 WHEN 0 THEN repeat('b' || i, "
        "600) END, i + 0.25 "
        "FROM generate_series(1, 3000) i");
  }
  void TearDown() override { StopWriting(); }

  std::string Sink(const std::string& more = "") const {
    return fmt::format("opensearch: {{url: \"{}\", index: \"{}{{table}}\"{}}}, retry: {{max: 1s}}",
                       Search().url(), prefix_, more);
  }

  // Rows are added and changed; none goes.
  void StartWriting() {
    writer_ = std::jthread([this](std::stop_token stop) {
      int next = 10000;
      for (int round = 1; !stop.stop_requested(); ++round) {
        source_.Execute(
            fmt::format("BEGIN; INSERT INTO items (id, n, name) VALUES ({0}, 1, 'new');"
                        "UPDATE items SET n = n + 1 WHERE id % 200 = {1}; COMMIT",
                        next++, round % 200));
        absl::SleepFor(absl::Milliseconds(30));
      }
    });
  }
  // Rows change their tenants, some by way of a deletion.
  void StartMoving() {
    writer_ = std::jthread([this](std::stop_token stop) {
      for (int round = 1; !stop.stop_requested(); ++round) {
        source_.Execute(fmt::format(
            "UPDATE items SET tenant = CASE WHEN random() < 0.9 THEN 't' || (random() * 20)::int "
            "END, n = n + 1 WHERE id % 150 = {0};"
            "BEGIN; DELETE FROM items WHERE id = {1}; INSERT INTO items (id, n, tenant) VALUES "
            "({1}, {0}, 't' || (random() * 20)::int); UPDATE items SET tenant = 't1' "
            "WHERE id = {1} + 1; UPDATE items SET tenant = 't2' WHERE id = {1} + 1; COMMIT",
            round % 150, 1 + round % 3000));
        absl::SleepFor(absl::Milliseconds(10));
      }
    });
  }
  void StopWriting() { writer_ = {}; }

  // Documents by id, as the server keeps them.
  std::map<std::string, std::string> Documents(const std::string& index) const {
    std::map<std::string, std::string> found;
    static_cast<void>(Search().Request("POST", "/" + index + "/_refresh"));
    const auto answer = Search().Request("GET", "/" + index + "/_search?size=10000");
    if (!answer.ok()) return found;
    const json parsed = json::parse(*answer);
    for (const json& hit : parsed["hits"]["hits"]) {
      found[hit["_id"].get<std::string>()] = hit["_source"].dump();
    }
    return found;
  }
  std::map<std::string, std::string> Rows(const std::string& query) const {
    std::map<std::string, std::string> found;
    const auto rows = source_.server->Query(query, source_.name);
    EXPECT_TRUE(rows.ok()) << rows.status();
    if (!rows.ok()) return found;
    for (const auto& row : *rows) found[*row[0]] = json::parse(*row[1]).dump();
    return found;
  }
  bool EqualSoon(PgflowProcess& process,
                 const std::string& query = "SELECT id::text, row_to_json(t)::text FROM items t") {
    const bool equal = Eventually([&] { return Documents(index_) == Rows(query); });
    EXPECT_TRUE(equal) << process.Output().substr(0, 20000);
    return equal;
  }
  // Of the name, and no other index of it is left. An old one goes when searches in it have ended,
  // with the next change.
  void ExpectOneIndex() const {
    EXPECT_TRUE(Eventually([&] {
      source_.Execute("CREATE TABLE IF NOT EXISTS ticks (id int PRIMARY KEY, n int)");
      source_.Execute("INSERT INTO ticks SELECT coalesce(max(id), 0) + 1 FROM ticks");
      absl::SleepFor(absl::Milliseconds(200));
      return Ask("/" + index_ + "*/_alias").size() == 1;
    }));
    const auto answer = Search().Request("GET", "/" + index_ + "*/_alias");
    ASSERT_TRUE(answer.ok()) << answer.status();
    const json parsed = json::parse(*answer);
    EXPECT_EQ(parsed.size(), 1U) << *answer;
    EXPECT_EQ(parsed.begin().value()["aliases"].size(), 1U) << *answer;
    EXPECT_TRUE(parsed.begin().value()["aliases"].contains(index_)) << *answer;
  }
  json Ask(const std::string& path) const {
    const auto answer = Search().Request("GET", path);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? json::parse(*answer) : json();
  }
  json MappingOf(const std::string& field) const {
    const json mapping = Ask("/" + index_ + "/_mapping");
    return mapping.empty() ? json() : mapping.begin().value()["mappings"]["properties"][field];
  }
  std::string SettingOf(const std::string& name) const {
    const json settings = Ask("/" + index_ + "/_settings?flat_settings=true");
    return settings.empty() ? "" : settings.begin().value()["settings"].value("index." + name, "-");
  }

  std::unique_ptr<PgflowProcess> RunAndCopy() {
    auto process = Run();
    EXPECT_TRUE(EqualSoon(*process));
    return process;
  }
  void Restart(std::unique_ptr<PgflowProcess>& process) {
    process->Signal(SIGINT);
    EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
    process = Run();
  }
  // And once more while a new index is filled, if one is.
  void RestartAndKill(std::unique_ptr<PgflowProcess>& process) {
    Restart(process);
    Kill(process, absl::Milliseconds(400));
  }
  void Kill(std::unique_ptr<PgflowProcess>& process, absl::Duration after) {
    absl::SleepFor(after);
    process->Signal(SIGKILL);
    process->WaitForExit();
    process = Run();
  }
  // Until another index has the name.
  void AwaitAnotherIndex(const std::string& than, PgflowProcess& process) {
    ASSERT_TRUE(Eventually([&] {
      const std::string now = IndexBehind(Search(), index_);
      return !now.empty() && now != than;
    })) << process.Output().substr(0, 20000);
  }
  void Finish(PgflowProcess& process, const SearchWatch& watch) {
    absl::SleepFor(absl::Milliseconds(300));
    StopWriting();
    EqualSoon(process);
    EXPECT_EQ(watch.problem(), "") << process.Output().substr(0, 20000);
    EXPECT_GT(watch.searches(), 10U);
    ExpectOneIndex();
    process.Signal(SIGINT);
    EXPECT_EQ(process.WaitForExit(), 0) << process.Output();
  }

  std::string prefix_;
  std::string index_;
  std::jthread writer_;
};

TEST_F(SearchRebuildTest, ACopyOnDemandIsNotSeen) {
  auto process = RunAndCopy();
  SearchWatch watch(Search(), index_);
  watch.Expect(3000);
  StartWriting();
  for (int i = 0; i < 2; ++i) {
    const std::string before = IndexBehind(Search(), index_);
    EXPECT_EQ(before, fmt::format("{}-{:06}", index_, i + 1));
    Expect(0, "refresh", {"--copy", "public.items"});
    AwaitAnotherIndex(before, *process);
  }
  Finish(*process, watch);
}

TEST_F(SearchRebuildTest, ATableThatWasDamagedIsWholeAfterwards) {
  auto process = RunAndCopy();
  ASSERT_TRUE(Search().Request("DELETE", "/" + index_ + "/_doc/7").ok());
  ASSERT_TRUE(Search().Request("PUT", "/" + index_ + "/_doc/foreign", "{\"n\":1}").ok());
  const std::string before = IndexBehind(Search(), index_);
  // Other names of the index go with it.
  ASSERT_TRUE(Search()
                  .Request("POST", "/_aliases",
                           fmt::format(R"({{"actions":[{{"add":{{"index":"{}","alias":"{}-mine",)"
                                       R"("filter":{{"term":{{"n":0}}}}}}}}]}})",
                                       before, prefix_))
                  .ok());
  Expect(0, "refresh", {"--copy", "public.items"});
  AwaitAnotherIndex(before, *process);
  EXPECT_TRUE(EqualSoon(*process));
  const json mine = Ask("/_alias/" + prefix_ + "-mine");
  EXPECT_EQ(mine.begin().key(), IndexBehind(Search(), index_)) << mine;
  EXPECT_TRUE(mine.begin().value()["aliases"][prefix_ + "-mine"].contains("filter")) << mine;
}

TEST_F(SearchRebuildTest, AnotherMappingIsSeenAtTheStart) {
  auto process = RunAndCopy();
  const std::string before = IndexBehind(Search(), index_);
  SearchWatch watch(Search(), index_);
  watch.Expect(3000);
  StartWriting();
  pipeline_.sinks = {Sink(
      ", tables: [{table: public.items, mapping: {name: {type: keyword, ignore_above: 99}}}]")};
  Restart(process);
  AwaitAnotherIndex(before, *process);
  EXPECT_EQ(MappingOf("name"), (json{{"type", "keyword"}, {"ignore_above", 99}}));
  const std::string copied = IndexBehind(Search(), index_);
  Restart(process);  // Nothing is to be done now.
  absl::SleepFor(absl::Seconds(1));
  EXPECT_EQ(IndexBehind(Search(), index_), copied);
  Finish(*process, watch);
}

// Under writes, and killed while the new index is filled.
TEST_F(SearchRebuildTest, AnotherPipelineIsSeenAtTheStart) {
  source_.Execute("ALTER TABLE items REPLICA IDENTITY FULL");
  auto process = RunAndCopy();
  const std::string before = IndexBehind(Search(), index_);
  SearchWatch watch(Search(), index_);
  watch.Expect(3000);
  StartWriting();
  const std::string name = prefix_ + "enrich";
  ASSERT_TRUE(Search()
                  .Request("PUT", "/_ingest/pipeline/" + name,
                           R"({"processors":[{"append":{"field":"tags","value":"seen"}},)"
                           R"({"uppercase":{"field":"name","ignore_missing":true}}]})")
                  .ok());
  pipeline_.sinks = {Sink(", pipeline: " + name)};
  RestartAndKill(process);
  AwaitAnotherIndex(before, *process);
  // A rename makes the documents anew.
  const std::string enriched = IndexBehind(Search(), index_);
  source_.Execute("ALTER TABLE items RENAME price TO cost");
  AwaitAnotherIndex(enriched, *process);
  StopWriting();
  EqualSoon(*process,
            "SELECT id::text, (row_to_json(t)::jsonb || jsonb_build_object('name', upper(name), "
            "'tags', jsonb_build_array('seen')))::text FROM items t");
  EXPECT_EQ(watch.problem(), "") << process->Output().substr(0, 20000);
  ExpectOneIndex();
}

// Then rows move from shard to shard, and pgflow is killed: each is found once.
TEST_F(SearchRebuildTest, AnotherRoutingIsSeenAtTheStart) {
  source_.Execute(
      "ALTER TABLE items ADD tenant text; UPDATE items SET tenant = 't' || id % 20;"
      "ALTER TABLE items REPLICA IDENTITY FULL");
  pipeline_.sinks = {Sink(", settings: {number_of_shards: 5}")};
  auto process = RunAndCopy();
  const std::string before = IndexBehind(Search(), index_);
  {
    SearchWatch watch(Search(), index_);
    watch.Expect(3000);
    StartWriting();
    pipeline_.sinks = {Sink(
        ", settings: {number_of_shards: 5}, tables: [{table: public.items, routing: tenant}]")};
    RestartAndKill(process);
    AwaitAnotherIndex(before, *process);
    StopWriting();
    EqualSoon(*process);
    EXPECT_EQ(watch.problem(), "") << process->Output().substr(0, 20000);
  }
  StartMoving();
  for (int kills = 0; kills < 4; ++kills) Kill(process, absl::Milliseconds(700));
  StopWriting();
  EqualSoon(*process);
  const json found = Ask("/" + index_ + "/_search?size=10000");
  EXPECT_EQ(found["hits"]["hits"].size(), Documents(index_).size()) << "some are found twice";
  for (const json& hit : found["hits"]["hits"]) {
    const json& tenant = hit["_source"]["tenant"];
    EXPECT_EQ(hit.value("_routing", ""), tenant.is_null() ? "" : tenant.get<std::string>());
  }
  ExpectOneIndex();
}

TEST_F(SearchRebuildTest, OtherSettingsAreSeenAtTheStart) {
  auto process = RunAndCopy();
  const std::string before = IndexBehind(Search(), index_);
  SearchWatch watch(Search(), index_);
  watch.Expect(3000);
  StartWriting();
  // The server takes this one as it is.
  pipeline_.sinks = {Sink(", settings: {max_result_window: 20000}")};
  Restart(process);
  ASSERT_TRUE(Eventually([&] { return SettingOf("max_result_window") == "20000"; }))
      << process->Output();
  EXPECT_EQ(IndexBehind(Search(), index_), before);
  pipeline_.sinks = {Sink(", settings: {number_of_shards: 2}")};
  Restart(process);
  AwaitAnotherIndex(before, *process);
  EXPECT_EQ(SettingOf("number_of_shards"), "2");
  EXPECT_EQ(SettingOf("max_result_window"), "-");
  Finish(*process, watch);
}

// Its values are computed anew, and the log does not bring them.
TEST_F(SearchRebuildTest, ATypeThatComputesAnewIsCopiedByItself) {
  auto process = RunAndCopy();
  const std::string before = IndexBehind(Search(), index_);
  SearchWatch watch(Search(), index_);
  watch.Expect(3000);
  StartWriting();
  absl::SleepFor(absl::Milliseconds(300));
  source_.Execute("ALTER TABLE items ALTER price TYPE int8");
  AwaitAnotherIndex(before, *process);
  EXPECT_EQ(MappingOf("price")["type"], "long");
  Finish(*process, watch);
}

TEST_F(SearchRebuildTest, AnotherKeyIsCopiedByItself) {
  auto process = RunAndCopy();
  const std::string before = IndexBehind(Search(), index_);
  SearchWatch watch(Search(), index_, {.patient = false, .ids = false});
  watch.Expect(3000);
  source_.Execute(
      "BEGIN; ALTER TABLE items DROP CONSTRAINT items_pkey; UPDATE items SET name = '' WHERE name "
      "IS NULL; ALTER TABLE items ADD PRIMARY KEY (id, name); INSERT INTO items VALUES (20000, 1, "
      "'x'); COMMIT");
  AwaitAnotherIndex(before, *process);
  source_.Execute("UPDATE items SET n = n + 1 WHERE id % 10 = 0");
  EqualSoon(*process, "SELECT id || '|' || name, row_to_json(t)::text FROM items t");
  EXPECT_EQ(watch.problem(), "");
  ExpectOneIndex();
}

// What somebody made under the very name becomes an alias.
TEST_F(SearchRebuildTest, AnIndexOfTheNameBecomesAnAlias) {
  ASSERT_TRUE(Search().Request("PUT", "/" + index_).ok());
  pipeline_.sinks = {Sink(", on_existing_documents: append")};
  auto process = RunAndCopy();
  EXPECT_EQ(IndexBehind(Search(), index_), index_);
  // A search may be under way in the index when it goes: it cannot stay, as an alias has its name.
  SearchWatch watch(Search(), index_, {.patient = true, .ids = true});
  watch.Expect(3000);
  StartWriting();
  Expect(0, "refresh", {"--copy", "public.items"});
  AwaitAnotherIndex(index_, *process);
  EXPECT_EQ(IndexBehind(Search(), index_), index_ + "-000001");
  Finish(*process, watch);
}

TEST_F(SearchRebuildTest, WhatIsLeftOverGoes) {
  auto process = RunAndCopy();
  process->Signal(SIGINT);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  // One that a copy left, with another state directory, and one of a rebuild.
  const json mapping = Ask("/" + index_ + "/_mapping");
  json meta = mapping.begin().value()["mappings"]["_meta"];
  meta["pgflow"]["log"] = pipeline_.name;
  meta["pgflow"]["name"] = index_;
  json body = {{"mappings", {{"_meta", meta}}}};
  ASSERT_TRUE(Search().Request("PUT", "/" + index_ + "-000098", body.dump()).ok());
  body["aliases"] = {{index_ + "-pgflow-copy", json::object()}};
  ASSERT_TRUE(Search().Request("PUT", "/" + index_ + "-000099", body.dump()).ok());
  process = Run();
  EXPECT_TRUE(Eventually([&] { return Ask("/" + index_ + "*/_alias").size() == 1; }))
      << process->Output();
  source_.Execute("INSERT INTO items VALUES (20000, 1, 'x')");
  EXPECT_TRUE(EqualSoon(*process));
  ExpectOneIndex();
}

TEST_F(SearchRebuildTest, NestedRowsAreThereAllTheTime) {
  source_.Execute(
      "CREATE TABLE parts (id int PRIMARY KEY, item int, what text);"
      "INSERT INTO parts SELECT i, i / 3 + 1, 'part ' || i FROM generate_series(1, 900) i");
  pipeline_.sinks = {
      Sink(", joins: [{parent: public.items, child: public.parts, on: {item: id}, as: parts}]")};
  const std::string query =
      "SELECT i.id::text, (to_jsonb(i) || jsonb_build_object('parts', (SELECT coalesce(jsonb_agg("
      "to_jsonb(p) ORDER BY p.id), '[]') FROM parts p WHERE p.item = i.id)))::text FROM items i";
  const auto equal = [&](PgflowProcess& process) {
    const bool soon = Eventually([&] {
      auto documents = Documents(index_);
      for (auto& [id, text] : documents) {
        json document = json::parse(text);
        document.erase("_join_public_items_parts");
        text = document.dump();
      }
      return documents == Rows(query);
    });
    EXPECT_TRUE(soon) << process.Output().substr(0, 20000);
  };
  const auto process = Run();
  equal(*process);
  SearchWatch watch(Search(), index_);
  watch.Expect(3000);
  StartWriting();
  for (const char* table : {"public.items", "public.parts"}) {
    const std::string name = prefix_ + std::string(table).substr(7);
    const std::string before = IndexBehind(Search(), name);
    Expect(0, "refresh", {"--copy", table});
    source_.Execute("UPDATE parts SET what = what || '!', item = item + 1 WHERE id % 7 = 0");
    ASSERT_TRUE(Eventually([&] {
      const std::string now = IndexBehind(Search(), name);
      return !now.empty() && now != before;
    })) << process->Output().substr(0, 20000);
  }
  source_.Execute("UPDATE parts SET what = what || '?' WHERE id % 5 = 0");
  StopWriting();
  equal(*process);
  EXPECT_EQ(watch.problem(), "");
}

}  // namespace
}  // namespace pgflow::tests
