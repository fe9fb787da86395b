#include "http/url.h"

#include <gtest/gtest.h>

#include "base/status.h"

namespace pgflow::http {
namespace {

TEST(UrlTest, ShowsNeitherUserNorQuery) {
  const absl::StatusOr<Url> url = ParseUrl("https://hooks.example.com:8443/a/b?token=hush#part");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->Shown(), "https://hooks.example.com:8443/a/b");
  EXPECT_EQ(url->Origin(), "https://hooks.example.com:8443");
  EXPECT_EQ(ParseUrl("http://[::1]:80")->Shown(), "http://[::1]:80/");
}

TEST(UrlTest, RefusesWhatIsNoHttpUrlWithoutRepeatingIt) {
  for (const char* text : {"", "hush", "ftp://hush/", "file:///hush", "http://",
                           "http://hush:99999/", "http://user:hush@example.com/"}) {
    const absl::StatusOr<Url> url = ParseUrl(text);
    EXPECT_EQ(url.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(base::Message(url.status()).find("hush"), std::string_view::npos) << text;
  }
}

}  // namespace
}  // namespace pgflow::http
