#include "sinks/opensearch/index_keeper.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"
#include "sinks/opensearch/index_origin.h"
#include "sinks/opensearch/index_scan.h"
#include "sinks/opensearch/index_shape.h"
#include "sinks/opensearch/index_state.h"
#include "sinks/opensearch/index_template.h"

namespace pgflow::sinks {

using nlohmann::json;

namespace {

// How long a search may take that began just before another index got the name.
constexpr absl::Duration kSearchesEnd = absl::Seconds(5);
constexpr char kReplicas[] = "index.number_of_replicas";
constexpr char kRefresh[] = "index.refresh_interval";

std::vector<int16_t> KnownKey(const engine::TablePlan& table) {
  if (table.definition == nullptr || !table.definition->primary_key.has_value()) return {};
  return table.definition->primary_key->attribute_numbers;
}

absl::Status Misfit(const std::string& index, const std::string& why) {
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "index {}: {}", index, why);
}

absl::Status CheckKeeps(const IndexState& state) {
  if (!state.misfit.empty()) return Misfit(state.index, state.misfit);
  if (!state.confirms_early) return absl::OkStatus();
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "index {}: it confirms documents before they are on disk, so that a crash "
      "of the server would lose some; set its index.translog.durability to "
      "request, also where settings or an index template says async",
      state.index);
}

// What a copy is named is not free for anything else.
absl::Status CheckIsCopy(const IndexState& state, const IndexMeta& wanted) {
  if (state.is_alias() && state.meta.table == wanted.table) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "{} is not the copy of table {} that it should be; delete or rename it",
                          state.name, wanted.table);
}

// What the server's templates gave the index, or would give it.
absl::StatusOr<json> TemplateFor(Cluster& cluster, const std::string& name,
                                 const std::optional<IndexState>& state, std::stop_token stop) {
  if (state.has_value()) return TemplateIn(state->meta.origin);
  PGFLOW_ASSIGN_OR_RETURN(
      const IndexTemplate given,
      ReadIndexTemplate(cluster, GenerationName(WithoutCopySuffix(name), 1), std::move(stop)));
  return given.mapping;
}

absl::StatusOr<uint64_t> CountDocuments(Cluster& cluster, const std::string& name,
                                        std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const json counted,
                          cluster.Read("GET", "/" + name + "/_count", nullptr, std::move(stop)));
  const json& documents = MemberOf(counted, "count");
  return documents.is_number_unsigned() ? documents.get<uint64_t>() : 0;
}

// Where the documents are that somebody else wrote, nobody knows.
absl::Status CheckRouted(Cluster& cluster, const IndexState& state, const IndexShape& shape,
                         std::stop_token stop) {
  const bool is_ours = !state.meta.columns.empty() || !state.meta.origin.is_null();
  if (is_ours || !shape.plan.routing.has_value()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const uint64_t count,
                          CountDocuments(cluster, state.index, std::move(stop)));
  if (count == 0) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "table {}: index {} holds {} documents of somebody else, which nobody "
                          "says are routed by column {}; delete it, or take the routing out",
                          shape.meta.table, state.index, count, RoutingOf(shape.meta.origin));
}

// The mapping of the nested rows is not the table's own, and stays.
IndexShape WithNested(IndexShape shape, const IndexMeta& meta) {
  for (const auto& [field, rows] : meta.nested) {
    if (!shape.properties.contains(field)) continue;
    shape.properties[field]["properties"] = rows.fields;
  }
  return shape;
}

}  // namespace

absl::Status ClaimIndexName(std::map<std::string, schemas::TableName>& owners,
                            const std::string& name, const schemas::TableName& table) {
  const auto [owner, added] = owners.try_emplace(name, table);
  if (added || owner->second == table) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "tables {} and {} would both have the index {}; put {{table}} (and "
                          "{{schema}}) into its name, or name one of them under tables",
                          owner->second.ToString(), table.ToString(), name);
}

