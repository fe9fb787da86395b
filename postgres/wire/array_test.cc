#include "postgres/wire/array.h"

#include <gtest/gtest.h>

namespace pgflow::postgres {
namespace {

using namespace std::string_literals;  // NOLINT: "..."s keeps zero bytes.

// SELECT array_send(ARRAY[1, NULL, 2]).
TEST(BinaryArray, WithNulls) {
  std::string bytes = "before";
  BinaryArrayBuilder array(bytes, oid::kInt4);
  array.Append("\0\0\0\1"s);
  array.AppendNull();
  array.Append("\0\0\0\2"s);
  EXPECT_EQ(array.size(), 3U);
  array.Finish();
  EXPECT_EQ(bytes,
            "before"
            "\0\0\0\1\0\0\0\1\0\0\0\x17\0\0\0\3\0\0\0\1"
            "\0\0\0\4\0\0\0\1\377\377\377\377\0\0\0\4\0\0\0\2"s);
}

TEST(BinaryArray, WithoutNullsAndEmpty) {
  std::string bytes;
  BinaryArrayBuilder array(bytes, oid::kText);
  array.Append("a");
  array.Append("");
  array.Finish();
  EXPECT_EQ(bytes,
            "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1"
            "\0\0\0\1a\0\0\0\0"s);
  std::string none = "x";
  BinaryArrayBuilder(none, oid::kText).Finish();
  EXPECT_EQ(none, "x\0\0\0\0\0\0\0\0\0\0\0\x19"s);
}

TEST(TextArray, QuotesEverything) {
  std::string text;
  TextArrayBuilder array(text);
  array.Append("plain");
  array.Append("a \"b\" \\c, {d}");
  array.AppendNull();
  array.Append("NULL");
  array.Append("");
  array.Finish();
  EXPECT_EQ(text, R"({"plain","a \"b\" \\c, {d}",NULL,"NULL",""})");
}

TEST(TextArray, EmptyAndOtherDelimiter) {
  std::string text;
  TextArrayBuilder(text).Finish();
  EXPECT_EQ(text, "{}");
  std::string boxes;
  TextArrayBuilder array(boxes, ';');
  array.Append("(1,1),(0,0)");
  array.AppendNull();
  array.Finish();
  EXPECT_EQ(boxes, R"text({"(1,1),(0,0)";NULL})text");
}

}  // namespace
}  // namespace pgflow::postgres
