// SubscriptionRow: a row of the table that names endpoints, and what it asks for.
//
//   CREATE TABLE webhook_subscriptions (
//     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,   -- any type
//     url text NOT NULL,
//     tables text[], operations text[], changed_columns text[], condition text,
//     secrets text[], headers jsonb,
//     enabled boolean NOT NULL DEFAULT true);
//
// Only id and url must be there; NULL and a missing column are the default of the option with that
// name. Lists may be jsonb, too. Kept as JSON text, which holds the secrets: never shown.
//
// Pure functions; thread-safe. No error shows a URL's path or a secret.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/preflight.h"
#include "schemas/table_schema.h"
#include "schemas/value.h"
#include "sinks/webhook/webhook_config.h"

namespace pgflow::sinks {

// The statement above, for that table.
std::string SubscriptionTableSql(const schemas::TableName& table);

// The row's key as text: its id. kFailedPrecondition when the table has no such column, or the
// source does not send it of old rows.
absl::StatusOr<std::string> SubscriptionKey(const schemas::TableSchema& schema,
                                            const std::vector<schemas::Value>& row);

// The columns that count as JSON. `previous`: the row as it was, for values that the source did not
// send because they did not change; may be empty.
std::string SubscriptionJson(const schemas::TableSchema& schema,
                             const std::vector<schemas::Value>& row, std::string_view previous);

bool IsSubscriptionEnabled(std::string_view row);

// The configuration of the row's endpoint, from the sink's own. kInvalidArgument: the row is wrong.
absl::StatusOr<WebhookConfig> EndpointConfig(const WebhookConfig& sink, std::string_view row);

// The elements of a one-dimensional array in PostgreSQL's text form. kInvalidArgument.
absl::StatusOr<std::vector<std::string>> ParseTextArray(std::string_view text);

// What is wrong with the table itself.
std::vector<engine::Finding> CheckSubscriptionTable(const schemas::TableSchema& schema);

}  // namespace pgflow::sinks
