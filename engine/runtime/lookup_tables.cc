#include "engine/runtime/lookup_tables.h"

#include <functional>
#include <utility>

#include "base/status.h"

namespace pgflow::engine {
namespace {

using Chain = std::span<const std::unique_ptr<Transformer>>;

// The table as it comes behind `before`; null when they drop it.
absl::StatusOr<schemas::TableSchemaPtr> SchemaBehind(const Chain& before,
                                                     schemas::TableSchemaPtr schema) {
  for (const auto& transformer : before) {
    if (schema == nullptr) break;
    PGFLOW_ASSIGN_OR_RETURN(schema, transformer->TransformSchema(schema));
  }
  return schema;
}

absl::Status ReadTable(SnapshotSession& session, uint32_t table, const Chain& before,
                       const std::function<absl::Status(Batch)>& consume,
                       const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<RangeReader> reader, session.OpenReader(stop));
  for (const BlockRange& range : session.tables()[table].ranges) {
    const auto transform = [&](Batch batch) -> absl::Status {
      batch.set_snapshot_lsn(session.consistent_point());
      for (const auto& transformer : before) {
        PGFLOW_RETURN_IF_ERROR(transformer->Transform(batch));
      }
      return consume(std::move(batch));
    };
    PGFLOW_ASSIGN_OR_RETURN(const RangeOutcome outcome,
                            reader->Read({table, range, {}}, transform, stop));
    if (outcome == RangeOutcome::kDone) continue;
    return base::MakeStatus(absl::StatusCode::kAborted,
                            "table {}, where rows are looked up, was rewritten, truncated or "
                            "dropped while it was read",
                            session.tables()[table].schema->table.ToString());
  }
  return absl::OkStatus();
}

absl::Status LearnOne(SnapshotSession& session, const Chain& before, Transformer& transformer,
                      const std::stop_token& stop) {
  const schemas::TableName& wanted = *transformer.looked_up();
  // Partitions come leaf by leaf, and a transformer in front may give several tables one name.
  schemas::TableSchemaPtr found;
  std::vector<uint32_t> parts;
  for (uint32_t i = 0; i < session.tables().size(); ++i) {
    PGFLOW_ASSIGN_OR_RETURN(schemas::TableSchemaPtr schema,
                            SchemaBehind(before, session.tables()[i].schema));
    if (schema == nullptr || schema->table != wanted) continue;
    found = std::move(schema);
    parts.push_back(i);
  }
  if (found == nullptr) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "rows are looked up in {}, which is none of the tables that come "
                            "there; add it to the source's tables (a filter behind the look-up "
                            "keeps it from the sinks)",
                            wanted.ToString());
  }
  const auto rows = [&](const std::function<absl::Status(Batch)>& consume) -> absl::Status {
    for (const uint32_t part : parts) {
      PGFLOW_RETURN_IF_ERROR(ReadTable(session, part, before, consume, stop));
    }
    return absl::OkStatus();
  };
  return transformer.Learn(found, session.consistent_point(), rows);
}

}  // namespace

absl::Status LearnLookups(SnapshotSession& session,
                          std::span<const std::unique_ptr<Transformer>> transformers,
                          const std::stop_token& stop) {
  for (size_t i = 0; i < transformers.size(); ++i) {
    if (transformers[i]->looked_up() == nullptr) continue;
    PGFLOW_RETURN_IF_ERROR(LearnOne(session, transformers.first(i), *transformers[i], stop));
  }
  return absl::OkStatus();
}

}  // namespace pgflow::engine
