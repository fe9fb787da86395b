#include "sinks/opensearch/opensearch_sink.h"

#include <thread>

#include <absl/time/clock.h>
#include <gmock/gmock.h>

#include "base/status.h"
#include "engine/testing/sink_contract.h"
#include "sinks/opensearch/search_fixture_test.h"

namespace pgflow::sinks {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class OpenSearchSinkTest : public SearchFixture {};

TEST_F(OpenSearchSinkTest, KeepsTheContract) {
  EXPECT_THAT(engine::CheckSinkContract({.make = [this] { return MakeSink(); }, .snapshot = true}),
              IsEmpty());
}

TEST_F(OpenSearchSinkTest, FollowsInsertUpdateAndDelete) {
  builder_.Table("public.items (id int4 key, name text, price numeric)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 apple 1.50\ninsert items 2 pear null").ok());
  EXPECT_EQ(Source("items", "1"), R"({"id":1,"name":"apple","price":1.50})");
  EXPECT_EQ(Source("items", "2"), R"({"id":2,"name":"pear","price":null})");
  ASSERT_TRUE(ApplyOne("update items 1 plum 2\ndelete items 2").ok());
  EXPECT_EQ(Source("items", "1"), R"({"id":1,"name":"plum","price":2})");
  EXPECT_EQ(Source("items", "2"), "-");
  // Visible at once, without a refresh of ours.
  EXPECT_EQ(Ask("GET", "/" + prefix_ + "items/_count?q=name:plum").value("count", 0), 1);
}

TEST_F(OpenSearchSinkTest, AReplayChangesNothing) {
  builder_.Table("public.items (id int4 key, name text)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 first\ninsert items 2 two").ok());
  const engine::Chunk first = last_;
  ASSERT_TRUE(ApplyOne("update items 1 second\ndelete items 2\ninsert items 3 three").ok());
  const engine::Chunk second = last_;
  ASSERT_TRUE(Replay().ok());
  EXPECT_EQ(Source("items", "1"), R"({"id":1,"name":"second"})");
  // The whole history once more: nothing goes back on the way.
  ASSERT_TRUE(Write(first).ok());
  EXPECT_EQ(Source("items", "1"), R"({"id":1,"name":"second"})");
  EXPECT_EQ(Source("items", "2"), "-");
  ASSERT_TRUE(Write(second).ok());
  EXPECT_EQ(Count("items"), 2U);
}

// The tombstone is gone: the insert comes back for as long as its delete is not behind it. A change
// that does not bring all values finds no document, and brings none back.
TEST_F(OpenSearchSinkTest, AReplayEndsRightWhenTheDeletionIsForgotten) {
  builder_.Table("public.items (id int4 key, name text)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 one").ok());
  const engine::Chunk insert = last_;
  ASSERT_TRUE(ApplyOne("update items 1 unchanged").ok());
  const engine::Chunk update = last_;
  ASSERT_TRUE(ApplyOne("delete items 1").ok());
  const engine::Chunk removal = last_;
  Reopen();
  ASSERT_TRUE(Write(insert).ok());
  EXPECT_EQ(Source("items", "1"), "-");  // Remembered.
  Ask("PUT", "/" + prefix_ + "items/_settings", R"({"index.gc_deletes":"0s"})");
  bool forgotten = false;
  for (int i = 0; i < 200 && !forgotten; ++i) {
    ASSERT_TRUE(ApplyOne("insert items 2 two").ok());
    Refresh();
    ASSERT_TRUE(Write(update).ok());
    EXPECT_EQ(Source("items", "1"), "-");
    ASSERT_TRUE(Write(insert).ok());
    forgotten = Source("items", "1") != "-";
  }
  EXPECT_TRUE(forgotten);
  ASSERT_TRUE(Write(update).ok());
  ASSERT_TRUE(Write(removal).ok());
  EXPECT_EQ(Source("items", "1"), "-");
  EXPECT_EQ(Count("items"), 1U);
}

TEST_F(OpenSearchSinkTest, RemembersDeletionsAsLongAsConfigured) {
  builder_.Table("public.items (id int4 key, name text)");
  config_.deletes_remembered = absl::Minutes(5);
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 one").ok());
  const auto settings = Ask("GET", "/" + prefix_ + "items/_settings?flat_settings=true");
  EXPECT_EQ(settings.begin().value()["settings"]["index.gc_deletes"], "300s");
}

