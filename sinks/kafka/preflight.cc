#include "sinks/kafka/preflight.h"

#include <set>
#include <utility>

#include "base/status.h"
#include "kafka/producer.h"
#include "sinks/kafka/schema_registry.h"
#include "sinks/kafka/topic_book.h"

namespace pgflow::sinks {
namespace {

using engine::Finding;
using Severity = Finding::Severity;

// One run over a cluster; collects findings.
class Preflight {
 public:
  Preflight(const KafkaSinkConfig& config, const kafka::Settings& settings, TopicBook& topics,
            std::stop_token stop)
      : config_(config), settings_(settings), topics_(topics), stop_(std::move(stop)) {}

  absl::Status Run(std::span<const engine::TablePlan> tables) {
    PGFLOW_RETURN_IF_ERROR(CheckBrokers());
    PGFLOW_RETURN_IF_ERROR(CheckRegistry());
    if (config_.transactional) {
      PGFLOW_RETURN_IF_ERROR(CheckTransactions());
      PGFLOW_ASSIGN_OR_RETURN(const std::string topic, topics_.CheckpointTopic());
      PGFLOW_RETURN_IF_ERROR(CheckTopic(topic, true));
    }
    if (!config_.ddl_topic.empty()) {
      PGFLOW_ASSIGN_OR_RETURN(const std::string topic, topics_.DdlTopic());
      PGFLOW_RETURN_IF_ERROR(CheckTopic(topic, true));
    }
    if (config_.transaction_metadata) {
      PGFLOW_ASSIGN_OR_RETURN(const std::string topic, topics_.TransactionTopic());
      PGFLOW_RETURN_IF_ERROR(CheckTopic(topic, true));
    }
    if (!config_.topic_by_column.empty()) return absl::OkStatus();
    PGFLOW_ASSIGN_OR_RETURN(const schemas::TableFilter filter,
                            schemas::TableFilter::Make(config_.tables, {}));
    std::set<std::string> seen;
    for (const engine::TablePlan& plan : tables) {
      if (!filter.Matches(plan.schema->table)) continue;
      if (plan.schema->rows != schemas::RowKind::kTable) continue;
      const absl::StatusOr<std::string> topic = topics_.NameOf(plan.schema->table);
      if (!topic.ok()) {
        Add(Severity::kError, "table " + plan.schema->table.ToString(),
            std::string(base::Message(topic.status())), "choose another `topic`");
      } else if (seen.insert(*topic).second) {
        PGFLOW_RETURN_IF_ERROR(CheckTopic(*topic, false));
      }
    }
    return absl::OkStatus();
  }

  std::vector<Finding> findings;

 private:
  void Add(Severity severity, std::string subject, std::string problem, std::string remedy = "") {
    findings.push_back({severity, std::move(subject), std::move(problem), std::move(remedy)});
  }

  absl::Status CheckBrokers() {
    PGFLOW_ASSIGN_OR_RETURN(
        const std::unique_ptr<kafka::Admin> admin,
        kafka::Admin::Make({.settings = settings_, .patience = config_.timeout}));
    PGFLOW_ASSIGN_OR_RETURN(const int count, admin->CountBrokers(stop_));
    Add(Severity::kOk, "kafka brokers", fmt::format("{} reachable", count));
    if (config_.replication_factor > static_cast<uint64_t>(count)) {
      Add(Severity::kError, "kafka replication_factor",
          fmt::format("{} with {} brokers", config_.replication_factor, count),
          "set replication_factor to the brokers there are at most");
    }
    return absl::OkStatus();
  }

  absl::Status CheckRegistry() {
    if (!config_.schema_registry.has_value()) return absl::OkStatus();
    PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<SchemaRegistry> registry,
                            SchemaRegistry::Make(*config_.schema_registry));
    const absl::StatusOr<std::string> level = registry->Compatibility(stop_);
    if (level.ok()) {
      Add(Severity::kOk, "schema registry", fmt::format("reachable, compatibility {}", *level));
    } else {
      Add(Severity::kError, "schema registry", std::string(base::Message(level.status())));
    }
    return absl::OkStatus();
  }

  // With an id of its own: a pipeline that runs is not disturbed.
  absl::Status CheckTransactions() {
    PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<kafka::Producer> producer,
                            kafka::Producer::Make({.settings = settings_,
                                                   .transactional_id = "pgflow-check",
                                                   .patience = config_.timeout}));
    const absl::Status status = producer->InitTransactions(stop_);
    if (status.ok()) {
      Add(Severity::kOk, "kafka transactions", "can be used");
    } else {
      Add(Severity::kError, "kafka transactions", std::string(base::Message(status)),
          "mend it, or set transactional: false");
    }
    return absl::OkStatus();
  }

  absl::Status CheckTopic(const std::string& topic, bool single) {
    const std::string subject = "kafka topic " + topic;
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<int32_t> count, topics_.Count(topic, stop_));
    if (!count.has_value()) {
      if (config_.create_topics) {
        Add(Severity::kOk, subject, "will be created");
      } else {
        Add(Severity::kError, subject, "does not exist", "create it, or set create_topics: true");
      }
      return absl::OkStatus();
    }
    if (single && *count != 1) {
      Add(Severity::kError, subject, fmt::format("has {} partitions, and must have 1", *count),
          "choose another topic");
      return absl::OkStatus();
    }
    const absl::StatusOr<uint64_t> bytes_max = topics_.BytesMax(topic, stop_);
    if (!bytes_max.ok()) {
      Add(Severity::kWarning, subject, std::string(base::Message(bytes_max.status())),
          "allow this principal DescribeConfigs on the topic");
    } else if (*bytes_max < config_.message_bytes_max.bytes) {
      Add(Severity::kWarning, subject,
          fmt::format("its max.message.bytes ({}) is below message_bytes_max ({}): rows in between "
                      "are refused by the brokers",
                      *bytes_max, config_.message_bytes_max.bytes),
          "raise max.message.bytes of the topic");
    } else {
      Add(Severity::kOk, subject, fmt::format("{} partitions", *count));
    }
    return absl::OkStatus();
  }

  const KafkaSinkConfig& config_;
  const kafka::Settings& settings_;
  TopicBook& topics_;
  std::stop_token stop_;
};

}  // namespace

absl::StatusOr<std::vector<Finding>> CheckKafka(const KafkaSinkConfig& config,
                                                const kafka::Settings& settings,
                                                std::span<const engine::TablePlan> tables,
                                                std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<TopicBook> topics,
                          TopicBook::Make(config, settings, {"check", "check", ""}));
  Preflight preflight(config, settings, *topics, std::move(stop));
  PGFLOW_RETURN_IF_ERROR(preflight.Run(tables));
  return std::move(preflight.findings);
}

}  // namespace pgflow::sinks
