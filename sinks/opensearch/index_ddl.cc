// IndexKeeper: what a captured command on a table means for its index.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "sinks/opensearch/index_keeper.h"
#include "sinks/opensearch/index_origin.h"
#include "sinks/opensearch/index_template.h"

namespace pgflow::sinks {

using nlohmann::json;

absl::Status IndexKeeper::Announce(const schemas::TableName& table, const ColumnsChange& change,
                                   SchemaStep step, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, NameOf(table));
  PGFLOW_ASSIGN_OR_RETURN(std::optional<IndexState> state, ReadIndex(cluster_, name, stop));
  if (!state.has_value() || state->meta.columns.empty()) return absl::OkStatus();
  IndexMeta meta = state->meta;
  IndexShape shape;
  shape.properties = state->properties;
  const FieldEdits edits = FollowColumns(change, meta, shape.properties);
  if (edits.empty() && meta.defaults == state->meta.defaults && change.before == change.after) {
    return absl::OkStatus();
  }
  if (!state->is_alias()) {
    if (edits.empty() && meta.defaults.empty()) return absl::OkStatus();
    if (!edits.renamed.empty()) {
      return AskForCopy(NotOurs(state->index, fmt::format("{} is {} now", edits.renamed[0].first,
                                                          edits.renamed[0].second)),
                        SourcesOf(state->meta, table));
    }
    base::LogWarning(
        "index {}: its documents of older rows keep removed fields, and do not get a new column's "
        "default, because the name is that of an index and no alias",
        name);
    return absl::OkStatus();
  }
  Advance(meta, step);
  if (edits.empty()) return PutMapping(cluster_, *state, {}, meta, std::move(stop));
  if (const absl::Status holds = CheckHoldsRows(*state, "columns were renamed or dropped");
      !holds.ok()) {
    return AskForCopy(holds, SourcesOf(meta, table));
  }
  base::LogInfo("index {}: rebuilt, because columns of {} were renamed or dropped", state->index,
                table.ToString());
  shape.plan.schema.table = table;
  shape.plan.schema.columns.resize(meta.columns.size());
  const std::set<schemas::TableName> sources = SourcesOf(meta, table);
  return AskForCopy(Rebuild(*state, shape, &edits, meta, nullptr, std::move(stop)), sources);
}

absl::Status IndexKeeper::Drop(const schemas::TableName& table, SchemaStep step,
                               std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, NameOf(table));
  PGFLOW_ASSIGN_OR_RETURN(std::optional<IndexState> state, ReadIndex(cluster_, name, stop));
  if (!state.has_value() || state->meta.columns.empty() || !state->is_alias()) {
    return absl::OkStatus();
  }
  Advance(state->meta, step);
  state->meta.dropped = true;
  return PutMapping(cluster_, *state, {}, state->meta, std::move(stop));
}

absl::Status IndexKeeper::Replace(const schemas::TableName& table, SchemaStep step,
                                  std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, NameOf(table));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> state, ReadIndex(cluster_, name, stop));
  if (!state.has_value() || state->meta.columns.empty() || !state->is_alias()) {
    return absl::OkStatus();
  }
  base::LogInfo("index {}: emptied, because table {} is a new one", state->index, table.ToString());
  // Its other names are known by nobody else, and what comes again must not make them anew.
  IndexMeta meta;
  meta.table = table.ToString();
  meta.origin = OriginOfNew(config_, table, TemplateIn(state->meta.origin));
  meta.sources = state->meta.sources;
  meta.log = state->meta.log;
  meta.former = state->meta.former;
  // Rows of an earlier table of the name are not to come in again. In the transaction itself the
  // command comes again in front of what is behind it.
  Advance(meta, {step.lsn, 0});
  meta.dropped = true;
  IndexShape none;
  none.plan.schema.table = table;
  none.properties = json::object();
  IndexState replaced = *state;
  return Rebuild(replaced, none, nullptr, meta, nullptr, std::move(stop));
}

// The index says first that it follows the rename, then it changes its name: after a crash between
// the two nothing of before the rename comes in again, and the rest is done.
absl::Status IndexKeeper::Rename(const schemas::TableName& from, const schemas::TableName& to,
                                 SchemaStep step, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string old_name, NameOf(from));
  PGFLOW_ASSIGN_OR_RETURN(const std::string new_name, NameOf(to));
  if (old_name == new_name) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(ReadFormerNames(stop));
  PGFLOW_ASSIGN_OR_RETURN(std::optional<IndexState> state, ReadIndex(cluster_, old_name, stop));
  if (!state.has_value()) return absl::OkStatus();  // Done before, or never copied.
  const auto said = state->meta.former.find(old_name);
  const bool begun =
      state->meta.log == log_ && said != state->meta.former.end() && said->second >= step;
  const auto former = former_->find(old_name);
  if (!begun && former != former_->end() && former->second >= step) return absl::OkStatus();
  if (!state->is_alias()) {
    return NotOurs(old_name, fmt::format("table {} is {} now", from.ToString(), to.ToString()));
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> taken,
                          ReadIndex(cluster_, new_name, stop));
  const bool left = taken.has_value() && taken->meta.dropped && taken->is_alias();
  if (taken.has_value() && !left) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "table {} is {} now, but index {} exists already; delete it",
                            from.ToString(), to.ToString(), new_name);
  }
  if (!begun) {
    Advance(state->meta, step);
    state->meta.former[old_name] = step;
    if (left) {
      // That index goes, and with it what it knew.
      for (const auto& [name, until] : taken->meta.former) {
        if (taken->meta.log != log_) break;
        SchemaStep& last = state->meta.former[name];
        last = std::max(last, until);
      }
    }
    state->meta.table = to.ToString();
    PGFLOW_RETURN_IF_ERROR(PutMapping(cluster_, *state, {}, state->meta, stop));
    (*former_)[old_name] = step;
  }
  json actions = {
      {"actions", json::array({json{{"add", {{"index", state->index}, {"alias", new_name}}}},
                               json{{"remove", {{"index", state->index}, {"alias", old_name}}}}})}};
  if (left) actions["actions"].push_back(json{{"remove_index", {{"index", taken->index}}}});
  return cluster_.Call("POST", "/_aliases", actions, std::move(stop)).status();
}

}  // namespace pgflow::sinks
