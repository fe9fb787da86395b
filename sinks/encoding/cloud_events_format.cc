#include "sinks/encoding/cloud_events_format.h"

#include "base/status.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/text_times.h"

namespace pgflow::sinks {

config::ConfigSpec<CloudEventsConfig> CloudEventsSpec() {
  config::ConfigSpec<CloudEventsConfig> spec;
  spec.Field("mode", &CloudEventsConfig::mode,
             "Of the sink kafka. structured: the whole event as JSON in the value. binary: the "
             "value is the data, and headers (ce_id, ce_type and so on) have the rest.")
      .Choice({{"structured", CloudEventsMode::kStructured}, {"binary", CloudEventsMode::kBinary}});
  return spec;
}

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

absl::StatusOr<std::string> CloudEventsFormat::IdOf(const engine::Batch& batch,
                                                    const engine::ChangeEvent& event,
                                                    const Change& change,
                                                    const std::vector<size_t>& key_columns) {
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
  return id;
}

absl::Status CloudEventsFormat::AppendHeaders(const engine::Batch& batch,
                                              const engine::ChangeEvent& event,
                                              const Change& change,
                                              const std::vector<size_t>& key_columns,
                                              std::vector<MessageHeader>& headers) {
  if (mode_ == CloudEventsMode::kStructured) {
    headers.push_back({"content-type", "application/cloudevents+json; charset=UTF-8"});
    return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(std::string id, IdOf(batch, event, change, key_columns));
  headers.push_back({"content-type", "application/json"});
  headers.push_back({"ce_specversion", "1.0"});
  headers.push_back({"ce_id", std::move(id)});
  headers.push_back({"ce_source", source_});
  headers.push_back({"ce_type", fmt::format("pgflow.{}", engine::OperationName(change.operation))});
  if (event.schema != nullptr && !event.schema->table.name.empty()) {
    headers.push_back({"ce_subject", event.schema->table.ToString()});
  }
  if (!batch.is_snapshot()) {
    MessageHeader& time = headers.emplace_back();
    time.name = "ce_time";
    AppendRfc3339(batch.transactions()[event.transaction].commit_time, time.value);
  }
  return absl::OkStatus();
}

absl::Status CloudEventsFormat::AppendValue(const engine::Batch& batch,
                                            const engine::ChangeEvent& event, const Change& change,
                                            const std::vector<size_t>& key_columns,
                                            std::string& out) {
  if (mode_ == CloudEventsMode::kBinary) {
    return json_.AppendValue(batch, event, change, key_columns, out);
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::string id, IdOf(batch, event, change, key_columns));
  AppendAttributes(batch, event, change.operation, id, out);
  PGFLOW_RETURN_IF_ERROR(json_.AppendValue(batch, event, change, key_columns, out));
  out += '}';
  return absl::OkStatus();
}

absl::Status CloudEventsFormat::AppendSchemaChange(const engine::Batch& batch,
                                                   const engine::ChangeEvent& event,
                                                   std::string& out) {
  if (mode_ == CloudEventsMode::kBinary) return json_.AppendSchemaChange(batch, event, out);
  AppendAttributes(batch, event, event.operation, batch.PositionOf(event).ToString(), out);
  PGFLOW_RETURN_IF_ERROR(json_.AppendSchemaChange(batch, event, out));
  out += '}';
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
