#include "sinks/encoding/cloud_events_format.h"

#include "base/status.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/text_times.h"

namespace pgflow::sinks {

void CloudEventsFormat::AppendAttributes(const engine::Batch& batch,
                                         const engine::ChangeEvent& event,
                                         engine::Operation operation, const std::string& id,
                                         std::string& out) const {
  out += R"({"specversion":"1.0","id":)";
  AppendJsonName(id, out);
  out += R"(,"source":)";
  AppendJsonName(source_, out);
  out += R"(,"type":"pgflow.)";
  out += engine::OperationName(operation);
  out += '"';
  if (event.schema != nullptr && !event.schema->table.name.empty()) {
    out += R"(,"subject":)";
    AppendJsonName(event.schema->table.ToString(), out);
  }
  if (!batch.is_snapshot()) {
    out += R"(,"time":")";
    AppendRfc3339(batch.transactions()[event.transaction].commit_time, out);
    out += '"';
  }
  out += R"(,"datacontenttype":"application/json","data":)";
}

absl::Status CloudEventsFormat::AppendValue(const engine::Batch& batch,
                                            const engine::ChangeEvent& event, const Change& change,
                                            const std::vector<size_t>& key_columns,
                                            std::string& out) {
  std::string id = batch.PositionOf(event).ToString();
  if (batch.is_snapshot()) {
    id += ":" + event.schema->table.ToString();
    if (!key_columns.empty()) {
      id += ":";
      PGFLOW_RETURN_IF_ERROR(json_.AppendKey(change, key_columns, id));
    }
  } else if (change.operation != event.operation) {
    id += ":" + std::string(engine::OperationName(change.operation));
  }
  AppendAttributes(batch, event, change.operation, id, out);
  PGFLOW_RETURN_IF_ERROR(json_.AppendValue(batch, event, change, key_columns, out));
  out += '}';
  return absl::OkStatus();
}

absl::Status CloudEventsFormat::AppendSchemaChange(const engine::Batch& batch,
                                                   const engine::ChangeEvent& event,
                                                   std::string& out) {
  AppendAttributes(batch, event, event.operation, batch.PositionOf(event).ToString(), out);
  PGFLOW_RETURN_IF_ERROR(json_.AppendSchemaChange(batch, event, out));
  out += '}';
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
