#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "postgres/wire/copy_binary.h"
#include "postgres/wire/copy_text.h"

namespace pgflow::postgres {
namespace {

using namespace std::string_literals;  // NOLINT: "..."s keeps zero bytes.

TEST(CopyBinary, Header) {
  EXPECT_EQ(kCopyBinaryHeader, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"s);
  const std::string bytes(kCopyBinaryHeader);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(CopyBinaryHeaderSize(std::string(bytes.data(), size)).ok()) << size;
  }
  EXPECT_EQ(*CopyBinaryHeaderSize(bytes), 19U);
  EXPECT_EQ(*CopyBinaryHeaderSize(bytes + "\0\1"s), 19U);
  std::string extended = bytes;
  extended[18] = 3;
  EXPECT_FALSE(CopyBinaryHeaderSize(extended + "ab").ok());
  EXPECT_EQ(*CopyBinaryHeaderSize(extended + "abcd"), 22U);
  std::string with_oids = bytes;
  with_oids[12] = 1;  // Bit 16.
  EXPECT_FALSE(CopyBinaryHeaderSize(with_oids).ok());
}

TEST(CopyBinary, Tuples) {
  std::string bytes;
  AppendCopyTuple(bytes, 3);
  AppendCopyField(bytes, "\0\0\0\7"s);
  AppendCopyNull(bytes);
  AppendCopyField(bytes, "");
  EXPECT_EQ(bytes, "\0\3\0\0\0\4\0\0\0\7\377\377\377\377\0\0\0\0"s);
  EXPECT_EQ(CopyTupleSize(bytes + "more"), bytes.size());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(CopyTupleSize(std::string(bytes.data(), size)), std::nullopt) << size;
  }
  EXPECT_EQ(CopyTupleSize(kCopyBinaryTrailer), std::nullopt);
  EXPECT_EQ(CopyTupleSize("\0\1\377\377\377\376"s), std::nullopt);  // Size -2.
  EXPECT_TRUE(IsCopyBinaryTrailer("\377\377"));
  EXPECT_FALSE(IsCopyBinaryTrailer("\377\377\0"s));
}

TEST(CopyText, EscapesAndBack) {
  std::string escaped;
  AppendCopyText(escaped, "a\tb\nc\\d\re\bf\fg\vh\1ü");
  EXPECT_EQ(escaped, "a\\tb\\nc\\\\d\\re\\bf\\fg\\vh\1ü");
  std::string text;
  ASSERT_TRUE(UnescapeCopyText(text, escaped));
  EXPECT_EQ(text, "a\tb\nc\\d\re\bf\fg\vh\1ü");
}

TEST(CopyText, EveryByteComesBack) {
  std::string all;
  for (int byte = 1; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  std::string escaped;
  AppendCopyText(escaped, all);
  EXPECT_EQ(escaped.find_first_of("\t\n\r"), std::string::npos);
  std::string text;
  ASSERT_TRUE(UnescapeCopyText(text, escaped));
  EXPECT_EQ(text, all);
}

TEST(CopyText, RefusesCutAndUnknownEscapes) {
  std::string text;
  EXPECT_FALSE(UnescapeCopyText(text, "abc\\"));
  EXPECT_FALSE(UnescapeCopyText(text, "\\N"));
  EXPECT_FALSE(UnescapeCopyText(text, "\\x41"));
}

TEST(CopyText, SplitsFields) {
  for (const auto& [line, expected] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"", {""}}, {"a", {"a"}}, {"a\t\\N\t", {"a", "\\N", ""}}, {"\t", {"", ""}}}) {
    std::optional<std::string_view> rest = line;
    std::vector<std::string> fields;
    while (const auto field = NextCopyField(rest)) fields.emplace_back(*field);
    EXPECT_EQ(fields, expected);
  }
}

}  // namespace
}  // namespace pgflow::postgres
