// A history of DDL and rows, cut off at each of the sink's requests in turn: before the server has
// it, or before its answer comes. What a new sink, or the same one, makes of the rest and of what
// comes again must be what an undisturbed one makes.
//
//   PGFLOW_CUT_STRIDE=1 sinks_opensearch_server_test --gtest_filter=SchemaCutTest.*   every request
#include <atomic>
#include <cstdlib>

#include "base/status.h"
#include "engine/testing/local_http.h"
#include "engine/testing/scripted_http_server.h"
#include "sinks/opensearch/search_fixture_test.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;

using Columns = std::vector<std::pair<int16_t, std::string>>;  // Numbers and names.

class SchemaCutTest : public SearchFixture {
 protected:
  enum class Cut { kBefore, kBehind };
  struct Part {
    engine::Chunk chunk;
    bool ends = false;  // At a commit.
  };

  void SetUp() override {
    SearchFixture::SetUp();
    proxy_.SetResponder([this](const engine::HttpReceived& request) { return Pass(request); });
    const std::string url = proxy_.Url();
    config_.url = url.substr(0, url.size() - 1);
  }
  void TearDown() override { sink_ = nullptr; }

  engine::HttpScript Pass(const engine::HttpReceived& request) {
    const uint64_t number = ++requests_;
    const bool cut = cut_at_ > 0 && number >= cut_at_;
    engine::HttpScript answer;
    if (cut) answer.fault = engine::HttpScript::Fault::kCloseAtOnce;
    if (cut && (number > cut_at_ || cut_ == Cut::kBefore)) return answer;
    const auto passed =
        engine::LocalExchange(Server().port(), request.method, request.target, request.body);
    if (!passed.ok() || cut) {
      answer.fault = engine::HttpScript::Fault::kCloseAtOnce;
      return answer;
    }
    answer.status = passed->status;
    answer.headers = {{"Content-Type", "application/json"}};
    answer.body = passed->body;
    return answer;
  }

  // Rows that follow are of this shape.
  void Shape(const std::string& declaration, postgres::Oid oid) {
    oids_[builder_.Table(declaration)->table.name] = oid;
  }
  void Stream(const std::string& script, bool ends = true) {
    Part& part = history_.emplace_back(Part{builder_.Stream(script), ends});
    for (schemas::TableSchemaPtr& table : part.chunk.tables) {
      auto told = std::make_shared<schemas::TableSchema>(*table);
      told->oid = oids_.at(table->table.name);
      told->changes_told = true;
      for (schemas::Column& column : told->columns) column.attribute_number = 0;
      table = told;
    }
  }
  void One(const std::string& change) { Stream("begin\n" + change + "\ncommit"); }

  static json State(const std::string& table, postgres::Oid oid, const Columns& columns,
                    const std::map<int16_t, std::string>& missing = {}) {
    json list = json::array();
    for (const auto& [number, name] : columns) {
      json& column = list.emplace_back(json{{"number", number}, {"name", name}});
      if (const auto value = missing.find(number); value != missing.end()) {
        column["missing"] = value->second;
      }
    }
    return {{"object", "table"},
            {"schema", "public"},
            {"name", table},
            {"oid", oid},
            {"columns", list}};
  }
  static std::string Command(const std::string& table, const json& before, const json& after) {
    const std::string tag = before.is_null()  ? "CREATE TABLE"
                            : after.is_null() ? "DROP TABLE"
                                              : "ALTER TABLE";
    return "ddl " + table + " '" + json{{"tag", tag}, {"before", before}, {"after", after}}.dump() +
           "'";
  }

  // Those of `first` to the end; where it stopped, or all.
  size_t Run(size_t first, absl::Status& error) {
    for (size_t i = first; i < history_.size(); ++i) {
      error = Write(history_[i].chunk, history_[i].ends).status();
      if (!error.ok()) return i;
    }
    return history_.size();
  }
  json Documents() {
    json all = json::object();
    Refresh();
    const json aliases = Ask("GET", "/" + prefix_ + "*/_alias");
    for (const auto& [index, body] : aliases.items()) {
      if (!body.contains("aliases") || body["aliases"].empty()) continue;
      const std::string name = body["aliases"].begin().key();
      const json found = Ask("GET", "/" + index + "/_search?size=1000");
      for (const json& hit : found["hits"]["hits"]) {
        all[name.substr(prefix_.size())][hit["_id"].get<std::string>()] = hit["_source"];
      }
    }
    return all;
  }
  void Remove() {
    const json indices = Ask("GET", "/" + prefix_ + "*/_alias");
    for (const auto& [index, body] : indices.items()) Ask("DELETE", "/" + index);
  }

