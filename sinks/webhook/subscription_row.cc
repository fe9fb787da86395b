#include "sinks/webhook/subscription_row.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "postgres/types/oid.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/type_text.h"
#include "sinks/webhook/payload_template.h"

namespace pgflow::sinks {
namespace {

using Json = nlohmann::json;

constexpr postgres::Oid kTextArray = 1009;
constexpr postgres::Oid kVarcharArray = 1015;
constexpr std::string_view kId = "id";
constexpr std::string_view kColumns[] = {
    "id",        "url",     "tables",  "operations", "changed_columns",
    "condition", "secrets", "headers", "enabled"};

absl::Status Wrong(std::string_view column, std::string_view what) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "column {}: {}", column, what);
}

Json ParseRow(std::string_view row) {
  Json json = Json::parse(row, nullptr, false);
  return json.is_object() ? json : Json::object();
}

// Null for a column that is NULL or missing.
const Json* FindValue(const Json& row, std::string_view column) {
  const auto found = row.find(column);
  return found == row.end() || found->is_null() ? nullptr : &*found;
}

absl::Status ReadText(const Json& row, std::string_view column, std::optional<std::string>& text) {
  const Json* value = FindValue(row, column);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_string()) return Wrong(column, "a text is needed");
  text = value->get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadList(const Json& row, std::string_view column, std::vector<std::string>& list) {
  const Json* value = FindValue(row, column);
  if (value == nullptr) return absl::OkStatus();
  if (value->is_string()) {
    absl::StatusOr<std::vector<std::string>> parsed =
        ParseTextArray(value->get_ref<const std::string&>());
    if (!parsed.ok()) return Wrong(column, base::Message(parsed.status()));
    list = *std::move(parsed);
    return absl::OkStatus();
  }
  const bool texts = value->is_array() &&
                     std::ranges::all_of(*value, [](const Json& each) { return each.is_string(); });
  if (!texts) return Wrong(column, "a list of texts is needed: text[], or a jsonb array of texts");
  list = value->get<std::vector<std::string>>();
  return absl::OkStatus();
}

absl::Status ReadHeaders(const Json& row, config::StringMap& headers) {
  const Json* value = FindValue(row, "headers");
  if (value == nullptr) return absl::OkStatus();
  const bool texts = value->is_object() &&
                     std::ranges::all_of(*value, [](const Json& each) { return each.is_string(); });
  if (!texts) return Wrong("headers", R"(an object of texts is needed: {"X-Key": "..."} in jsonb)");
  for (const auto& [name, each] : value->items()) headers[name] = each.get<std::string>();
  return absl::OkStatus();
}

}  // namespace

std::string SubscriptionTableSql(const schemas::TableName& table) {
  return fmt::format(
      "CREATE TABLE {} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, url text NOT NULL, "
      "tables text[], operations text[], changed_columns text[], condition text, secrets text[], "
      "headers jsonb, enabled boolean NOT NULL DEFAULT true)",
      schemas::QuoteTable(table));
}

absl::StatusOr<std::string> SubscriptionKey(const schemas::TableSchema& schema,
                                            const std::vector<schemas::Value>& row) {
  const std::optional<size_t> index = schema.FindColumn(kId);
  std::string key;
  const bool known = index.has_value() && schema.columns[*index].identity && *index < row.size() &&
                     AppendValueText(row[*index], FindTypeText(schema.columns[*index]), key);
  if (known) return key;
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "table {} names endpoints: it needs a column 'id' that is its primary "
                          "key and its replica identity",
                          schema.table.ToString());
}

