#include "sinks/encoding/avro_schema.h"

#include <charconv>
#include <map>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/status.h"

namespace pgflow::sinks {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kDecimal = "org.apache.kafka.connect.data.Decimal";

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string_view PrimitiveName(const std::string& connect) {
  static const std::map<std::string, std::string_view> kNames = {
      {"int8", "int"},        {"int16", "int"},     {"int32", "int"},
      {"int64", "long"},      {"float", "float"},   {"double", "double"},
      {"boolean", "boolean"}, {"string", "string"}, {"bytes", "bytes"}};
  const auto found = kNames.find(connect);
  PGFLOW_CHECK(found != kNames.end(), "our own schemas have no other types");
  return found->second;
}

int NumberOf(const Json& parameters, const char* name, int otherwise) {
  if (!parameters.contains(name)) return otherwise;
  const auto text = parameters[name].get<std::string>();
  int number = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// One schema; remembers the records that it has defined.
class Conversion {
 public:
  Json Convert(const Json& connect) {
    Json bare = Bare(connect);
    if (!connect.value("optional", false)) return bare;
    // A union's default is of its first branch.
    return connect.contains("default") ? Json::array({bare, "null"}) : Json::array({"null", bare});
  }
  absl::Status status;

 private:
  Json Bare(const Json& connect) {
    const auto type = connect["type"].get<std::string>();
    if (type == "struct") return Record(connect);
    Json avro;
    if (type == "map") {  // From strings; Avro has no others.
      avro["type"] = "map";
      avro["values"] = Convert(connect["values"]);
      return avro;
    }
    if (type == "array") {
      avro["type"] = "array";
      avro["items"] = Convert(connect["items"]);
      return avro;
    }
    avro["type"] = PrimitiveName(type);
    if (connect.value("name", "") == kDecimal) AddDecimal(connect["parameters"], avro);
    if (type == "int8" || type == "int16") avro["connect.type"] = type;
    AddMetadata(connect, avro);
    return avro.size() == 1 ? avro["type"] : avro;
  }

  static void AddDecimal(const Json& parameters, Json& avro) {
    const int scale = NumberOf(parameters, "scale", 0);
    const int precision = NumberOf(parameters, "connect.decimal.precision", 64);
    avro["scale"] = scale;
    avro["precision"] = precision;
    // Avro's own decimal has no others; Connect's has.
    if (scale >= 0 && scale <= precision) avro["logicalType"] = "decimal";
  }

  static void AddMetadata(const Json& connect, Json& avro) {
    for (const char* part : {"doc", "version", "parameters", "default"}) {
      if (connect.contains(part)) avro[std::string("connect.") + part] = connect[part];
    }
    if (connect.contains("name")) {
      avro["connect.name"] = AvroFullName(connect["name"].get<std::string>());
    }
  }

  Json Record(const Json& connect) {
    const std::string name = AvroFullName(connect["name"].get<std::string>());
    if (!defined_.insert(name).second) return name;
    const size_t dot = name.rfind('.');
    Json avro;
    avro["type"] = "record";
    avro["name"] = name.substr(dot == std::string::npos ? 0 : dot + 1);
    if (dot != std::string::npos) avro["namespace"] = name.substr(0, dot);
    avro["fields"] = Json::array();
    std::map<std::string, std::string> names;
    for (const Json& field : connect["fields"]) {
      // A name that is not UTF-8 is no string.
      const Json& given = field["field"];
      const auto original = given.is_string() ? given.get<std::string>() : given.dump();
      Json added;
      added["name"] = AvroName(original);
      const auto [found, is_new] = names.emplace(added["name"].get<std::string>(), original);
      if (!is_new && status.ok()) {
        status = base::MakeStatus(
            absl::StatusCode::kFailedPrecondition,
            "columns '{}' and '{}' would both be {} in Avro, whose names have letters, digits and "
            "_ "
            "only: rename one of them (transformer rename) or leave it out (project)",
            found->second, original, found->first);
      }
      added["type"] = Convert(field);
      if (field.value("optional", false)) {
        added["default"] = field.contains("default") ? field["default"] : Json();
      }
      avro["fields"].push_back(std::move(added));
    }
    AddMetadata(connect, avro);
    return avro;
  }

  std::set<std::string> defined_;
};

}  // namespace

std::string AvroName(std::string_view name) {
  std::string avro;
  if (name.empty() || (name.front() >= '0' && name.front() <= '9')) avro = "_";
  for (const char c : name) {
    // One for a character, of however many bytes.
    if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) continue;
    avro.push_back(IsNameCharacter(c) ? c : '_');
  }
  return avro;
}

std::string AvroFullName(std::string_view name) {
  std::string full;
  while (true) {
    const size_t dot = name.find('.');
    full += AvroName(name.substr(0, dot));
    if (dot == std::string_view::npos) return full;
    full.push_back('.');
    name.remove_prefix(dot + 1);
  }
}

absl::StatusOr<std::string> AvroSchemaOf(const std::string& connect) {
  Conversion conversion;
  const Json avro = conversion.Convert(Json::parse(connect));
  PGFLOW_RETURN_IF_ERROR(conversion.status);
  return avro.dump();
}

}  // namespace pgflow::sinks
