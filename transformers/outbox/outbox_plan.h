// OutboxPlan: what the messages of one outbox are made of. For transformers/outbox itself;
// thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"
#include "schemas/table_schema.h"

namespace pgflow::transformers {

enum class OutboxPlacement : uint8_t { kHeader, kEnvelope };
enum class OutboxUpdate : uint8_t { kWarn, kFatal };
enum class OutboxMissing : uint8_t { kError, kIgnore };

// Another field than those that make a message.
struct OutboxField {
  std::string field;
  OutboxPlacement placement = OutboxPlacement::kHeader;
  std::string as;  // Empty: its own name.

  const std::string& name() const { return as.empty() ? field : as; }
};

struct OutboxConfig {
  std::string table;
  std::string message_prefix;
  std::string topic = "outbox.event.{routed_by_value}";
  std::string route_by = "aggregatetype";
  std::string event_id = "id";
  std::string event_key = "aggregateid";
  std::string event_payload = "payload";
  std::vector<OutboxField> additional;
  OutboxMissing additional_missing = OutboxMissing::kError;
  bool tombstone_on_empty_payload = false;
  OutboxUpdate on_update = OutboxUpdate::kWarn;

  bool has_envelope() const;
};

// The tables that messages are rows of: one a topic, each made once.
class OutboxTopics {
 public:
  // `schema`: of the messages, under whatever name.
  OutboxTopics(schemas::TableSchemaPtr schema, std::string before, std::string behind)
      : schema_(std::move(schema)), before_(std::move(before)), behind_(std::move(behind)) {}

  const schemas::TableSchemaPtr& schema() const { return schema_; }
  // kInvalidArgument: one too many, or a value that is empty.
  absl::StatusOr<schemas::TableSchemaPtr> Get(std::string_view value);

 private:
  const schemas::TableSchemaPtr schema_;
  const std::string before_;  // Of the topic's name.
  const std::string behind_;
  base::Mutex mutex_;
  std::map<std::string, schemas::TableSchemaPtr, std::less<>> tables_ ABSL_GUARDED_BY(mutex_);
};

struct OutboxPlan {
  enum class Source : uint8_t { kOther, kTable, kMessages };

  Source source = Source::kOther;
  std::shared_ptr<OutboxTopics> topics;  // Null for kOther.
  // kTable: columns.
  size_t route_by = 0;
  size_t key = 0;
  size_t payload = 0;
  std::vector<size_t> headers;                           // `event_id` first.
  std::vector<std::pair<std::string, size_t>> envelope;  // Under these names.
};

// kInvalidArgument: the table lacks a column.
absl::StatusOr<OutboxPlan> DeriveOutboxPlan(const OutboxConfig& config,
                                            const schemas::TableSchemaPtr& schema);

}  // namespace pgflow::transformers
