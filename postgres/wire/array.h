// One-dimensional arrays, as parameters of statements: unnest($1::int8[]) and the like.
//
// The binary form is array_recv's (src/include/utils/array.h, array_send in arrayfuncs.c): int32
// number of dimensions, int32 "has NULLs", element OID, then for each dimension int32 length and
// int32 lower bound, then for each element int32 size (-1: NULL) and bytes. The text form is "Array
// Input and Output Syntax" of the manual. Builders append to a buffer that the caller keeps and
// reuses; they allocate nothing else. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "postgres/types/oid.h"

namespace pgflow::postgres {

// Appends a binary array to `to`. `to` must outlive this and is not touched by others before
// Finish. An array without elements is written as one of no dimension, as the server does.
class BinaryArrayBuilder {
 public:
  BinaryArrayBuilder(std::string& to, Oid element_type);

  // What the element type's send function gives.
  void Append(std::string_view element);
  void AppendNull();
  uint32_t size() const { return count_; }
  // Completes the header. Nothing may be appended afterwards.
  void Finish();

 private:
  std::string& to_;
  size_t begin_;
  uint32_t count_ = 0;
  bool has_null_ = false;
};

// Appends a text array literal, {"a","b",NULL}. Every element is quoted: a quoted element is taken
// as it is by every type's input function, whatever is in it.
class TextArrayBuilder {
 public:
  // `delimiter` is the element type's pg_type.typdelim: a comma, but for box a semicolon.
  explicit TextArrayBuilder(std::string& to, char delimiter = ',');

  void Append(std::string_view element);
  void AppendNull();
  uint32_t size() const { return count_; }
  void Finish();

 private:
  void AppendDelimiter();

  std::string& to_;
  char delimiter_;
  uint32_t count_ = 0;
};

}  // namespace pgflow::postgres