std::string SubscriptionJson(const schemas::TableSchema& schema,
                             const std::vector<schemas::Value>& row, std::string_view previous) {
  const Json old = ParseRow(previous);
  Json json = Json::object();
  for (const std::string_view name : kColumns) {
    const std::optional<size_t> index = schema.FindColumn(name);
    if (!index.has_value() || *index >= row.size()) continue;
    if (row[*index].is_unchanged()) {
      json[std::string(name)] = old.value(std::string(name), Json());
      continue;
    }
    std::string text;
    AppendJsonValue(row[*index], FindTypeText(schema.columns[*index]), text);
    json[std::string(name)] = Json::parse(text, nullptr, false);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool IsSubscriptionEnabled(std::string_view row) {
  const Json json = ParseRow(row);
  const Json* enabled = FindValue(json, "enabled");
  return enabled == nullptr || !enabled->is_boolean() || enabled->get<bool>();
}

absl::StatusOr<WebhookConfig> EndpointConfig(const WebhookConfig& sink, std::string_view row) {
  const Json json = ParseRow(row);
  WebhookConfig config = sink;
  config.subscriptions.reset();
  std::optional<std::string> url;
  PGFLOW_RETURN_IF_ERROR(ReadText(json, "url", url));
  if (!url.has_value()) return Wrong("url", "it is missing");
  config.url = config::Secret(*std::move(url));
  SubscriptionConfig& subscribe = config.subscribe;
  subscribe.operations = {"insert", "update", "delete", "truncate"};
  PGFLOW_RETURN_IF_ERROR(ReadList(json, "tables", subscribe.tables));
  PGFLOW_RETURN_IF_ERROR(ReadList(json, "operations", subscribe.operations));
  if (std::ranges::find(subscribe.operations, "read") != subscribe.operations.end()) {
    return Wrong("operations",
                 "'read' cannot be had: a subscription begins with the stream, "
                 "behind the first copy of the tables");
  }
  PGFLOW_RETURN_IF_ERROR(ReadList(json, "changed_columns", subscribe.changed_columns));
  PGFLOW_RETURN_IF_ERROR(ReadText(json, "condition", subscribe.when));
  PGFLOW_RETURN_IF_ERROR(ReadList(json, "secrets", config.secrets));
  PGFLOW_RETURN_IF_ERROR(ReadHeaders(json, config.connection.headers));
  if (const Json* enabled = FindValue(json, "enabled");
      enabled != nullptr && !enabled->is_boolean()) {
    return Wrong("enabled", "true or false is needed");
  }
  PGFLOW_RETURN_IF_ERROR(MakeDeliveryOptions(config).status());
  PGFLOW_RETURN_IF_ERROR(Subscription::Make(config.subscribe).status());
  return config;
}

absl::StatusOr<std::vector<std::string>> ParseTextArray(std::string_view text) {
  constexpr char kWrong[] = "it is no array of texts, such as {public.orders,sales.*}";
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') {
    return absl::InvalidArgumentError(kWrong);
  }
  text = text.substr(1, text.size() - 2);
  std::vector<std::string> elements;
  size_t at = 0;
  while (at < text.size()) {
    std::string element;
    const bool quoted = text[at] == '"';
    if (quoted) ++at;
    for (; at < text.size() && text[at] != (quoted ? '"' : ','); ++at) {
      if (!quoted && (text[at] == '{' || text[at] == '"'))
        return absl::InvalidArgumentError(kWrong);
      if (text[at] == '\\' && at + 1 < text.size()) ++at;
      element.push_back(text[at]);
    }
    if (quoted && at++ >= text.size()) return absl::InvalidArgumentError(kWrong);
    if (!quoted && element == "NULL") return absl::InvalidArgumentError("an element is NULL");
    elements.push_back(std::move(element));
    if (at >= text.size()) break;
    if (text[at] != ',' || ++at == text.size()) return absl::InvalidArgumentError(kWrong);
  }
  return elements;
}

std::vector<engine::Finding> CheckSubscriptionTable(const schemas::TableSchema& schema) {
  using Severity = engine::Finding::Severity;
  const std::string subject = "table " + schema.table.ToString();
  std::vector<engine::Finding> findings;
  const auto add = [&](Severity severity, std::string problem, std::string remedy) {
    findings.push_back({severity, subject, std::move(problem), std::move(remedy)});
  };
  const std::optional<size_t> id = schema.FindColumn(kId);
  if (!id.has_value() || !schema.columns[*id].identity) {
    add(Severity::kError, "endpoints are named by a column 'id', its primary key",
        SubscriptionTableSql(schema.table));
  }
  if (!schema.FindColumn("url").has_value()) {
    add(Severity::kError, "it names endpoints and has no column 'url'",
        SubscriptionTableSql(schema.table));
  }
  for (const schemas::Column& column : schema.columns) {
    const postgres::Oid type = column.wire_type != 0 ? column.wire_type : column.type;
    const auto is = [type](std::initializer_list<postgres::Oid> types) {
      return std::ranges::find(types, type) != types.end();
    };
    namespace oid = postgres::oid;
    const bool list = is({kTextArray, kVarcharArray, oid::kJson, oid::kJsonb});
    const bool text = is({oid::kText, oid::kVarchar});
    const std::string& name = column.name;
    bool fits = true;
    if (name == "url" || name == "condition") fits = text;
    if (name == "enabled") fits = is({oid::kBool});
    if (name == "headers") fits = is({oid::kJson, oid::kJsonb});
    if (name == "tables" || name == "operations" || name == "changed_columns" ||
        name == "secrets") {
      fits = list;
    }
    if (fits) continue;
    add(Severity::kError,
        fmt::format("column '{}' has the type {}, of which no endpoint can be made", name,
                    column.type_name),
        SubscriptionTableSql(schema.table));
  }
  if (findings.empty()) {
    add(Severity::kOk, "endpoints of its rows are taken up as they come", "");
  }
  return findings;
}

}  // namespace pgflow::sinks