TEST_F(OpenSearchSinkTest, AChangedKeyMovesTheDocument) {
  builder_.Table("public.items (id int4 key, name text, note text)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 one 'a long note'\ninsert items 5 five five").ok());
  // In one window with complete values, and in one whose large value was not sent.
  ASSERT_TRUE(ApplyOne("update items old(5) 6 six six").ok());
  ASSERT_TRUE(ApplyOne("update items old(1) 2 two unchanged").ok());
  EXPECT_EQ(Source("items", "5"), "-");
  EXPECT_EQ(Source("items", "6"), R"({"id":6,"name":"six","note":"six"})");
  EXPECT_EQ(Source("items", "1"), "-");
  EXPECT_EQ(Source("items", "2"), R"({"id":2,"name":"two","note":"a long note"})");
  ASSERT_TRUE(Replay().ok());
  EXPECT_EQ(Source("items", "2"), R"({"id":2,"name":"two","note":"a long note"})");
  EXPECT_EQ(Count("items"), 2U);
  // The old key has another row by now: a replay must not take its values.
  const engine::Chunk move = last_;
  ASSERT_TRUE(ApplyOne("insert items 1 other 'another note'").ok());
  ASSERT_TRUE(Write(move).ok());
  EXPECT_EQ(Source("items", "1"), R"({"id":1,"name":"other","note":"another note"})");
  EXPECT_EQ(Source("items", "2"), R"({"id":2,"name":"two","note":"a long note"})");
}

TEST_F(OpenSearchSinkTest, KeepsLargeValuesThatWereNotSent) {
  builder_.Table("public.items (id int4 key, price numeric, note text)");
  Start();
  const std::string digits = "1234567890123456789012345678901234567890.5";
  ASSERT_TRUE(ApplyOne("insert items 1 " + digits + " 'line\n\"quoted\"'").ok());
  ASSERT_TRUE(ApplyOne("update items 1 7 unchanged").ok());
  EXPECT_EQ(Source("items", "1"), R"({"id":1,"price":7,"note":"line\n\"quoted\""})");
  ASSERT_TRUE(ApplyOne("update items 1 " + digits + " new").ok());
  ASSERT_TRUE(ApplyOne("update items 1 unchanged newer").ok());
  EXPECT_EQ(Source("items", "1"), R"({"id":1,"price":)" + digits + R"(,"note":"newer"})");
  // Within a window the earlier change has them.
  ASSERT_TRUE(ApplyOne("insert items 2 1 fresh\nupdate items 2 2 unchanged").ok());
  EXPECT_EQ(Source("items", "2"), R"({"id":2,"price":2,"note":"fresh"})");
}

TEST_F(OpenSearchSinkTest, ATruncateLeavesWhatCameLater) {
  builder_.Table("public.items (id int4 key, name text)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 one\ninsert items 2 two").ok());
  ASSERT_TRUE(ApplyOne("truncate items\ninsert items 3 three").ok());
  const engine::Chunk truncate = last_;
  EXPECT_EQ(Count("items"), 1U);
  ASSERT_TRUE(ApplyOne("insert items 4 four").ok());
  ASSERT_TRUE(Write(truncate).ok());
  EXPECT_EQ(Count("items"), 2U);
  EXPECT_EQ(Source("items", "4"), R"({"id":4,"name":"four"})");
}

TEST_F(OpenSearchSinkTest, NewColumnsAreSearchableAtOnce) {
  builder_.Table("public.items (id int4 key, name text)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 one").ok());
  builder_.Table("public.items (id int4 key, name text, color text)");
  ASSERT_TRUE(ApplyOne("insert items 2 two red").ok());
  EXPECT_EQ(Ask("GET", "/" + prefix_ + "items/_count?q=color:red").value("count", 0), 1);
}

TEST_F(OpenSearchSinkTest, ANewTypeRebuildsTheIndexBehindTheName) {
  builder_.Table("public.items (id int4 key, name text)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 12345678901234567890123.5\ninsert items 2 two").ok());
  builder_.Table("public.items (id int4 key, name numeric)");
  ASSERT_TRUE(ApplyOne("insert items 3 3.5").ok());
  const auto behind = Ask("GET", "/" + prefix_ + "items/_alias");
  EXPECT_EQ(behind.begin().key(), prefix_ + "items-000002");
  EXPECT_EQ(Count("items"), 3U);
  EXPECT_EQ(Count("items", R"({"range":{"name":{"gt":3}}})"), 2U);
}