absl::StatusOr<std::string> IndexKeeper::NameOf(const schemas::TableName& table) const {
  const SearchTableOptions* options = config_.OptionsOf(table);
  const bool own = options != nullptr && !options->index.empty();
  PGFLOW_ASSIGN_OR_RETURN(std::string name, IndexName(own ? options->index : config_.index, table));
  if (copied_.contains(table)) name.append(kCopySuffix);
  return name;
}

TableIndexPtr IndexKeeper::MakeIndex(const IndexState& state, IndexShape shape) {
  return std::make_shared<const TableIndex>(TableIndex{
      state.name, BulkTarget(state.name, state.is_alias(), PipelineOf(shape.meta.origin)),
      std::move(shape.plan)});
}

absl::Status IndexKeeper::Create(const std::string& name, const std::string& index,
                                 const IndexShape& shape, const IndexMeta& meta,
                                 std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const IndexTemplate given, ReadIndexTemplate(cluster_, index, stop));
  const schemas::TableName& table = shape.plan.schema.table;
  PGFLOW_ASSIGN_OR_RETURN(const std::string live, NameOf(table));
  for (const std::string_view own : {std::string_view(live), WithoutCopySuffix(live)}) {
    const std::string obstacle = ObstacleIn(given, own);
    if (!obstacle.empty()) return Misfit(index, obstacle);
  }
  IndexMeta made_from = meta;
  made_from.origin["settings"] = OriginOf(config_, shape.plan.schema.table)["settings"];
  json body = {{"settings", SettingsOf(config_, shape.plan.schema, given.settings)},
               {"mappings", {{"_meta", made_from.ToJson()}, {"properties", shape.properties}}}};
  const json& dynamic = MemberOf(TemplateIn(made_from.origin), "dynamic");
  body["mappings"]["dynamic"] = dynamic.is_null() ? json(false) : dynamic;
  if (!name.empty()) body["aliases"] = {{name, json::object()}};
  const absl::Status created = cluster_.Call("PUT", "/" + index, body, stop).status();
  // Two lanes may come to the same number, each for a rebuild of its own.
  if (absl::IsFailedPrecondition(created) &&
      base::Message(created).find("already exists") != std::string_view::npos) {
    return absl::AlreadyExistsError(index);
  }
  PGFLOW_RETURN_IF_ERROR(
      base::Annotate(created, fmt::format("table {}: create index {}", table.ToString(), index)));
  // Who searches by a name that a template gives would find what is only filled, beside the other.
  const bool is_seen = !name.empty() && !std::string_view(name).ends_with(kCopySuffix);
  if (is_seen || given.aliases.empty()) return absl::OkStatus();
  json actions = json::array();
  for (const std::string& alias : given.aliases) {
    actions.push_back({{"remove", {{"index", index}, {"alias", alias}}}});
  }
  return cluster_.Call("POST", "/_aliases", json{{"actions", actions}}, std::move(stop)).status();
}

absl::StatusOr<IndexState> IndexKeeper::CreateFirst(const std::string& name,
                                                    const IndexShape& shape, std::stop_token stop) {
  const std::string_view base = WithoutCopySuffix(name);
  IndexState state{
      .name = name,
      .index = GenerationName(base, 1),
      .uuid = {},
      .meta = shape.meta,
      .properties = shape.properties,
      .misfit = {},
  };
  if (name != base) {
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> live,
                            ReadIndex(cluster_, std::string(base), stop));
    const uint32_t last = live.has_value() ? GenerationOf(base, live->index) : 0;
    state.index = GenerationName(base, last + 1);
  }
  while (true) {
    // A number that an abandoned rebuild left behind is passed over.
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> taken,
                            ReadIndex(cluster_, state.index, stop));
    const absl::Status made = taken.has_value()
                                  ? absl::AlreadyExistsError("")
                                  : Create(name, state.index, shape, shape.meta, stop);
    if (made.ok()) break;
    if (!absl::IsAlreadyExists(made)) return made;
    state.index = GenerationName(base, GenerationOf(base, state.index) + 1);
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> made,
                          ReadIndex(cluster_, state.index, std::move(stop)));
  if (made.has_value()) {
    PGFLOW_RETURN_IF_ERROR(CheckKeeps(*made));
    state.uuid = made->uuid;
  }
  return state;
}