  // A pipeline that begins, is cut off at that request, and goes on from the commit before it, or
  // from an earlier one.
  void CutAt(uint64_t request, Cut cut, const json& wanted) {
    Remove();
    cut_ = cut;
    requests_ = 0;
    cut_at_ = request;
    sink_ = MakeSink();
    absl::Status error = sink_->Open({"test", "search", "shop"}, {});
    const size_t stopped = error.ok() ? Run(0, error) : 0;
    ASSERT_LT(stopped, history_.size());
    cut_at_ = 0;
    size_t from = stopped;
    while (from > 0 && (!history_[from - 1].ends || from % 3 == request % 3)) --from;
    if (request % 4 == 0) from = 0;
    if (request % 3 != 0) sink_ = MakeSink();
    Reopen();
    const size_t again = Run(from, error);
    EXPECT_EQ(again, history_.size()) << error;
    EXPECT_EQ(Documents(), wanted);
    if (HasFailure()) {
      ADD_FAILURE() << "cut at request " << request
                    << (cut == Cut::kBefore ? " before it: " : " behind it: ") << "stopped in part "
                    << stopped << ", went on with part " << from;
    }
  }
  void CutEverywhere(const json& wanted) {
    const char* set = std::getenv("PGFLOW_CUT_STRIDE");
    const uint64_t stride = set == nullptr ? 13 : std::strtoull(set, nullptr, 10);
    Start();
    absl::Status error;
    ASSERT_EQ(Run(0, error), history_.size()) << error;
    ASSERT_EQ(Documents(), wanted);
    const uint64_t all = requests_;
    for (uint64_t request = 1; request <= all; request += stride) {
      // Each of them is cut at another place.
      CutAt(request, Cut::kBefore, wanted);
      if (HasFailure()) return;
      CutAt(std::min(request + stride / 2, all), Cut::kBehind, wanted);
      if (HasFailure()) return;
    }
    Remove();
  }

  engine::ScriptedHttpServer proxy_;
  std::atomic<uint64_t> requests_ = 0;
  std::atomic<uint64_t> cut_at_ = 0;
  std::atomic<Cut> cut_ = Cut::kBefore;
  std::map<std::string, postgres::Oid> oids_;
  std::vector<Part> history_;
};

TEST_F(SchemaCutTest, ColumnsAreFollowedOnce) {
  const auto change = [this](const Columns& before, const Columns& after,
                             const std::map<int16_t, std::string>& missing = {}) {
    return Command("items", State("items", 7, before), State("items", 7, after, missing));
  };
  Shape("items (id int4 key, a text, b text)", 7);
  One("insert items 1 a1 b1\ninsert items 2 a2 b2\ninsert items 3 a3 b3");
  // Rows on both sides of a rename in one transaction.
  Stream("begin\nupdate items 1 a1 c1\n" +
             change({{1, "id"}, {2, "a"}, {3, "b"}}, {{1, "id"}, {2, "x"}, {3, "b"}}),
         false);
  Shape("items (id int4 key, x text, b text)", 7);
  Stream("update items 2 d2 unchanged\ncommit");
  // Two names that are exchanged, each command alone.
  One(change({{1, "id"}, {2, "x"}, {3, "b"}}, {{1, "id"}, {2, "s"}, {3, "b"}}));
  One(change({{1, "id"}, {2, "s"}, {3, "b"}}, {{1, "id"}, {2, "s"}, {3, "x"}}));
  One(change({{1, "id"}, {2, "s"}, {3, "x"}}, {{1, "id"}, {2, "b"}, {3, "x"}}));
  Shape("items (id int4 key, b text, x text)", 7);
  One("update items 3 e3 unchanged");
  // One with a default; one that goes, and another of its name that comes.
  One(change({{1, "id"}, {2, "b"}, {3, "x"}}, {{1, "id"}, {2, "b"}, {3, "x"}, {4, "n"}},
             {{4, "5"}}));
  Shape("items (id int4 key, b text, x text, n int4)", 7);
  One("insert items 4 b4 x4 4");
  Stream("begin\ndelete items 2\n" +
             change({{1, "id"}, {2, "b"}, {3, "x"}, {4, "n"}}, {{1, "id"}, {2, "b"}, {4, "n"}}) +
             "\n" +
             change({{1, "id"}, {2, "b"}, {4, "n"}}, {{1, "id"}, {2, "b"}, {4, "n"}, {5, "x"}},
                    {{5, "new"}}),
         false);
  Shape("items (id int4 key, b text, n int4, x text)", 7);
  Stream("insert items 5 b5 null own\ncommit");
  One("update items 1 f1 1 unchanged");
  CutEverywhere({{"items",
                  {{"1", {{"id", 1}, {"b", "f1"}, {"n", 1}, {"x", "new"}}},
                   {"3", {{"id", 3}, {"b", "e3"}, {"n", 5}, {"x", "new"}}},
                   {"4", {{"id", 4}, {"b", "b4"}, {"n", 4}, {"x", "new"}}},
                   {"5", {{"id", 5}, {"b", "b5"}, {"n", nullptr}, {"x", "own"}}}}}});
}

