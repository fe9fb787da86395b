#include "base/config/spec_description.h"

#include <fmt/format.h>

namespace pgflow::config {
namespace {

std::string Quote(const std::string& text) { return "'" + text + "'"; }

std::string JoinNames(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

// What was found instead, for a message. A text where another kind of thing belongs may be
// anything, a password too: it is not shown.
std::string Found(const Node& node, bool shows_text) {
  switch (node.kind()) {
    case Node::Kind::kAbsent:
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      return shows_text || node.is_from_reference() ? node.Quoted() : "a text";
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "a map";
  }
  return "";
}

// Of these, the text that was found is a misspelt one.
bool ShowsText(ValueType type) {
  switch (type) {
    case ValueType::kBoolean:
    case ValueType::kInteger:
    case ValueType::kNumber:
    case ValueType::kDuration:
    case ValueType::kByteSize:
    case ValueType::kChoice:
      return true;
    case ValueType::kString:
    case ValueType::kSecret:
    case ValueType::kStringList:
    case ValueType::kStringMap:
    case ValueType::kSection:
    case ValueType::kSectionList:
    case ValueType::kAny:
      return false;
  }
  return false;
}

// "an integer", and how to write one where that is not plain.
std::string Expectation(const FieldDescription& field) {
  switch (field.type) {
    case ValueType::kBoolean:
      return "true or false";
    case ValueType::kInteger:
      return "an integer";
    case ValueType::kNumber:
      return "a number";
    case ValueType::kString:
    case ValueType::kSecret:
      return "a text";
    case ValueType::kDuration:
      return "a duration with its unit, such as 10s or 500ms";
    case ValueType::kByteSize:
      return "a size, such as 64MiB or 4096";
    case ValueType::kChoice:
      return "one of " + JoinNames(field.choices);
    case ValueType::kStringList:
      return R"(a list of texts, such as ["a", "b"])";
    case ValueType::kStringMap:
      return R"(a map of texts, such as {a: "b"})";
    case ValueType::kSection:
      return "a section of keys and values";
    case ValueType::kSectionList:
      return "a list of sections";
    case ValueType::kAny:
      return "a value";
  }
  return "";
}

std::string PlaceOf(const Node& node) {
  return node.path().empty() ? std::string("the file") : Quote(node.path());
}

}  // namespace

std::string ValueTypeName(ValueType type) {
  switch (type) {
    case ValueType::kBoolean:
      return "boolean";
    case ValueType::kInteger:
      return "integer";
    case ValueType::kNumber:
      return "number";
    case ValueType::kString:
      return "text";
    case ValueType::kSecret:
      return "secret text";
    case ValueType::kDuration:
      return "duration";
    case ValueType::kByteSize:
      return "size";
    case ValueType::kChoice:
      return "choice";
    case ValueType::kStringList:
      return "list of texts";
    case ValueType::kStringMap:
      return "map of texts";
    case ValueType::kSection:
      return "section";
    case ValueType::kSectionList:
      return "list of sections";
    case ValueType::kAny:
      return "any";
  }
  return "";
}

bool CheckKeys(const Node& node, const std::vector<std::string>& names, Problems& problems) {
  if (node.is_null() || node.is_absent()) return true;
  if (!node.is_map()) {
    problems.Add(node, fmt::format("{} must be a section of keys and values, not {}", PlaceOf(node),
                                   Found(node, false)));
    return false;
  }
  for (const auto& [key, value] : node.entries()) {
    bool known = false;
    for (const std::string& name : names) known = known || name == key.text();
    if (known) continue;
    const std::string nearest = NearestName(key.text(), names);
    std::string hint;
    if (!nearest.empty()) {
      hint = fmt::format("did you mean '{}'?", nearest);
    } else if (names.empty()) {
      hint = "it takes no options";
    } else {
      hint = fmt::format("valid here: {}", JoinNames(names));
    }
    // Without a value it may be what a comma cut off from the value before it.
    const bool shown = !value.is_null() && IsHarmless(key.text());
    const std::string name = shown ? Quote(key.text()) + " " : "";
    problems.Add(key, fmt::format("unknown key {}in {}; {}", name, PlaceOf(node), hint));
  }
  return true;
}

void AddMissing(const Node& node, const FieldDescription& field, Problems& problems) {
  std::string message = fmt::format("'{}' is missing in {}", field.name, PlaceOf(node));
  if (!field.example.empty()) message += fmt::format("; write {}: {}", field.name, field.example);
  problems.Add(node, std::move(message));
}

void AddEmpty(const Node& node, const FieldDescription&, Problems& problems) {
  std::string origin;
  if (node.is_from_reference()) origin = fmt::format(" ({} is empty)", node.Quoted());
  problems.Add(node, fmt::format("{} must not be empty{}", PlaceOf(node), origin));
}

void AddWrongType(const Node& node, const FieldDescription& field, Problems& problems) {
  problems.Add(node, fmt::format("{} must be {}, not {}", PlaceOf(node), Expectation(field),
                                 Found(node, ShowsText(field.type))));
}

void AddOutOfRange(const Node& node, const FieldDescription& field, Problems& problems) {
  problems.Add(node, fmt::format("{} must be from {} to {}, not {}", PlaceOf(node), *field.minimum,
                                 *field.maximum, Found(node, true)));
}

void AddWrongChoice(const Node& node, const FieldDescription& field, Problems& problems) {
  std::string hint;
  if (node.is_scalar() && !node.is_from_reference()) {
    const std::string nearest = NearestName(node.text(), field.choices);
    if (!nearest.empty()) hint = fmt::format("; did you mean '{}'?", nearest);
  }
  problems.Add(node, fmt::format("{} must be one of {}, not {}{}", PlaceOf(node),
                                 JoinNames(field.choices), Found(node, true), hint));
}

}  // namespace pgflow::config
