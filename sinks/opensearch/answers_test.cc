#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "sinks/opensearch/bulk_answer.h"
#include "sinks/opensearch/bulk_body.h"
#include "sinks/opensearch/json_scanner.h"

namespace pgflow::sinks {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(JsonScannerTest, GivesPiecesByteForByte) {
  JsonScanner members(
      R"( {"a" : 1234567890123456789012345.50, "b":"x\"}", "c":[1,{"d":"]"}],"e":{}} )");
  std::vector<std::string> found;
  while (members.Next()) found.push_back(std::string(members.key()) + std::string(members.value()));
  EXPECT_TRUE(members.ok());
  EXPECT_THAT(found, testing::ElementsAre(R"("a"1234567890123456789012345.50)", R"("b""x\"}")",
                                          R"("c"[1,{"d":"]"}])", R"("e"{})"));
}

TEST(JsonScannerTest, EndsOnAnythingMalformed) {
  for (const char* bad : {"", "x", "{", "[1,", "{\"a\"}", "{\"a\":}", "[1 2]", "{\"a\":\"x}",
                          "[[1]", "{1:2}", "\"text\""}) {
    JsonScanner scanner(bad);
    while (scanner.Next()) {
    }
    EXPECT_FALSE(scanner.ok()) << bad;
  }
}

// Every prefix of a good text is refused, none crashes.
TEST(JsonScannerTest, RefusesWhatIsCut) {
  const std::string whole = R"({"items":[{"index":{"status":400,"error":{"type":"x","a":"\\"}}}]})";
  for (size_t size = 0; size < whole.size(); ++size) {
    JsonScanner scanner(std::string_view(whole).substr(0, size));
    while (scanner.Next()) {
    }
    EXPECT_FALSE(scanner.ok()) << size;
    EXPECT_FALSE(ReadBulkAnswer(whole.substr(0, size), 1).ok()) << size;
  }
}

TEST(BulkAnswerTest, TellsDoneFromLaterAndRefused) {
  const auto failures = ReadBulkAnswer(
      R"({"errors":true,"items":[{"index":{"status":201}},{"delete":{"status":404}},)"
      R"({"index":{"status":409,"error":{"type":"version_conflict_engine_exception"}}},)"
      R"({"index":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"r"}}},)"
      R"({"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"field [x]",)"
      R"("caused_by":{"type":"a","reason":"b","caused_by":{"type":"c","reason":"inner"}}}}},)"
      R"({"index":{"status":404,"error":{"type":"index_not_found_exception","reason":"no"}}}]})",
      6);
  ASSERT_TRUE(failures.ok()) << failures.status();
  ASSERT_THAT(*failures, SizeIs(3));
  EXPECT_EQ((*failures)[0].item, 3U);
  EXPECT_EQ((*failures)[0].kind, BulkFailure::Kind::kLater);
  EXPECT_EQ((*failures)[1].kind, BulkFailure::Kind::kRefused);
  EXPECT_EQ((*failures)[1].reason, "mapper_parsing_exception: field [x] (inner)");
  EXPECT_EQ((*failures)[2].kind, BulkFailure::Kind::kBroken);
}

// The document may be another one of the same id.
TEST(BulkAnswerTest, TellsOfDeletionsThatFoundSomethingLater) {
  const std::string stale =
      R"("status":409,"error":{"type":"version_conflict_engine_exception","reason":"r"}}})";
  const auto failures = ReadBulkAnswer(
      R"({"errors":true,"items":[{"index":{)" + stale + R"(,{"delete":{)" + stale + "]}", 2);
  ASSERT_TRUE(failures.ok()) << failures.status();
  ASSERT_THAT(*failures, SizeIs(1));
  EXPECT_EQ((*failures)[0].item, 1U);
  EXPECT_EQ((*failures)[0].kind, BulkFailure::Kind::kStale);
}

TEST(BulkAnswerTest, AnotherNumberOfItemsIsNoAnswer) {
  const std::string two =
      R"({"errors":false,"items":[{"index":{"status":201}},{"index":{"status":200}}]})";
  ASSERT_TRUE(ReadBulkAnswer(two, 2).ok());
  EXPECT_THAT(*ReadBulkAnswer(two, 2), IsEmpty());
  EXPECT_EQ(ReadBulkAnswer(two, 1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReadBulkAnswer(two, 3).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReadBulkAnswer("", 1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReadBulkAnswer("<html>", 1).status().code(), absl::StatusCode::kUnavailable);
}

TEST(BulkBodyTest, WritesActionsAndDocuments) {
  const BulkTarget target("orders", true);
  BulkBody body;
  body.BeginIndex(target, "a\"b", 7).append("{\"x\":1}");
  body.FinishIndex(4);
  body.Delete(target, "2", 8, 5);
  EXPECT_EQ(body.bytes(),
            R"({"index":{"_index":"orders","require_alias":true,"version_type":"external_gte",)"
            R"("version":7,"_id":"a\"b"}})"
            "\n{\"x\":1}\n"
            R"({"delete":{"_index":"orders","require_alias":true,"version_type":"external_gte",)"
            R"("version":8,"_id":"2"}})"
            "\n");
  BulkBody second;
  second.Copy(body, body.items()[1]);
  EXPECT_EQ(second.bytes(), body.bytes().substr(body.items()[1].begin));
  EXPECT_EQ(second.items()[0].tag, 5U);
  EXPECT_TRUE(second.items()[0].is_delete);
}

}  // namespace
}  // namespace pgflow::sinks
