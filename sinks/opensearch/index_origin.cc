#include "sinks/opensearch/index_origin.h"

#include <array>
#include <string_view>

#include <absl/strings/match.h>
#include <fmt/format.h>

#include "sinks/opensearch/index_template.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;

// In the order of the enums.
constexpr std::array<std::string_view, 3> kStrings = {"text_and_keyword", "text", "keyword"};
constexpr std::array<std::string_view, 2> kNumerics = {"double", "keyword"};
constexpr std::array<std::string_view, 3> kJson = {"flattened", "object", "stored"};

template <typename Enum, size_t n>
void ReadChoice(const json& origin, const char* name,
                const std::array<std::string_view, n>& choices, Enum& choice) {
  const json& chosen = MemberOf(origin, name);
  for (size_t i = 0; i < n; ++i) {
    if (chosen.is_string() && chosen.get_ref<const std::string&>() == choices[i]) {
      choice = static_cast<Enum>(i);
    }
  }
}

std::string TextIn(const json& origin, std::string_view name) {
  const json& text = MemberOf(origin, name);
  return text.is_string() ? text.get<std::string>() : std::string();
}

// {"index": {"a": {"b": 1}}} as {"index.a.b": "1"}: as a server compares them.
void Flatten(const std::string& prefix, const json& value, json& flat) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [name, inner] : value.items()) {
      Flatten(prefix.empty() ? name : prefix + "." + name, inner, flat);
    }
    return;
  }
  const std::string name = absl::StartsWith(prefix, "index.") ? prefix : "index." + prefix;
  flat[name] = value;
}

}  // namespace

json OriginOf(const OpenSearchSinkConfig& config, const schemas::TableName& table) {
  const SearchTableOptions* options = config.OptionsOf(table);
  json settings = {
      {"index.gc_deletes", fmt::format("{}s", absl::ToInt64Seconds(config.deletes_remembered))}};
  if (config.settings.is_map()) settings.update(ToJson(config.settings));
  if (options != nullptr && options->settings.is_map()) {
    settings.update(ToJson(options->settings), true);
  }
  json mapping = json::object();
  if (options != nullptr && options->mapping.is_map()) mapping = ToJson(options->mapping);
  json origin = {{"strings", kStrings[static_cast<size_t>(config.strings)]},
                 {"numerics", kNumerics[static_cast<size_t>(config.numerics)]},
                 {"json", kJson[static_cast<size_t>(config.json)]},
                 {"mapping", mapping},
                 {"settings", settings}};
  // Absent: as in indices that were made before there was one.
  const std::string pipeline = config.PipelineOf(table);
  if (!pipeline.empty()) origin["pipeline"] = pipeline;
  const std::string routing = config.RoutingOf(table);
  if (!routing.empty()) origin["routing"] = routing;
  return origin;
}

json OriginOfNew(const OpenSearchSinkConfig& config, const schemas::TableName& table,
                 const json& given) {
  json origin = OriginOf(config, table);
  if (!given.empty()) origin["template"] = given;
  return origin;
}

json OriginFor(const OpenSearchSinkConfig& config, const schemas::TableName& table,
               const IndexMeta& known, const json& given) {
  json origin = OriginOfNew(config, table, given);
  if (known.columns.empty() && known.origin.is_null()) return origin;  // It is nobody's yet.
  origin.erase("routing");
  const std::string routing = RoutingOf(known.origin);
  if (!routing.empty()) origin["routing"] = routing;
  return origin;
}

MappingChoices ChoicesOf(const json& origin) {
  MappingChoices choices;
  ReadChoice(origin, "strings", kStrings, choices.strings);
  ReadChoice(origin, "numerics", kNumerics, choices.numerics);
  ReadChoice(origin, "json", kJson, choices.json);
  const json& mapping = MemberOf(origin, "mapping");
  const json& given = MemberOf(TemplateIn(origin), "properties");
  choices.columns = given.is_object() ? given : json::object();
  if (mapping.is_object()) choices.columns.update(mapping);
  return choices;
}

std::string PipelineOf(const json& origin) { return TextIn(origin, "pipeline"); }

std::string RoutingOf(const json& origin) { return TextIn(origin, "routing"); }

bool IsAsWanted(const json& origin, const json& wanted) {
  json was = origin;
  if (was.is_object()) was.erase("template");
  return was == wanted;
}

bool HasOtherMapping(const json& origin, const json& wanted) {
  json was = origin;
  json is = wanted;
  was.erase("settings");
  was.erase("template");
  is.erase("settings");
  return was != is;
}

json ChangedSettings(const json& origin, const json& wanted) {
  json was = json::object();
  json is = json::object();
  Flatten("", MemberOf(origin, "settings"), was);
  Flatten("", MemberOf(wanted, "settings"), is);
  json changed = json::object();
  for (const auto& [name, value] : is.items()) {
    if (MemberOf(was, name) != value) changed[name] = value;
  }
  for (const auto& [name, value] : was.items()) {
    if (!is.contains(name)) changed[name] = nullptr;
  }
  return changed;
}

}  // namespace pgflow::sinks