void IndexKeeper::Advance(IndexMeta& meta, SchemaStep step) const {
  if (step == SchemaStep()) return;  // A copy's, which is of no log.
  if (meta.log != log_) {
    meta.done = {};
    meta.former.clear();
  }
  meta.log = log_;
  meta.done = std::max(meta.done, step);
}

// Brings the mapping to the table's columns.
absl::Status IndexKeeper::Fit(IndexState& state, const IndexShape& shape, SchemaStep step,
                              bool empties, std::stop_token stop) {
  IndexMeta meta = shape.meta;
  meta.done = state.meta.done;
  meta.log = state.meta.log;
  meta.former = state.meta.former;
  Advance(meta, step);
  meta.loading = state.meta.loading;
  meta.nested = state.meta.nested;
  meta.sources = state.meta.sources;
  if (!state.meta.origin.is_null()) meta.origin["settings"] = state.meta.origin["settings"];
  if (empties && state.is_alias()) {
    if (meta.columns == state.meta.columns) return absl::OkStatus();
    base::LogInfo("index {}: made anew, because its table is empty and looks otherwise",
                  state.index);
    return Rebuild(state, WithNested(shape, meta), nullptr, meta, nullptr, std::move(stop));
  }
  PGFLOW_ASSIGN_OR_RETURN(ShapeChange change, CompareShapes(state.meta, state.properties, shape));
  if (change.kind == ShapeChange::Kind::kRemove && !state.is_alias()) {
    base::LogWarning(
        "index {}: {}, but its documents keep the field until they change, because "
        "the name is that of an index and no alias",
        state.index, change.reason);
    change.kind = ShapeChange::Kind::kAdd;
  }
  if (change.kind == ShapeChange::Kind::kNone) return absl::OkStatus();
  if (change.kind == ShapeChange::Kind::kAdd) {
    const absl::Status put = PutMapping(cluster_, state, change.added, meta, stop);
    // kFailedPrecondition: the field was there once, with another type.
    if (put.code() != absl::StatusCode::kFailedPrecondition || !state.is_alias()) {
      PGFLOW_RETURN_IF_ERROR(put);
      state.meta = std::move(meta);
      state.properties.update(change.added);
      return absl::OkStatus();
    }
    change.reason = base::Message(put);
  }
  if (!state.is_alias()) return NotOurs(state.index, change.reason);
  PGFLOW_RETURN_IF_ERROR(CheckHoldsRows(state, change.reason));
  base::LogInfo("index {}: rebuilt, because {}", state.index, change.reason);
  return Rebuild(state, WithNested(shape, meta), &change.edits, meta, nullptr, std::move(stop));
}

// What an abandoned rebuild left has no alias. One that has is in use, perhaps under another name:
// tables may have exchanged theirs.
absl::StatusOr<std::string> IndexKeeper::NextIndex(const IndexState& state, std::stop_token stop) {
  const std::string base(WithoutCopySuffix(state.name));
  uint32_t last = GenerationOf(base, state.index);
  absl::StatusOr<json> found = cluster_.Read("GET", "/" + base + "-*/_alias", nullptr, stop);
  if (absl::IsNotFound(found.status())) found = json::object();
  PGFLOW_RETURN_IF_ERROR(found.status());
  for (const auto& [index, body] : found->items()) {
    const uint32_t generation = GenerationOf(base, index);
    last = std::max(last, generation);
    if (generation == 0 || index == state.index || !MemberOf(body, "aliases").empty()) continue;
    if (old_.contains(index)) continue;
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> left, ReadIndex(cluster_, index, stop));
    if (!left.has_value() || (left->meta.columns.empty() && !left->meta.dropped)) continue;
    // Another lane fills it at this moment, or filled it once: whose it is, is in it.
    if (left->meta.made_for != state.name && !left->meta.made_for.empty()) continue;
    PGFLOW_RETURN_IF_ERROR(DeleteIndex(cluster_, index, stop));
  }
  return GenerationName(base, last + 1);
}

