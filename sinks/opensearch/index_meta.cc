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
                                            {"modifier", field.modifier}};
  }
  json meta = {{"table", table}, {"key", key}, {"columns", by_number}, {"lsn", lsn.value()}};
  for (const auto& [attribute, text] : defaults) {
    meta["defaults"][std::to_string(attribute)] = text;
  }
  for (const auto& [field, rows] : nested) {
    meta["nested"][field] = {{"source", rows.source}, {"fields", rows.fields}};
  }
  if (!loading.is_null()) meta["loading"] = loading;
  return {{"pgflow", meta}};
}

absl::StatusOr<IndexMeta> IndexMeta::FromMapping(const json& mapping) {
  IndexMeta meta;
  const json& from = MemberOf(MemberOf(mapping, "_meta"), "pgflow");
  if (from.is_null()) return meta;
  try {
    meta.table = from.at("table").get<std::string>();
    meta.key = from.at("key").get<std::vector<int16_t>>();
    for (const auto& [attribute, field] : from.at("columns").items()) {
      meta.columns[ToNumber(attribute)] = {field.at("field").get<std::string>(),
                                           field.at("mapping"), field.at("type").get<uint32_t>(),
                                           field.at("modifier").get<int32_t>()};
    }
    for (const auto& [attribute, text] : MemberOf(from, "defaults").items()) {
      meta.defaults[ToNumber(attribute)] = text.get<std::string>();
    }
    for (const auto& [field, rows] : MemberOf(from, "nested").items()) {
      meta.nested[field] = {rows.at("source").get<std::string>(), rows.at("fields")};
    }
    meta.lsn = postgres::Lsn(from.at("lsn").get<uint64_t>());
    meta.loading = MemberOf(from, "loading");
  } catch (const json::exception& error) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "its mapping's _meta.pgflow was changed by somebody: {}", error.what());
  }
  return meta;
}

}  // namespace pgflow::sinks