// What comes again from before a rebuild is in the rebuilt documents, under the names of now.
TEST_F(OpenSearchSinkTest, AReplayFromBeforeARebuildLeavesTheDocuments) {
  builder_.Table("public.items (id int4 key, a text, note text)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 one x\ninsert items 2 two x").ok());
  const engine::Chunk before = last_;
  builder_.Table("public.items (id int4 key, b text, note text)");
  ASSERT_TRUE(ApplyOne("update items 1 uno unchanged").ok());
  const engine::Chunk after = last_;
  Reopen();
  for (const engine::Chunk& chunk : {before, after}) {
    ASSERT_TRUE(Write(chunk).ok());
    EXPECT_EQ(Source("items", "1"), R"({"id":1,"b":"uno","note":"x"})");
    EXPECT_EQ(Source("items", "2"), R"({"id":2,"b":"two","note":"x"})");
  }
  ASSERT_TRUE(ApplyOne("update items 2 due unchanged").ok());
  EXPECT_EQ(Source("items", "2"), R"({"id":2,"b":"due","note":"x"})");
}

// After a start the catalog has the names of today, and rows of before a rename come again without
// the numbers of their columns.
TEST_F(OpenSearchSinkTest, RowsOfYesterdayAreNotTakenForOtherColumns) {
  builder_.Table("public.items (id int4 key, a text)");
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 one\ninsert items 2 two").ok());
  auto unnumbered = std::make_shared<schemas::TableSchema>(*last_.tables[0]);
  unnumbered->columns[1].attribute_number = 0;
  last_.tables[0] = unnumbered;
  Reopen();
  ASSERT_TRUE(Replay().ok());
  builder_.Table("public.items (id int4 key, b text)");
  ASSERT_TRUE(ApplyOne("update items 1 uno").ok());
  EXPECT_EQ(Source("items", "1"), R"({"id":1,"b":"uno"})");
  EXPECT_EQ(Source("items", "2"), R"({"id":2,"b":"two"})");
}

TEST_F(OpenSearchSinkTest, ARefusedDocumentNamesItsRow) {
  SearchTableOptions options;
  options.table = "public.items";
  options.mapping = Yaml("{size: {type: long}}");
  config_.tables.push_back(options);
  builder_.Table("public.items (id int4 key, size text)");
  Start();
  last_ =
      builder_.Stream("begin\ninsert items 1 10\ninsert items 2 huge\ninsert items 3 3\ncommit");
  const auto result = Write(last_);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->rejections.size(), 1U);
  EXPECT_EQ(result->rejections[0].position.ordinal, 1U);
  EXPECT_THAT(std::string(base::Message(result->rejections[0].error)), HasSubstr("huge"));
  EXPECT_EQ(Count("items"), 2U);
  // The insert is good and its update is not: the first must not be lost with the second.
  const absl::Status merged = ApplyOne("insert items 4 4\nupdate items 4 huge");
  EXPECT_EQ(merged.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(base::Payload(merged, engine::kCulpritPayload), HasSubstr(":1"));
}

TEST_F(OpenSearchSinkTest, OneNameForTwoTablesIsRefused) {
  config_.index = prefix_ + "all";
  builder_.Table("public.a (id int4 key)");
  builder_.Table("public.b (id int4 key)");
  Start();
  const absl::Status status = ApplyOne("insert a 1\ninsert b 1");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("public.a and public.b"));
}

TEST_F(OpenSearchSinkTest, ATableWithoutKeyIsRefused) {
  builder_.Table("public.log (line text) nothing");
  Start();
  const absl::Status status = ApplyOne("insert log hello");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("no key"));
}