absl::Status IndexKeeper::Rebuild(IndexState& state, const IndexShape& shape,
                                  const FieldEdits* edits, const IndexMeta& meta,
                                  const Completion& complete, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(std::string next, NextIndex(state, stop));
  IndexMeta made = meta;
  made.made_for = state.name;
  for (absl::Status created = absl::AlreadyExistsError(""); absl::IsAlreadyExists(created);) {
    created = Create("", next, shape, made, stop);
    if (absl::IsAlreadyExists(created)) {
      PGFLOW_ASSIGN_OR_RETURN(next, NextIndex(state, stop));
      continue;
    }
    PGFLOW_RETURN_IF_ERROR(created);
  }
  if (edits != nullptr) {
    PGFLOW_RETURN_IF_ERROR(CopyDocuments(cluster_, state.index, next, *edits, stop));
  }
  // Whatever its settings say of the translog.
  PGFLOW_RETURN_IF_ERROR(
      cluster_.Call("POST", "/" + next + "/_flush", std::string(), stop).status());
  PGFLOW_RETURN_IF_ERROR(RefreshIndex(cluster_, next, stop));
  if (complete != nullptr) {
    PGFLOW_RETURN_IF_ERROR(complete(next));
    PGFLOW_RETURN_IF_ERROR(RefreshIndex(cluster_, next, stop));
  }
  PGFLOW_RETURN_IF_ERROR(GiveName(state.name, state, next, json::array(), stop));
  state.index = next;
  state.meta = made;
  state.properties = shape.properties;
  return absl::OkStatus();
}

absl::Status IndexKeeper::GiveName(const std::string& name, const std::optional<IndexState>& old,
                                   const std::string& index, json more_actions,
                                   std::stop_token stop) {
  json actions = std::move(more_actions);
  if (old.has_value()) {
    PGFLOW_ASSIGN_OR_RETURN(const json others, TakeOtherNames(cluster_, *old, index, stop));
    for (const json& other : others) {
      actions.push_back(other);
      if (!old->is_alias()) continue;
      actions.push_back({{"remove", {{"index", old->index}, {"alias", other["add"]["alias"]}}}});
    }
  }
  actions.push_back({{"add", {{"index", index}, {"alias", name}}}});
  // Nobody searches a copy.
  const bool lingers =
      old.has_value() && old->is_alias() && !std::string_view(name).ends_with(kCopySuffix);
  if (lingers) {
    // Whoever finds it without a name knows what it was.
    IndexMeta meta = old->meta;
    meta.made_for = name;
    PGFLOW_RETURN_IF_ERROR(PutMapping(cluster_, *old, {}, meta, stop));
    actions.push_back({{"remove", {{"index", old->index}, {"alias", name}}}});
  } else if (old.has_value()) {
    // An index and an alias cannot have one name, not for a moment.
    actions.push_back({{"remove_index", {{"index", old->index}}}});
  }
  PGFLOW_RETURN_IF_ERROR(
      cluster_.Call("POST", "/_aliases", json{{"actions", actions}}, std::move(stop)).status());
  if (lingers) old_[old->index] = absl::Now() + kSearchesEnd;
  return absl::OkStatus();
}

absl::Status IndexKeeper::RemoveOld(std::stop_token stop) {
  for (auto old = old_.begin(); old != old_.end();) {
    if (old->second > absl::Now()) {
      ++old;
      continue;
    }
    PGFLOW_RETURN_IF_ERROR(DeleteIndex(cluster_, old->first, stop));
    old = old_.erase(old);
  }
  return absl::OkStatus();
}

absl::Status IndexKeeper::RebuildWith(IndexState state, const schemas::TableName& table,
                                      const FieldEdits& edits, const Completion& complete,
                                      std::stop_token stop) {
  const std::string why = "a field of its nested rows has another type";
  if (!state.is_alias()) return NotOurs(state.index, why);
  base::LogInfo("index {}: rebuilt, because {}", state.index, why);
  IndexShape shape;
  shape.plan.schema.table = table;
  shape.plan.schema.columns.resize(state.meta.columns.size());
  shape.properties = state.properties;
  const IndexMeta meta = state.meta;
  return Rebuild(state, shape, &edits, meta, complete, std::move(stop));
}

