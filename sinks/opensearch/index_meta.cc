#include "sinks/opensearch/index_meta.h"

#include <charconv>

#include "base/status.h"

namespace pgflow::sinks {

using nlohmann::json;

namespace {

int16_t ToNumber(const std::string& text) {
  int16_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

absl::Status Changed(const json::exception& error) {
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "its mapping's _meta.pgflow was changed by somebody: {}", error.what());
}

json StepToJson(const SchemaStep& step) {
  return {{"lsn", step.lsn.value()}, {"step", step.number}};
}

SchemaStep ToStep(const json& from) {
  return {postgres::Lsn(from.at("lsn").get<uint64_t>()), from.value("step", uint32_t{0})};
}

std::map<int16_t, std::string> TextsByNumber(const json& from) {
  std::map<int16_t, std::string> texts;
  for (const auto& [attribute, text] : from.items()) {
    texts[ToNumber(attribute)] = text.get<std::string>();
  }
  return texts;
}

}  // namespace

const json& MemberOf(const json& object, std::string_view name) {
  static const json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(std::string(name));
  return found == object.end() ? kNull : *found;
}

json IndexMeta::ToJson() const {
  json by_number = json::object();
  for (const auto& [attribute, field] : columns) {
    by_number[std::to_string(attribute)] = {{"field", field.name},
                                            {"mapping", field.mapping},
                                            {"type", field.type},
                                            {"modifier", field.modifier},
                                            {"place", field.place}};
  }
  json meta = StepToJson(done);
  meta.update({{"table", table}, {"key", key}, {"columns", by_number}, {"log", log}});
  for (const auto& [attribute, name] : announced) {
    meta["announced"][std::to_string(attribute)] = name;
  }
  for (const auto& [name, until] : former) meta["former"][name] = StepToJson(until);
  for (const auto& [attribute, text] : defaults) {
    meta["defaults"][std::to_string(attribute)] = text;
  }
  for (const auto& [field, rows] : nested) {
    meta["nested"][field] = {{"source", rows.source}, {"fields", rows.fields}};
  }
  if (routing != 0) meta["routing"] = routing;
  if (!made_for.empty()) meta["name"] = made_for;
  if (dropped) meta["dropped"] = true;
  for (const auto& [source, from] : sources) {
    meta["sources"].push_back(
        {{"schema", source.schema}, {"table", source.name}, {"from", from.value()}});
  }
  if (!origin.is_null()) meta["origin"] = origin;
  if (!loading.is_null()) meta["loading"] = loading;
  return {{"pgflow", meta}};
}

absl::StatusOr<IndexMeta> IndexMeta::FromMapping(const json& mapping) {
  IndexMeta meta;
  const json& from = MemberOf(MemberOf(mapping, "_meta"), "pgflow");
  if (from.is_null()) return meta;
  try {
    meta.log = from.value("log", "");
    meta.table = from.at("table").get<std::string>();
    meta.made_for = from.value("name", "");
    meta.key = from.at("key").get<std::vector<int16_t>>();
    meta.routing = from.value("routing", int16_t{0});
    for (const auto& [attribute, field] : from.at("columns").items()) {
      // A column without a number of its own was once kept as 0.
      const int16_t number = ToNumber(attribute);
      meta.columns[number == 0 ? int16_t{-1} : number] = {
          field.at("field").get<std::string>(), field.at("mapping"),
          field.at("type").get<uint32_t>(), field.at("modifier").get<int32_t>(),
          field.value("place", 0)};
    }
    meta.announced = TextsByNumber(MemberOf(from, "announced"));
    meta.defaults = TextsByNumber(MemberOf(from, "defaults"));
    for (const auto& [field, rows] : MemberOf(from, "nested").items()) {
      meta.nested[field] = {rows.at("source").get<std::string>(), rows.at("fields")};
    }
    for (const auto& [name, until] : MemberOf(from, "former").items()) {
      meta.former[name] = ToStep(until);
    }
    meta.done = ToStep(from);
    meta.dropped = from.value("dropped", false);
    for (const json& source : MemberOf(from, "sources")) {
      meta.sources[{source.at("schema").get<std::string>(),
                    source.at("table").get<std::string>()}] =
          postgres::Lsn(source.at("from").get<uint64_t>());
    }
    meta.origin = MemberOf(from, "origin");
    meta.loading = MemberOf(from, "loading");
  } catch (const json::exception& error) {
    return Changed(error);
  }
  return meta;
}

absl::StatusOr<std::map<std::string, SchemaStep>> IndexMeta::FormerIn(const json& mapping,
                                                                      const std::string& log) {
  std::map<std::string, SchemaStep> former;
  const json& from = MemberOf(MemberOf(mapping, "_meta"), "pgflow");
  if (MemberOf(from, "log") != log) return former;
  const json& names = MemberOf(from, "former");
  try {
    for (const auto& [name, until] : names.items()) former[name] = ToStep(until);
  } catch (const json::exception& error) {
    return Changed(error);
  }
  return former;
}

}  // namespace pgflow::sinks
