// CloudEventsFormat: changes as CloudEvents 1.0 in their JSON format; the data is the object of
// json_format.h.
//
//   {"specversion":"1.0","id":"0/16B3748:0","source":"/pgflow/shop","type":"pgflow.update",
//    "subject":"public.orders","time":"2026-01-31T12:00:00.000001Z",
//    "datacontenttype":"application/json","data":{...}}
//
// In Kafka they have the header content-type, by which the SDKs of CloudEvents know them. With the
// mode `binary` the value is the data alone, and the attributes are headers: ce_id, ce_source and
// so on.
//
// `id` is the position, which names a change; the rows of a snapshot share one, so theirs has the
// table and key behind it (a row without a key: only the table, and cannot be told from others).
// Half of an update whose key changed has the operation behind it. `time` is the commit's; a
// snapshot row has none.
#pragma once

#include <string>
#include <vector>

#include "base/config/config_spec.h"
#include "sinks/encoding/event_format.h"
#include "sinks/encoding/json_format.h"

namespace pgflow::sinks {

enum class CloudEventsMode { kStructured, kBinary };

struct CloudEventsConfig {
  CloudEventsMode mode = CloudEventsMode::kStructured;
};

config::ConfigSpec<CloudEventsConfig> CloudEventsSpec();

class CloudEventsFormat final : public EventFormat {
 public:
  // `source` is a URI reference.
  explicit CloudEventsFormat(std::string source,
                             CloudEventsMode mode = CloudEventsMode::kStructured)
      : source_(std::move(source)), mode_(mode) {}

  void StartBatch() override { json_.StartBatch(); }
  absl::Status AppendKey(const Change& change, const std::vector<size_t>& columns,
                         std::string& out) override {
    return json_.AppendKey(change, columns, out);
  }
  bool HasHeaders() const override { return true; }
  absl::Status AppendHeaders(const engine::Batch& batch, const engine::ChangeEvent& event,
                             const Change& change, const std::vector<size_t>& key_columns,
                             std::vector<MessageHeader>& headers) override;
  absl::Status AppendValue(const engine::Batch& batch, const engine::ChangeEvent& event,
                           const Change& change, const std::vector<size_t>& key_columns,
                           std::string& out) override;
  absl::Status AppendSchemaChange(const engine::Batch& batch, const engine::ChangeEvent& event,
                                  std::string& out) override;

 private:
  absl::StatusOr<std::string> IdOf(const engine::Batch& batch, const engine::ChangeEvent& event,
                                   const Change& change, const std::vector<size_t>& key_columns);
  // Everything up to the data.
  void AppendAttributes(const engine::Batch& batch, const engine::ChangeEvent& event,
                        engine::Operation operation, const std::string& id, std::string& out) const;

  const std::string source_;
  const CloudEventsMode mode_;
  JsonFormat json_;
};

}  // namespace pgflow::sinks
