#include "sinks/postgres/statement_cache.h"

#include "base/bytes.h"
#include "base/status.h"

namespace pgflow::sinks {

absl::StatusOr<const StatementCache::Prepared*> StatementCache::Row(ApplyPipeline& pipeline,
                                                                    const TableBinding& binding,
                                                                    std::string_view signature) {
  const auto found = row_.find(RowKeyView{binding.layout, signature});
  if (found != row_.end()) return found->second.get();
  RowStatement statement = BuildRowStatement(binding, signature);
  auto prepared = std::make_unique<Prepared>();
  prepared->name = NextName();
  prepared->parameters = std::move(statement.parameters);
  PGFLOW_RETURN_IF_ERROR(pipeline.Prepare(prepared->name, statement.sql, statement.types));
  const Prepared* kept = prepared.get();
  row_.emplace(RowKey{binding.layout, std::string(signature)}, std::move(prepared));
  return kept;
}

absl::StatusOr<const StatementCache::Prepared*> StatementCache::Other(
    ApplyPipeline& pipeline, const std::string& sql, std::span<const postgres::Oid> types) {
  other_key_.assign(sql);
  other_key_.push_back('\0');
  for (postgres::Oid type : types) base::AppendBigEndian(other_key_, type);
  const auto found = other_.find(other_key_);
  if (found != other_.end()) return found->second.get();
  auto prepared = std::make_unique<Prepared>();
  prepared->name = NextName();
  PGFLOW_RETURN_IF_ERROR(pipeline.Prepare(prepared->name, sql, types));
  const Prepared* kept = prepared.get();
  other_.emplace(other_key_, std::move(prepared));
  return kept;
}

void StatementCache::Clear() {
  row_.clear();
  other_.clear();
}

}  // namespace pgflow::sinks
