// Fields from a type's text output: times in ISO 8601; networks; arrays, ranges and multiranges.
// Pure; for document_encoder.h.
#pragma once

#include <string>
#include <string_view>

#include "sinks/opensearch/field_mapping.h"

namespace pgflow::sinks {

// Of a date or timestamp in ISO style. What is none (infinity) is appended as it is.
void AppendIsoTime(std::string_view text, std::string& out);

// Of an inet or cidr, as a server's ip_range takes it: always with its mask; IPv4 within IPv6 as
// {"gte":..,"lte":..}, because servers read it as IPv4. False when the text is none: nothing is
// appended.
bool AppendNetworkField(std::string_view text, std::string& out);

// `plan` is one of the three. False when the text is malformed; a part may then have been appended.
bool AppendTextContainer(const FieldPlan& plan, std::string_view text, std::string& out);

// {"gte":...,"lt":...}: Bound before each bound, then Finish.
class RangeWriter {
 public:
  explicit RangeWriter(std::string& out) : out_(out) { out_.push_back('{'); }
  void Bound(std::string_view name) {
    if (!first_) out_.push_back(',');
    first_ = false;
    out_.append("\"").append(name).append("\":");
  }
  void Finish() { out_.push_back('}'); }

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace pgflow::sinks
