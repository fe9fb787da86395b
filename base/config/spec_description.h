// SpecDescription: what a ConfigSpec declares, as plain values, for documentation and schemas.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config/node.h"

namespace pgflow::config {

struct SpecDescription;

enum class ValueType {
  kBoolean,
  kInteger,
  kNumber,
  kString,
  kSecret,
  kDuration,
  kByteSize,
  kChoice,
  kStringList,
  kStringMap,
  kSection,
  kSectionList,
  kAny,  // The component reads it itself.
};

// "integer", "duration", "list of strings", ...
std::string ValueTypeName(ValueType type);

struct FieldDescription {
  std::string name;
  ValueType type = ValueType::kString;
  std::string doc;
  bool required = false;
  // The member initialiser, printed; nothing when there is none to show.
  std::optional<std::string> default_text;
  std::optional<std::string> minimum;
  std::optional<std::string> maximum;
  std::vector<std::string> choices;
  std::string example;
  std::shared_ptr<const SpecDescription> nested;  // Of a section (list).
};

struct SpecDescription {
  std::vector<FieldDescription> fields;  // As declared.
};

// What the templates of config_spec.h share.

// True when `node` is a map (or null: every field its default). Reports everything else, and keys
// that no field has.
bool CheckKeys(const Node& node, const std::vector<std::string>& names, Problems& problems);
void AddMissing(const Node& node, const FieldDescription& field, Problems& problems);
void AddEmpty(const Node& node, const FieldDescription& field, Problems& problems);
void AddWrongType(const Node& node, const FieldDescription& field, Problems& problems);
void AddOutOfRange(const Node& node, const FieldDescription& field, Problems& problems);
void AddWrongChoice(const Node& node, const FieldDescription& field, Problems& problems);

}  // namespace pgflow::config