TEST_F(OpenSearchSinkTest, ALoadHasItsSettingsBackAfterwards) {
  config_.settings = {};
  Start();
  const engine::TablePlan plan = Plan("public.items (id int4 key, name text)");
  ASSERT_TRUE(sink_->PrepareSnapshot({}, {&plan, 1}, {}, {}).ok());
  const auto setting = [&](const std::string& name) {
    const auto all = Ask("GET", "/" + prefix_ + "items/_settings?flat_settings=true");
    return all.begin().value()["settings"].value(name, std::string("-"));
  };
  EXPECT_EQ(setting("index.refresh_interval"), "-1");
  EXPECT_EQ(setting("index.number_of_replicas"), "0");
  auto lane = sink_->OpenLane({});
  ASSERT_TRUE(lane.ok());
  engine::Batch rows = builder_.Snapshot("items", "1 one\n2 two", engine::CopyFormat::kBinary);
  ASSERT_TRUE((*lane)->BeginRange(plan, {}, {}).ok());
  ASSERT_TRUE((*lane)->Write(rows, {}).ok());
  ASSERT_TRUE((*lane)->FinishRange({}).ok());
  // Killed here: whoever writes next puts them back.
  Start();
  ASSERT_TRUE(ApplyOne("insert items 3 three").ok());
  EXPECT_EQ(setting("index.refresh_interval"), "-");
  EXPECT_EQ(setting("index.number_of_replicas"), "1");
  EXPECT_EQ(Count("items"), 3U);
  // A second snapshot does not begin over documents that are there.
  const absl::Status again = sink_->PrepareSnapshot({}, {&plan, 1}, {}, {});
  EXPECT_EQ(again.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(base::Message(again)), HasSubstr("3 documents"));
}

// What a deletion leaves behind must not refuse the rows that come after it.
TEST_F(OpenSearchSinkTest, SomebodysDocumentsAreReplaced) {
  Ask("PUT", "/" + prefix_ + "items", "{}");
  for (const char* id : {"1", "7"}) {
    Ask("PUT", "/" + prefix_ + "items/_doc/" + id + "?refresh=true", R"({"what":"theirs"})");
  }
  config_.on_existing_documents = ExistingDocuments::kReplace;
  Start();
  const engine::TablePlan plan = Plan("public.items (id int4 key, name text)");
  ASSERT_TRUE(sink_->PrepareSnapshot({}, {&plan, 1}, {}, {}).ok());
  auto lane = sink_->OpenLane({});
  ASSERT_TRUE(lane.ok());
  engine::Batch rows = builder_.Snapshot("items", "1 one\n2 two", engine::CopyFormat::kBinary);
  rows.set_snapshot_lsn(postgres::Lsn(0x7000));
  ASSERT_TRUE((*lane)->BeginRange(plan, {}, {}).ok());
  ASSERT_TRUE((*lane)->Write(rows, {}).ok());
  ASSERT_TRUE((*lane)->FinishRange({}).ok());
  ASSERT_TRUE((*lane)->FinishTable(plan, {}).ok());
  EXPECT_EQ(Source("items", "1"), R"({"id":1,"name":"one"})");
  EXPECT_EQ(Count("items"), 2U);
}

TEST_F(OpenSearchSinkTest, GoesOnAfterTheServerWasKilledAndWhileItStalls) {
  builder_.Table("public.items (id int4 key, name text)");
  config_.connection.request_timeout = absl::Seconds(5);
  Start();
  ASSERT_TRUE(ApplyOne("insert items 1 one").ok());
  ASSERT_TRUE(Server().Kill9().ok());
  const absl::Status down = ApplyOne("insert items 2 two");
  EXPECT_EQ(down.code(), absl::StatusCode::kUnavailable) << down;
  ASSERT_TRUE(Server().Start().ok());
  Reopen();
  ASSERT_TRUE(Replay().ok());
  EXPECT_EQ(Count("items"), 2U);
  // A stop does not wait for a server that hangs.
  Server().Freeze();
  std::stop_source stop;
  std::jthread stopper([&stop] {
    absl::SleepFor(absl::Milliseconds(300));
    stop.request_stop();
  });
  const absl::Time start = absl::Now();
  const absl::Status stopped =
      Write(builder_.Stream("begin\ninsert items 3 x\ncommit"), true, stop.get_token()).status();
  EXPECT_EQ(stopped.code(), absl::StatusCode::kCancelled);
  EXPECT_LT(absl::Now() - start, absl::Seconds(3));
  Server().Thaw();
}

}  // namespace
}  // namespace pgflow::sinks
