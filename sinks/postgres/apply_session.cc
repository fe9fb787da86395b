#include "sinks/postgres/apply_session.h"

#include <utility>

#include "base/log.h"
#include "base/status.h"

namespace pgflow::sinks {
namespace {

// Of one name: versions of a table come and go, leaves that are routed into one table stay.
constexpr size_t kBindingsMax = 256;

bool SameColumn(const schemas::Column& a, const schemas::Column& b) {
  return a.name == b.name && a.type == b.type && a.identity == b.identity &&
         a.type_modifier == b.type_modifier && a.type_name == b.type_name &&
         a.wire_type == b.wire_type;
}

bool SameSchema(const schemas::TableSchema& a, const schemas::TableSchema& b) {
  return a.replica_identity == b.replica_identity && a.version == b.version && a.oid == b.oid &&
         a.columns.size() == b.columns.size() && a.table == b.table &&
         std::equal(a.columns.begin(), a.columns.end(), b.columns.begin(), SameColumn);
}

}  // namespace

ApplySession::ApplySession(TargetSession session, const PostgresSinkConfig& config,
                           std::shared_ptr<const CheckpointStatements> checkpoint)
    : session_(std::move(session)), narrower_(config.on_narrower_column) {
  if (config.on_missing_table == MissingTables::kSkip) left_out_.emplace(std::move(checkpoint));
}

absl::Status ApplySession::ReadLeftOut(std::stop_token stop) {
  if (!left_out_.has_value()) return absl::OkStatus();
  return left_out_->Open(connection(), std::move(stop));
}

absl::StatusOr<bool> ApplySession::LeavesOut(const schemas::TableName& table,
                                             std::stop_token stop) {
  if (!left_out_.has_value()) return false;
  PGFLOW_ASSIGN_OR_RETURN(const bool already, left_out_->Contains(connection(), table, stop));
  if (already || bindings_.contains(schemas::QuoteTable(table))) return already;
  PGFLOW_ASSIGN_OR_RETURN(const TargetTablePtr target, LoadTargetTable(connection(), table, stop));
  if (target != nullptr) return false;
  PGFLOW_RETURN_IF_ERROR(left_out_->Add(connection(), table, std::move(stop)));
  base::LogWarning(
      "the target has no table {}: its changes are left out (on_missing_table: skip) until "
      "`pgflow refresh FILE --copy {}` copies it",
      table.ToString(), table.ToString());
  return true;
}

absl::StatusOr<TableBindingPtr> ApplySession::Bind(const schemas::TableSchema& schema,
                                                   std::stop_token stop) {
  std::vector<TableBindingPtr>& known = bindings_[schemas::QuoteTable(schema.table)];
  for (const TableBindingPtr& binding : known) {
    if (SameSchema(binding->schema, schema)) return binding;
  }
  PGFLOW_ASSIGN_OR_RETURN(TargetTablePtr target,
                          LoadTargetTable(*session_.connection, schema.table, std::move(stop)));
  if (target == nullptr) return MissingTable(schema.table);
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<TableBinding> binding,
                          BindTable(schema, std::move(target), session_.replica_role));
  if (narrower_ == NarrowerColumn::kRound && !binding->narrower.empty()) {
    base::LogWarning("{}; on_narrower_column is round", binding->narrower);
  }
  for (const TableBindingPtr& other : known) {
    if (HaveSameLayout(*other, *binding)) binding->layout = other->layout;
  }
  if (binding->layout == 0) binding->layout = ++last_layout_;
  if (known.size() == kBindingsMax) known.erase(known.begin());
  known.push_back(std::move(binding));
  return known.back();
}

absl::Status ApplySession::ForgetStatements(std::stop_token stop) {
  statements_.Clear();
  return session_.connection->DeallocateAll(std::move(stop));
}

absl::Status ApplySession::ForgetTables(std::stop_token stop) {
  bindings_.clear();
  return ForgetStatements(std::move(stop));
}

}  // namespace pgflow::sinks
