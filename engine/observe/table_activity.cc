#include "engine/observe/table_activity.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/status.h"

namespace pgflow::engine {
namespace {

using Json = nlohmann::ordered_json;

TableActivity& EntryOf(std::string_view sink, const schemas::TableName& table,
                       std::vector<TableActivity>& totals) {
  for (TableActivity& entry : totals) {
    if (entry.table == table && entry.sink == sink) return entry;
  }
  TableActivity& entry = totals.emplace_back();
  entry.sink = sink;
  entry.table = table;
  return entry;
}

uint64_t& Count(TableActivity& entry, Operation operation) {
  return entry.changes[static_cast<size_t>(operation)];
}

uint64_t BytesOf(const schemas::RowView& row, std::vector<schemas::Value>& values) {
  if (!row.exists()) return 0;
  row.Decode(values);
  uint64_t bytes = 0;
  for (const schemas::Value& value : values) bytes += value.size;
  return bytes;
}

}  // namespace

void CountActivity(std::string_view sink, Batch& batch, std::vector<TableActivity>& totals) {
  if (const CopyRows* rows = batch.raw_rows(); rows != nullptr) {
    TableActivity& entry = EntryOf(sink, rows->schema->table, totals);
    Count(entry, Operation::kRead) += rows->row_count;
    entry.bytes += rows->bytes.size();
    return;
  }
  const auto events = batch.Events();
  if (!events.ok()) return;  // The sink did not need the index; what is malformed has no count.
  std::vector<schemas::Value> values;
  const schemas::TableSchema* schema = nullptr;
  TableActivity* entry = nullptr;
  for (const ChangeEvent& event : *events) {
    if (event.schema->table.name.empty()) continue;  // A change of another object than a table.
    if (event.schema != schema) {
      schema = event.schema;
      entry = &EntryOf(sink, schema->table, totals);
    }
    ++Count(*entry, event.operation);
    entry->bytes += BytesOf(event.before, values) + BytesOf(event.after, values);
  }
}

void AddActivity(const std::vector<TableActivity>& more, std::vector<TableActivity>& totals) {
  for (const TableActivity& from : more) {
    TableActivity& to = EntryOf(from.sink, from.table, totals);
    for (size_t i = 0; i < kOperationCount; ++i) to.changes[i] += from.changes[i];
    to.bytes += from.bytes;
  }
}

std::string ActivityToJson(const std::vector<TableActivity>& totals) {
  Json tables = Json::array();
  for (const TableActivity& entry : totals) {
    Json changes = Json::object();
    for (size_t i = 0; i < kOperationCount; ++i) {
      changes[std::string(OperationName(static_cast<Operation>(i)))] = entry.changes[i];
    }
    tables.push_back({{"sink", entry.sink},
                      {"schema", entry.table.schema},
                      {"table", entry.table.name},
                      {"changes", std::move(changes)},
                      {"bytes", entry.bytes}});
  }
  return Json({{"tables", std::move(tables)}}).dump(2, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<std::vector<TableActivity>> ActivityFromJson(std::string_view text) {
  try {
    std::vector<TableActivity> totals;
    const Json json = Json::parse(text);
    for (const Json& table : json.at("tables")) {
      TableActivity& entry = totals.emplace_back();
      table.at("sink").get_to(entry.sink);
      table.at("schema").get_to(entry.table.schema);
      table.at("table").get_to(entry.table.name);
      table.at("bytes").get_to(entry.bytes);
      for (size_t i = 0; i < kOperationCount; ++i) {
        const std::string name(OperationName(static_cast<Operation>(i)));
        entry.changes[i] = table.at("changes").value(name, uint64_t{0});
      }
    }
    return totals;
  } catch (const Json::exception& error) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "no activity of a pipeline: {}",
                            error.what());
  }
}

}  // namespace pgflow::engine