TEST_F(SchemaCutTest, TablesAreFollowedOnce) {
  const Columns plain = {{1, "id"}, {2, "a"}};
  Shape("here (id int4 key, a text)", 7);
  One("insert here 1 a1\ninsert here 2 a2");
  // A table that is renamed with a column of it, and another one that takes its name.
  One("update here 1 b1");
  One(Command("here", State("here", 7, plain), State("there", 7, plain)));
  Shape("there (id int4 key, a text)", 7);
  One("insert there 3 a3");
  One(Command("there", State("there", 7, plain), State("there", 7, {{1, "id"}, {2, "b"}})));
  Shape("here (id int4 key, a text)", 8);
  One(Command("here", nullptr, State("here", 8, plain)) + "\ninsert here 1 other");
  Shape("there (id int4 key, b text)", 7);
  One("update there 2 b2\ninsert here 9 nine");
  // It is dropped, and the other one takes its name again.
  One(Command("there", State("there", 7, {{1, "id"}, {2, "b"}}), nullptr));
  One(Command("here", State("here", 8, plain), State("there", 8, plain)));
  Shape("there (id int4 key, a text)", 8);
  One("update there 1 again");
  // And is dropped and made anew in one transaction.
  Stream("begin\n" + Command("there", State("there", 8, plain), nullptr), false);
  Shape("there (id int4 key, c int4)", 9);
  Stream(Command("there", nullptr, State("there", 9, {{1, "id"}, {2, "c"}})) +
         "\ninsert there 1 1\ninsert there 4 4\ncommit");
  One("delete there 4\ninsert there 5 5");
  CutEverywhere({{"there", {{"1", {{"id", 1}, {"c", 1}}}, {"5", {{"id", 5}, {"c", 5}}}}}});
}

TEST_F(SchemaCutTest, ANameThatATableLeftIsKnownWhenTheTableIsGone) {
  const Columns plain = {{1, "id"}, {2, "a"}};
  // Its index, and what that knows of its first name, goes when another table is made in its place
  // ...
  Shape("here (id int4 key, a text)", 7);
  One("insert here 1 a1\ninsert here 2 a2");
  One(Command("here", State("here", 7, plain), State("there", 7, plain)));
  Shape("there (id int4 key, a text)", 7);
  One("insert there 3 a3");
  One(Command("there", State("there", 7, plain), nullptr));
  Shape("there (id int4 key, c int4)", 8);
  One(Command("there", nullptr, State("there", 8, {{1, "id"}, {2, "c"}})));
  One("insert there 1 1\ninsert there 5 5");
  // ... or takes its place.
  Shape("left (id int4 key, a text)", 9);
  One("insert left 1 a1");
  One(Command("left", State("left", 9, plain), State("right", 9, plain)));
  Shape("right (id int4 key, a text)", 9);
  One("insert right 2 a2");
  One(Command("right", State("right", 9, plain), nullptr));
  Shape("other (id int4 key, a text)", 10);
  One("insert other 4 a4");
  One(Command("other", State("other", 10, plain), State("right", 10, plain)));
  Shape("right (id int4 key, a text)", 10);
  One("insert right 6 a6");
  CutEverywhere({{"there", {{"1", {{"id", 1}, {"c", 1}}}, {"5", {{"id", 5}, {"c", 5}}}}},
                 {"right", {{"4", {{"id", 4}, {"a", "a4"}}}, {"6", {{"id", 6}, {"a", "a6"}}}}}});
}

}  // namespace
}  // namespace pgflow::sinks
