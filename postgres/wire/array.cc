#include "postgres/wire/array.h"

#include "base/bytes.h"

namespace pgflow::postgres {
namespace {

// ndim, flags, element type, length, lower bound.
constexpr size_t kHeaderBytes = 5 * sizeof(int32_t);
constexpr size_t kEmptyBytes = 3 * sizeof(int32_t);

}  // namespace

BinaryArrayBuilder::BinaryArrayBuilder(std::string& to, Oid element_type)
    : to_(to), begin_(to.size()) {
  to_.append(kHeaderBytes, '\0');
  base::StoreBigEndian(&to_[begin_ + 8], element_type);
}

void BinaryArrayBuilder::Append(std::string_view element) {
  base::AppendBigEndian(to_, static_cast<int32_t>(element.size()));
  to_.append(element);
  ++count_;
}

void BinaryArrayBuilder::AppendNull() {
  base::AppendBigEndian(to_, int32_t{-1});
  has_null_ = true;
  ++count_;
}

void BinaryArrayBuilder::Finish() {
  if (count_ == 0) {
    to_.resize(begin_ + kEmptyBytes);
    return;
  }
  base::StoreBigEndian(&to_[begin_], int32_t{1});
  base::StoreBigEndian(&to_[begin_ + 4], has_null_ ? int32_t{1} : int32_t{0});
  base::StoreBigEndian(&to_[begin_ + 12], count_);
  base::StoreBigEndian(&to_[begin_ + 16], int32_t{1});  // Subscripts begin at 1.
}

TextArrayBuilder::TextArrayBuilder(std::string& to, char delimiter)
    : to_(to), delimiter_(delimiter) {
  to_.push_back('{');
}

void TextArrayBuilder::AppendDelimiter() {
  if (count_++ > 0) to_.push_back(delimiter_);
}

void TextArrayBuilder::Append(std::string_view element) {
  AppendDelimiter();
  to_.push_back('"');
  size_t begin = 0;
  for (size_t at = 0; at < element.size(); ++at) {
    if (element[at] != '"' && element[at] != '\\') continue;
    to_.append(element.substr(begin, at - begin));
    to_.push_back('\\');
    begin = at;
  }
  to_.append(element.substr(begin));
  to_.push_back('"');
}

void TextArrayBuilder::AppendNull() {
  AppendDelimiter();
  to_.append("NULL");
}

void TextArrayBuilder::Finish() { to_.push_back('}'); }

}  // namespace pgflow::postgres
