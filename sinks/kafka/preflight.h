// CheckKafka: what `pgflow check` looks at for a kafka sink. Changes nothing, but that the brokers
// remember a transactional id that was asked for.
#pragma once

#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/api/preflight.h"
#include "engine/api/sink.h"
#include "sinks/kafka/sink_config.h"

namespace pgflow::sinks {

absl::StatusOr<std::vector<engine::Finding>> CheckKafka(const KafkaSinkConfig& config,
                                                        const kafka::Settings& settings,
                                                        std::span<const engine::TablePlan> tables,
                                                        std::stop_token stop);

}  // namespace pgflow::sinks
