#include "sinks/webhook/answer.h"

#include <gtest/gtest.h>

namespace pgflow::sinks {
namespace {

http::Response Json(std::string body) {
  http::Response response;
  response.status = 200;
  response.headers = {{"content-type", "application/json; charset=utf-8"}};
  response.body = std::move(body);
  return response;
}

const std::vector<std::string> kIds = {"0/A:0", "0/A:1", "0/B:0"};

TEST(AnswerTest, SortsStatuses) {
  for (const int status : {200, 201, 202, 204}) EXPECT_EQ(VerdictOf(status), Verdict::kTaken);
  for (const int status : {408, 425, 429, 500, 502, 503, 504, 599}) {
    EXPECT_EQ(VerdictOf(status), Verdict::kTryAgain) << status;
  }
  for (const int status : {400, 409, 422, 451}) {
    EXPECT_EQ(VerdictOf(status), Verdict::kRefused) << status;
  }
  for (const int status : {301, 302, 304, 401, 403, 404, 405, 410, 415}) {
    EXPECT_EQ(VerdictOf(status), Verdict::kMisconfigured) << status;
  }
  EXPECT_EQ(VerdictOf(413), Verdict::kTooLarge);
}

TEST(AnswerTest, ReadsRetryAfterInBothForms) {
  const absl::Time now =
      absl::FromCivil(absl::CivilSecond(2026, 1, 31, 12, 0, 0), absl::UTCTimeZone());
  const auto wait = [&](const char* text) {
    http::Response response;
    response.headers = {{"retry-after", text}};
    return RetryAfter(response, now);
  };
  EXPECT_EQ(wait("7"), absl::Seconds(7));
  EXPECT_EQ(wait("Sat, 31 Jan 2026 12:01:00 GMT"), absl::Minutes(1));
  EXPECT_EQ(wait("Sat, 31 Jan 2026 11:01:00 GMT"), absl::ZeroDuration());
  EXPECT_EQ(wait("4000000000"), absl::Hours(1)) << "bounded";
  for (const char* text : {"soon", "-1", "7s", ""}) EXPECT_EQ(wait(text), std::nullopt) << text;
}

TEST(AnswerTest, ReadsTheListOfFailedItems) {
  const auto items = FailedItems(
      Json(R"({"failed":[{"id":"0/B:0","error":"late","retry":true},{"index":0,"error":{"a":1}},
               {"index":0,"error":"twice"}]})"),
      kIds);
  ASSERT_TRUE(items.ok()) << items.status();
  ASSERT_EQ(items->size(), 2U);
  EXPECT_EQ((*items)[0].index, 0U);
  EXPECT_EQ((*items)[0].error, R"({"a":1})");
  EXPECT_FALSE((*items)[0].retry);
  EXPECT_EQ((*items)[1].index, 2U);
  EXPECT_TRUE((*items)[1].retry);
}

TEST(AnswerTest, AnAnswerWithoutAListIsWell) {
  for (const char* body : {"", "ok", "{}", "[]", R"({"failed":null})", R"({"failed":[]})", "{"}) {
    const auto items = FailedItems(Json(body), kIds);
    EXPECT_TRUE(items.ok() && items->empty()) << body;
  }
  http::Response html;
  html.body = R"({"failed":[{"index":0}]})";
  EXPECT_TRUE(FailedItems(html, kIds)->empty()) << "not JSON by its type";
}

TEST(AnswerTest, AListThatCannotBeReadIsAnError) {
  for (const char* body : {R"({"failed":true})", R"({"failed":[1]})", R"({"failed":[{}]})",
                           R"({"failed":[{"index":3}]})", R"({"failed":[{"index":-1}]})",
                           R"({"failed":[{"id":"0/C:0"}]})", R"({"failed":[{"id":7}]})"}) {
    EXPECT_EQ(FailedItems(Json(body), kIds).status().code(), absl::StatusCode::kUnavailable)
        << body;
  }
  http::Response cut = Json("{");
  cut.body_cut = true;
  EXPECT_FALSE(FailedItems(cut, kIds).ok());
}

TEST(AnswerTest, ShowsTheStartInOneLine) {
  EXPECT_EQ(Excerpt("a\nb\x01\xFF"), "a b??");
  EXPECT_EQ(Excerpt(std::string(501, 'x')), std::string(500, 'x') + "...");
}

}  // namespace
}  // namespace pgflow::sinks
