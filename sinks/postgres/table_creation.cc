#include "sinks/postgres/table_creation.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "sinks/postgres/planned_table.h"
#include "sinks/postgres/schema_writer.h"

namespace pgflow::sinks {
namespace {

using engine::TablePlan;

std::vector<std::string> SequencesOf(const TablePlan& plan) {
  std::vector<std::string> sequences;
  for (const schemas::ColumnDefinition& column : plan.definition->columns) {
    std::optional<std::string> sequence = SequenceOf(column.default_sql);
    if (sequence.has_value()) sequences.push_back(*std::move(sequence));
  }
  return sequences;
}

// Tables that can be made beside each other: each is alone with its name and its sequences, and has
// no part in a tree of partitions.
class LooseTables {
 public:
  explicit LooseTables(std::span<const TablePlan> plans) {
    for (const TablePlan& plan : plans) {
      ++names_[plan.schema->table];
      if (plan.definition == nullptr) continue;
      for (const std::string& sequence : SequencesOf(plan)) ++sequences_[sequence];
    }
  }
  bool Contains(const TablePlan& plan) const {
    if (names_.at(plan.schema->table) > 1) return false;
    if (plan.definition == nullptr) return true;
    if (plan.definition->partitioned || plan.definition->parent.has_value()) return false;
    for (const std::string& sequence : SequencesOf(plan)) {
      if (sequences_.at(sequence) > 1) return false;
    }
    return true;
  }

 private:
  std::map<schemas::TableName, int> names_;
  std::map<std::string, int> sequences_;
};

// Those that can be made at once; the others come with CreateLate.
std::vector<TablePlan> EarlyPlans(const schemas::DatabaseDefinition& definition,
                                  std::span<const TablePlan> plans) {
  std::set<schemas::TableName> late;
  for (const schemas::LateDefinition& each : definition.late) {
    if (!each.object.has_value()) late.insert(each.table);
  }
  std::vector<TablePlan> early;
  std::ranges::copy_if(plans, std::back_inserter(early),
                       [&](const TablePlan& plan) { return !late.contains(plan.source_table); });
  return early;
}

// In two sessions.
absl::Status CreateBeside(TargetChange& first, SchemaWriter& writer, SchemaWriter& other_writer,
                          std::span<const TablePlan> plans, const std::stop_token& stop) {
  PGFLOW_RETURN_IF_ERROR(writer.CreateSchemas(plans));
  std::vector<TablePlan> mine;
  std::vector<TablePlan> theirs;
  const LooseTables loose(plans);
  for (const TablePlan& plan : plans) {
    (theirs.size() < plans.size() / 2 && loose.Contains(plan) ? theirs : mine).push_back(plan);
  }
  absl::Status made;
  {
    const std::jthread other([&] { other_writer.CreateTables(theirs).IgnoreError(); });
    made = writer.CreateTables(mine);
  }
  // The last look is the one that counts.
  postgres::Connection& connection = first.connection();
  if (!made.ok() && connection.healthy() && connection.in_transaction()) {
    PGFLOW_RETURN_IF_ERROR(connection.Execute("ROLLBACK", stop).status());
  }
  return writer.CreateTables(plans);
}

}  // namespace

absl::Status CreatePlannedTables(TargetChange& first, TargetChange* second,
                                 const schemas::DatabaseDefinition& definition,
                                 std::span<const TablePlan> plans, ProgramTrust trust,
                                 const std::stop_token& stop) {
  SchemaWriter writer(first, definition, stop, trust);
  PGFLOW_RETURN_IF_ERROR(writer.CreateObjects());
  const std::vector<TablePlan> early = EarlyPlans(definition, plans);
  if (second == nullptr) {
    PGFLOW_RETURN_IF_ERROR(writer.CreateTables(early));
  } else {
    SchemaWriter other(*second, definition, stop, trust);
    PGFLOW_RETURN_IF_ERROR(CreateBeside(first, writer, other, early, stop));
  }
  PGFLOW_RETURN_IF_ERROR(writer.CreateLate(plans));
  return writer.CreateEmptyTrees(plans);
}

}  // namespace pgflow::sinks