absl::Status IndexKeeper::StartLoading(IndexState& state, std::stop_token stop) {
  if (state.meta.loading.is_null()) {
    PGFLOW_ASSIGN_OR_RETURN(
        const json answer,
        cluster_.Read("GET", "/" + state.index + "/_settings?flat_settings=true", nullptr, stop));
    const json& settings = MemberOf(MemberOf(answer, state.index), "settings");
    state.meta.nested.clear();
    state.meta.loading = {{kReplicas, MemberOf(settings, kReplicas)},
                          {kRefresh, MemberOf(settings, kRefresh)}};
    PGFLOW_RETURN_IF_ERROR(PutMapping(cluster_, state, {}, state.meta, stop));
  }
  return cluster_
      .Call("PUT", "/" + state.index + "/_settings", json{{kReplicas, 0}, {kRefresh, "-1"}},
            std::move(stop))
      .status();
}

absl::Status IndexKeeper::FinishLoading(IndexState& state, std::stop_token stop) {
  if (state.meta.loading.is_null()) return absl::OkStatus();
  const json settings = std::exchange(state.meta.loading, nullptr);
  PGFLOW_RETURN_IF_ERROR(
      cluster_.Call("POST", "/" + state.index + "/_refresh", std::string(), stop).status());
  PGFLOW_RETURN_IF_ERROR(
      cluster_.Call("PUT", "/" + state.index + "/_settings", settings, stop).status());
  return PutMapping(cluster_, state, {}, state.meta, std::move(stop));
}

absl::Status IndexKeeper::FinishLoading(const schemas::TableName& table, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, NameOf(table));
  PGFLOW_ASSIGN_OR_RETURN(std::optional<IndexState> state, ReadIndex(cluster_, name, stop));
  if (!state.has_value()) return absl::OkStatus();
  return FinishLoading(*state, std::move(stop));
}

absl::Status IndexKeeper::RemoveDocuments(IndexState& state, const IndexShape& shape,
                                          std::stop_token stop) {
  // Deletions would be remembered, and refuse the rows that come instead.
  IndexMeta meta = shape.meta;
  meta.former = state.meta.former;
  meta.log = state.meta.log;
  PGFLOW_RETURN_IF_ERROR(Rebuild(state, shape, nullptr, meta, nullptr, stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> made,
                          ReadIndex(cluster_, state.name, std::move(stop)));
  if (made.has_value()) state = *made;
  return absl::OkStatus();
}

absl::Status IndexKeeper::Check(const engine::TablePlan& table) const {
  PGFLOW_ASSIGN_OR_RETURN(const IndexShape shape,
                          MakeIndexShape(*table.schema, KnownKey(table), config_, product_));
  return CheckKey(shape.plan);
}

absl::Status IndexKeeper::Prepare(const engine::TablePlan& table, bool fresh,
                                  std::stop_token stop) {
  const schemas::TableSchema& schema = *table.schema;
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, NameOf(schema.table));
  PGFLOW_ASSIGN_OR_RETURN(std::optional<IndexState> state, ReadIndex(cluster_, name, stop));
  PGFLOW_ASSIGN_OR_RETURN(const json given, TemplateFor(cluster_, name, state, stop));
  PGFLOW_ASSIGN_OR_RETURN(IndexShape shape,
                          MakeIndexShape(schema, KnownKey(table), config_, product_,
                                         OriginOfNew(config_, schema.table, given)));
  PGFLOW_RETURN_IF_ERROR(CheckKey(shape.plan));
  shape.meta.sources[table.source_table] = {};
  if (!state.has_value()) {
    if (copied_.contains(schema.table)) PGFLOW_RETURN_IF_ERROR(PrepareCopy(name, shape, stop));
    PGFLOW_ASSIGN_OR_RETURN(state, CreateFirst(name, shape, stop));
    return StartLoading(*state, std::move(stop));
  }
  if (copied_.contains(schema.table)) PGFLOW_RETURN_IF_ERROR(CheckIsCopy(*state, shape.meta));
  if (fresh) {
    PGFLOW_ASSIGN_OR_RETURN(const uint64_t count, CountDocuments(cluster_, name, stop));
    if (count > 0 && config_.on_existing_documents == ExistingDocuments::kRefuse) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                              "table {}: index {} holds {} documents already; delete it, or set "
                              "on_existing_documents to replace or append",
                              schema.table.ToString(), name, count);
    }
    if (config_.on_existing_documents != ExistingDocuments::kAppend &&
        (count > 0 || state->is_alias())) {
      PGFLOW_RETURN_IF_ERROR(RemoveDocuments(*state, shape, stop));
    }
  }
  PGFLOW_RETURN_IF_ERROR(CheckKeeps(*state));
  PGFLOW_ASSIGN_OR_RETURN(shape,
                          MakeIndexShape(schema, KnownKey(table), config_, product_,
                                         OriginFor(config_, schema.table, state->meta, given)));
  shape.meta.sources[table.source_table] = {};
  PGFLOW_RETURN_IF_ERROR(CheckRouted(cluster_, *state, shape, stop));
  if (!state->meta.sources.contains(table.source_table)) {
    state->meta.sources[table.source_table] = {};
    PGFLOW_RETURN_IF_ERROR(PutMapping(cluster_, *state, {}, state->meta, stop));
  }
  // What the stream brings after a copy is behind it, wherever another stream ended.
  if (fresh) state->meta.done = {};
  PGFLOW_RETURN_IF_ERROR(Fit(*state, shape, {}, false, stop));
  return StartLoading(*state, std::move(stop));
}

