// Masks of parts of a document: json, jsonb and hstore.
#include <utility>

#include "base/status.h"
#include "transformers/mask/column_mask.h"
#include "transformers/mask/document_edit.h"

namespace pgflow::transformers {
namespace {

using schemas::Value;
using schemas::ValueKind;

class JsonMask final : public ColumnMask {
 public:
  JsonMask(std::vector<JsonEdit> edits, bool versioned)
      : edits_(std::move(edits)), versioned_(versioned) {}

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const override {
    std::string_view json = value.view();
    if (versioned_ && value.kind == ValueKind::kBinary) {
      out.append(json.substr(0, 1));
      json = json.substr(std::min<size_t>(1, json.size()));
    }
    if (AppendEditedJson(json, edits_, out)) return MaskOutcome::kWritten;
    scratch.refusal = "the value is no JSON that can be edited";
    return MaskOutcome::kRefused;
  }

 private:
  std::vector<JsonEdit> edits_;
  bool versioned_;  // jsonb's binary form begins with a version.
};

class HstoreMask final : public ColumnMask {
 public:
  explicit HstoreMask(std::vector<HstoreEdit> edits) : edits_(std::move(edits)) {}

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const override {
    const bool good = value.kind == ValueKind::kBinary
                          ? AppendEditedHstoreBinary(value.view(), edits_, out)
                          : AppendEditedHstoreText(value.view(), edits_, out);
    if (good) return MaskOutcome::kWritten;
    scratch.refusal = "the value is no hstore that can be read";
    return MaskOutcome::kRefused;
  }

 private:
  std::vector<HstoreEdit> edits_;
};

absl::StatusOr<JsonEdit> MakeJsonEdit(const std::string& path, const std::string* value) {
  std::optional<std::vector<std::string>> steps = ParseJsonPath(path);
  if (!steps.has_value()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "json: the path '{}' has an empty step", path);
  }
  if (value != nullptr && !IsJson(*value)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "json: '{}' for '{}' is no JSON (a text is written as '\"text\"')",
                            *value, path);
  }
  JsonEdit edit{*std::move(steps), {}};
  if (value != nullptr) edit.value = *value;
  return edit;
}

}  // namespace

absl::StatusOr<ColumnMaskPtr> MakeDocumentMask(const MaskRule& rule, std::string_view /*key*/,
                                               const ColumnType& type) {
  if (rule.with == MaskKind::kHstore) {
    std::vector<HstoreEdit> edits;
    edits.reserve(rule.remove.size() + rule.set.size());
    for (const std::string& key : rule.remove) edits.push_back({key, {}});
    for (const auto& [key, value] : rule.set) edits.push_back({key, value});
    return std::make_unique<HstoreMask>(std::move(edits));
  }
  std::vector<JsonEdit> edits;
  edits.reserve(rule.remove.size() + rule.set.size());
  for (const std::string& path : rule.remove) {
    PGFLOW_ASSIGN_OR_RETURN(JsonEdit edit, MakeJsonEdit(path, nullptr));
    edits.push_back(std::move(edit));
  }
  for (const auto& [path, value] : rule.set) {
    PGFLOW_ASSIGN_OR_RETURN(JsonEdit edit, MakeJsonEdit(path, &value));
    edits.push_back(std::move(edit));
  }
  return std::make_unique<JsonMask>(std::move(edits), type.wire == postgres::oid::kJsonb);
}

}  // namespace pgflow::transformers
