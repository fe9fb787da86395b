// BulkAnswer: what a _bulk request's answer says of each item. Pure functions over untrusted bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "sinks/opensearch/bulk_body.h"

namespace pgflow::sinks {

struct BulkFailure {
  enum class Kind {
    kLater,    // The server has no room or is not ready: the same item may be taken later.
    kRefused,  // It will never be taken.
    kBroken,   // Something is wrong with the index or the permission, whatever the item.
    kDropped,  // The document's pipeline left it out.
    kStale,    // A deletion that found a later version. It is done.
  };

  size_t item = 0;
  Kind kind = Kind::kRefused;
  int status = 0;
  std::string reason;  // "mapper_parsing_exception: failed to parse field [x] ...: caused by ...".
};

// What of an answer ReadBulkAnswer needs, for `filter_path`: errors,items.*.status,items.*.error.
// Encoded, because a signature (AWS) is of the encoded form and libcurl signs a query as it is.
inline constexpr std::string_view kBulkAnswerFilter = "errors%2Citems.%2A.status%2Citems.%2A.error";

// The items that are not done, and stale deletions; an older version than the document's (409) is
// done, and so is the deletion of what is not there. kUnavailable: it is no answer for `item_count`
// items.
absl::StatusOr<std::vector<BulkFailure>> ReadBulkAnswer(std::string_view body, size_t item_count);

// The same of a body whose documents went through an ingest pipeline: the answer may be in another
// order. `filter_path` has to let kPipelineAnswerFilter through.
inline constexpr std::string_view kPipelineAnswerFilter =
    "%2Citems.%2A._id%2Citems.%2A._version%2Citems.%2A.result";
absl::StatusOr<std::vector<BulkFailure>> ReadPipelineAnswer(std::string_view answer,
                                                            const BulkBody& body);

// type, reason and the innermost cause of an error object; the text itself when it is none.
std::string ErrorReason(std::string_view error);

}  // namespace pgflow::sinks