// The copy passes for what it takes the place of.
absl::Status IndexKeeper::PrepareCopy(const std::string& name, IndexShape& shape,
                                      std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const std::optional<IndexState> live,
      ReadIndex(cluster_, std::string(WithoutCopySuffix(name)), std::move(stop)));
  shape.meta.log = log_;
  if (live.has_value() && live->meta.log == log_) shape.meta.former = live->meta.former;
  return absl::OkStatus();
}

absl::Status IndexKeeper::Reset(const engine::TablePlan& table, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, NameOf(table.schema->table));
  PGFLOW_ASSIGN_OR_RETURN(std::optional<IndexState> state, ReadIndex(cluster_, name, stop));
  if (!state.has_value()) return absl::OkStatus();  // Prepare creates it.
  PGFLOW_ASSIGN_OR_RETURN(
      const IndexShape shape,
      MakeIndexShape(*table.schema, KnownKey(table), config_, product_,
                     OriginOfNew(config_, table.schema->table, TemplateIn(state->meta.origin))));
  if (copied_.contains(table.schema->table)) {
    // Nobody reads it.
    PGFLOW_RETURN_IF_ERROR(CheckIsCopy(*state, shape.meta));
    return cluster_.Call("DELETE", "/" + state->index, std::string(), std::move(stop)).status();
  }
  return RemoveDocuments(*state, shape, std::move(stop));
}

absl::StatusOr<TableIndexPtr> IndexKeeper::Open(const engine::TablePlan& table,
                                                std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, NameOf(table.schema->table));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> state,
                          ReadIndex(cluster_, name, std::move(stop)));
  if (!state.has_value()) {
    return base::MakeStatus(absl::StatusCode::kAborted,
                            "index {} is gone in the middle of the snapshot", name);
  }
  const json origin =
      OriginFor(config_, table.schema->table, state->meta, TemplateIn(state->meta.origin));
  PGFLOW_ASSIGN_OR_RETURN(
      IndexShape shape, MakeIndexShape(*table.schema, KnownKey(table), config_, product_, origin));
  return MakeIndex(*state, std::move(shape));
}

absl::StatusOr<IndexMeta> IndexKeeper::Followed(const schemas::TableName& table,
                                                std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, NameOf(table));
  PGFLOW_RETURN_IF_ERROR(ReadFormerNames(stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> state,
                          ReadIndex(cluster_, name, std::move(stop)));
  IndexMeta meta = state.has_value() ? state->meta : IndexMeta();
  if (meta.log != log_) meta.done = {};
  // Rows of another table, which had the name before.
  if (const auto former = former_->find(name); former != former_->end()) {
    meta.done = std::max(meta.done, former->second);
  }
  return meta;
}

