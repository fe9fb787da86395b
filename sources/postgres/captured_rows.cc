#include "sources/postgres/captured_rows.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/status.h"
#include "postgres/types/oid.h"

namespace pgflow::sources {
namespace {

using Json = nlohmann::json;

void AppendName(std::string& to, const std::string& name) {
  to += name;
  to.push_back('\0');
}

// "Logical Replication Message Formats", Relation.
std::string RelationOf(const Json& message) {
  std::string bytes = "R";
  base::AppendBigEndian(bytes, message.at("relation").get<postgres::Oid>());
  AppendName(bytes, message.at("schema"));
  AppendName(bytes, message.at("name"));
  bytes += message.at("identity").get<std::string>();
  const Json& columns = message.at("columns");
  base::AppendBigEndian(bytes, static_cast<uint16_t>(columns.size()));
  for (const Json& column : columns) {
    bytes.push_back(column.at("key").get<bool>() ? '\1' : '\0');
    AppendName(bytes, column.at("name"));
    base::AppendBigEndian(bytes, column.at("type").get<postgres::Oid>());
    base::AppendBigEndian(bytes, column.at("modifier").get<int32_t>());
  }
  return bytes;
}

// The same, TupleData. The row has the columns that were sent, in their order.
std::string TupleOf(const Json& columns, const Json& row) {
  std::string bytes;
  base::AppendBigEndian(bytes, static_cast<uint16_t>(columns.size()));
  size_t next = 0;
  for (const Json& column : columns) {
    if (!column.at("sent").get<bool>()) {
      bytes.push_back('u');
      continue;
    }
    const Json& value = row.at(next++);
    if (value.is_null()) {
      bytes.push_back('n');
      continue;
    }
    const auto& text = value.get_ref<const std::string&>();
    bytes.push_back('t');
    base::AppendBigEndian(bytes, static_cast<uint32_t>(text.size()));
    bytes += text;
  }
  return bytes;
}

}  // namespace

absl::StatusOr<CapturedRows> ReadCapturedRows(std::string_view message) {
  try {
    const Json json = Json::parse(message);
    CapturedRows rows;
    const std::string operation = json.at("operation");
    rows.operation =
        operation == "update" ? engine::Operation::kUpdate : engine::Operation::kInsert;
    rows.replaces = operation == "replace";
    rows.first = json.contains("first");
    for (const Json& name : json.at("publications")) rows.publications.push_back(name);
    rows.relation = RelationOf(json);
    for (const Json& row : json.at("rows")) rows.tuples.push_back(TupleOf(json.at("columns"), row));
    return rows;
  } catch (const Json::exception& error) {
    return base::MakeStatus(absl::StatusCode::kDataLoss, "captured rows are malformed: {}",
                            error.what());
  }
}

}  // namespace pgflow::sources
