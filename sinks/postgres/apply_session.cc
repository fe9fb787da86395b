#include "sinks/postgres/apply_session.h"

#include <utility>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

bool SameColumn(const schemas::Column& a, const schemas::Column& b) {
  return a.name == b.name && a.type == b.type && a.identity == b.identity &&
         a.type_modifier == b.type_modifier && a.type_name == b.type_name;
}

bool SameSchema(const schemas::TableSchema& a, const schemas::TableSchema& b) {
  return a.replica_identity == b.replica_identity && a.version == b.version && a.oid == b.oid &&
         a.columns.size() == b.columns.size() && a.table == b.table &&
         std::equal(a.columns.begin(), a.columns.end(), b.columns.begin(), SameColumn);
}

}  // namespace

absl::StatusOr<const TableBinding*> ApplySession::Bind(const schemas::TableSchema& schema,
                                                       std::stop_token stop) {
  std::unique_ptr<TableBinding>& slot = bindings_[schemas::QuoteTable(schema.table)];
  if (slot != nullptr && SameSchema(slot->schema, schema)) return slot.get();
  PGFLOW_ASSIGN_OR_RETURN(TargetTablePtr target,
                          LoadTargetTable(*session_.connection, schema.table, std::move(stop)));
  if (target == nullptr) return MissingTable(schema.table);
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<TableBinding> binding,
                          BindTable(schema, std::move(target), session_.replica_role));
  if (slot != nullptr) replaced_.push_back(std::move(slot));
  slot = std::move(binding);
  return slot.get();
}

absl::Status ApplySession::ForgetStatements(std::stop_token stop) {
  statements_.Clear();
  replaced_.clear();
  return session_.connection->Execute("DEALLOCATE ALL", std::move(stop)).status();
}

absl::Status ApplySession::ForgetTables(std::stop_token stop) {
  bindings_.clear();
  return ForgetStatements(std::move(stop));
}

}  // namespace pgflow::sinks