absl::Status IndexKeeper::ReadFormerNames(std::stop_token stop) {
  if (former_.has_value()) return absl::OkStatus();
  const absl::StatusOr<json> found =
      cluster_.Read("GET",
                    "/%2A?filter_path=%2A.aliases%2C%2A.mappings._meta.pgflow.former%2C"
                    "%2A.mappings._meta.pgflow.log",
                    nullptr, std::move(stop));
  // Who may not look at all indices goes without.
  if (!found.ok() && !absl::IsPermissionDenied(found.status()) &&
      !absl::IsNotFound(found.status())) {
    return found.status();
  }
  former_.emplace();
  if (!found.ok()) return absl::OkStatus();
  for (const auto& [index, body] : found->items()) {
    // What another one has taken the place of, with all that it knew.
    if (MemberOf(body, "aliases").empty()) continue;
    const auto names = IndexMeta::FormerIn(MemberOf(body, "mappings"), log_);
    if (!names.ok()) return base::Annotate(names.status(), "index " + index);
    for (const auto& [name, until] : *names) {
      SchemaStep& last = (*former_)[name];
      last = std::max(last, until);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<TableIndexPtr> IndexKeeper::Bind(const schemas::TableSchema& schema, SchemaStep step,
                                                bool empties, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, NameOf(schema.table));
  PGFLOW_ASSIGN_OR_RETURN(std::optional<IndexState> state, ReadIndex(cluster_, name, stop));
  const IndexMeta known = state.has_value() ? state->meta : IndexMeta();
  const std::set<schemas::TableName> sources = SourcesOf(known, schema.table);
  for (const schemas::TableName& source : sources) {
    if (held_.contains(source)) kept_.insert(schema.table);
  }
  const absl::StatusOr<schemas::TableSchema> numbered = NumberColumns(known, schema);
  if (!numbered.ok()) return AskForCopy(numbered.status(), sources);
  PGFLOW_ASSIGN_OR_RETURN(const json given, TemplateFor(cluster_, name, state, stop));
  const bool stays = IsKept(schema.table) && !known.origin.is_null();
  const json origin = stays ? known.origin : OriginFor(config_, schema.table, known, given);
  absl::StatusOr<IndexShape> made = MakeIndexShape(*numbered, known.key, config_, product_, origin);
  // What it is routed by is gone, and the file knows another column.
  if (!made.ok() && RoutingOf(origin) != config_.RoutingOf(schema.table)) {
    return AskForCopy(made.status(), sources);
  }
  PGFLOW_ASSIGN_OR_RETURN(IndexShape shape, std::move(made));
  PGFLOW_RETURN_IF_ERROR(CheckKey(shape.plan));
  if (!state.has_value() && copied_.contains(schema.table)) {
    return AskForCopy(
        absl::FailedPreconditionError(fmt::format("index {} is gone while it was filled", name)),
        sources);
  }
  if (!state.has_value()) {
    base::LogInfo("table {}: index {} is created", schema.table.ToString(), name);
    PGFLOW_ASSIGN_OR_RETURN(state, CreateFirst(name, shape, stop));
  } else {
    PGFLOW_RETURN_IF_ERROR(CheckKeeps(*state));
    PGFLOW_RETURN_IF_ERROR(CheckRouted(cluster_, *state, shape, stop));
    // One that awaits its new table (Replace) was made without knowing its columns.
    const bool awaits = known.dropped && known.columns.empty();
    const absl::Status fitted = Fit(*state, shape, step, empties || awaits, stop);
    if (!fitted.ok()) return AskForCopy(fitted, sources);
  }
  PGFLOW_RETURN_IF_ERROR(FinishLoading(*state, std::move(stop)));
  return MakeIndex(*state, std::move(shape));
}

std::set<schemas::TableName> IndexKeeper::SourcesOf(const IndexMeta& meta,
                                                    const schemas::TableName& table) {
  std::set<schemas::TableName> sources;
  for (const auto& [source, from] : meta.sources) sources.insert(source);
  if (sources.empty()) sources.insert(table);
  return sources;
}

}  // namespace pgflow::sinks
