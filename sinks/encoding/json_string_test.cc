#include "sinks/encoding/json_string.h"

#include <random>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace pgflow::sinks {
namespace {

std::string Quoted(std::string_view text) {
  std::string out;
  EXPECT_TRUE(AppendJsonString(text, out));
  return out;
}

TEST(JsonString, EscapesWhatMustBe) {
  EXPECT_EQ(Quoted(""), R"("")");
  EXPECT_EQ(Quoted("plain text, longer than a word"), R"("plain text, longer than a word")");
  EXPECT_EQ(Quoted("a\"b\\c\n\r\t\x01\x1f"), R"("a\"b\\c\n\r\t\u0001\u001f")");
  EXPECT_EQ(Quoted("grün 日本 \xF0\x9F\x98\x80 end"), "\"grün 日本 \xF0\x9F\x98\x80 end\"");
}

TEST(JsonString, RefusesWhatIsNotUtf8) {
  for (const std::string_view bad : {"\xFF", "abc\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
                                     "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "12345678\x80"}) {
    std::string out = "before";
    EXPECT_FALSE(AppendJsonString(bad, out));
    EXPECT_FALSE(AppendInlineJson(bad, out));
    EXPECT_EQ(out, "before");
  }
}

TEST(JsonString, AgreesWithAReferenceParser) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 24, ' ');
    // Mostly ASCII, or else nearly nothing would be valid.
    for (char& c : text) c = static_cast<char>(random() % (random() % 8 == 0 ? 256 : 128));
    std::string out;
    const bool valid = AppendJsonString(text, out);
    const nlohmann::json parsed = nlohmann::json::parse(valid ? out : "[]", nullptr, false);
    std::string reference;
    try {
      reference = nlohmann::json(text).dump();
      EXPECT_TRUE(valid);
      ASSERT_TRUE(parsed.is_string()) << out;
      EXPECT_EQ(parsed.get<std::string>(), text);
    } catch (const nlohmann::json::exception&) {
      EXPECT_FALSE(valid);
    }
  }
}

TEST(JsonString, PutsJsonOnOneLine) {
  std::string out;
  ASSERT_TRUE(AppendInlineJson("{\n  \"a\":\r\n 1.50\n}", out));
  EXPECT_EQ(out, "{   \"a\":   1.50 }");
}

TEST(JsonString, WritesBase64) {
  const auto encoded = [](std::string_view bytes) {
    std::string out;
    AppendBase64(bytes, out);
    return out;
  };
  EXPECT_EQ(encoded(""), "");
  EXPECT_EQ(encoded("f"), "Zg==");
  EXPECT_EQ(encoded("fo"), "Zm8=");
  EXPECT_EQ(encoded("foo"), "Zm9v");
  EXPECT_EQ(encoded("\xFF\xFE"), "//4=");
}

}  // namespace
}  // namespace pgflow::sinks
