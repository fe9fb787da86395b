#include "sinks/opensearch/nested_rows.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "sinks/encoding/json_string.h"
#include "sinks/opensearch/document_read.h"
#include "sinks/opensearch/index_name.h"
#include "sinks/opensearch/index_scan.h"
#include "sinks/opensearch/index_state.h"
#include "sinks/opensearch/json_scanner.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;

// Documents that are read and written at once; a search names so many ids at most.
constexpr size_t kDocumentsAtOnce = 500;

std::string QuotedName(std::string_view text) {
  std::string quoted;
  AppendJsonString(text, quoted);
  return quoted;
}

// A child's document as its parent's gets it: without the names of its parents.
void AppendRow(std::string_view document, std::string& out) {
  char separator = '{';
  JsonScanner members(document);
  while (members.Next()) {
    if (members.key().starts_with("\"_join_")) continue;
    out.push_back(separator);
    separator = ',';
    out.append(members.key()).append(":").append(members.value());
  }
  if (separator == '{') out.push_back('{');
  out.push_back('}');
}

json FieldsOf(const IndexMeta& child) {
  json fields = json::object();
  for (const auto& [attribute, field] : child.columns) fields[field.name] = field.mapping;
  return fields;
}

// Whole numbers in their order, and always the same one.
bool IsBefore(const std::pair<std::string, std::string>& a,
              const std::pair<std::string, std::string>& b) {
  return a.first.size() != b.first.size() ? a.first.size() < b.first.size() : a.first < b.first;
}

json Terms(const std::string& field, std::span<const std::string> values) {
  return {{"terms", {{field, std::vector<std::string>(values.begin(), values.end())}}}};
}

template <typename Take>
absl::Status InPieces(std::span<const std::string> all, Take take) {
  for (size_t at = 0; at < all.size(); at += kDocumentsAtOnce) {
    PGFLOW_RETURN_IF_ERROR(take(all.subspan(at, std::min(kDocumentsAtOnce, all.size() - at))));
  }
  return absl::OkStatus();
}

}  // namespace

std::string ReplaceMembers(std::string_view document,
                           const std::vector<std::pair<std::string, std::string>>& members) {
  std::string out;
  char separator = '{';
  JsonScanner present(document);
  while (present.Next()) {
    if (std::ranges::find(members, present.key(), &std::pair<std::string, std::string>::first) !=
        members.end()) {
      continue;
    }
    out.push_back(separator);
    separator = ',';
    out.append(present.key()).append(":").append(present.value());
  }
  for (const auto& [key, value] : members) {
    out.push_back(separator);
    separator = ',';
    out.append(key).append(":").append(value);
  }
  if (separator == '{') out.push_back('{');
  out.push_back('}');
  return out;
}

bool NestedRows::Has(const schemas::TableName& table) const {
  if (left_out_) return false;
  return !config_.JoinsWithParent(table).empty() || !config_.JoinsWithChild(table).empty();
}

absl::StatusOr<std::string> NestedRows::ChildIndex(const JoinOptions& join) const {
  return keeper_.NameOf(TableOf(join.child));
}

absl::StatusOr<std::optional<NestedRows::Parent>> NestedRows::FindParent(
    const schemas::TableName& table, std::stop_token stop) {
  const auto known = parents_.find(table);
  if (known != parents_.end()) return known->second;
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, keeper_.NameOf(table));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> state,
                          ReadIndex(cluster_, name, std::move(stop)));
  if (!state.has_value()) return std::nullopt;
  Parent parent{table, name, BulkTarget(name, state->is_alias()), config_.JoinsWithParent(table)};
  parents_.emplace(table, parent);
  return parent;
}

// A child's index that is not there yet has no rows.
absl::Status NestedRows::Refresh(const JoinOptions& join, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string index, ChildIndex(join));
  absl::Status refreshed = RefreshIndex(cluster_, index, std::move(stop));
  return absl::IsNotFound(refreshed) ? absl::OkStatus() : refreshed;
}

absl::Status NestedRows::AddHolders(const Parent& parent, const JoinOptions& join,
                                    const std::vector<std::string>& children,
                                    std::set<std::string>& ids, std::stop_token stop) {
  return InPieces(children, [&](std::span<const std::string> some) {
    return SearchDocuments(
        cluster_, parent.index, Terms(join.LinkField(), some), false,
        [&](const std::vector<FoundDocument>& page) {
          for (const FoundDocument& document : page) ids.insert(document.id);
          return absl::OkStatus();
        },
        stop);
  });
}

absl::StatusOr<NestedRows::RowsByParent> NestedRows::RowsOf(const JoinOptions& join,
                                                            std::span<const std::string> parents,
                                                            std::stop_token stop) {
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> found;
  const std::string link = join.LinkField();
  PGFLOW_ASSIGN_OR_RETURN(const std::string index, ChildIndex(join));
  const absl::Status searched = SearchDocuments(
      cluster_, index, Terms(link, parents), true,
      [&](const std::vector<FoundDocument>& page) {
        for (const FoundDocument& document : page) {
          std::string row;
          AppendRow(document.source, row);
          found[JsonText(FindJsonMember(document.source, link))].emplace_back(document.id,
                                                                              std::move(row));
        }
        return absl::OkStatus();
      },
      std::move(stop));
  if (!searched.ok() && !absl::IsNotFound(searched)) return searched;
  RowsByParent rows;
  for (auto& [parent, children] : found) {
    std::ranges::sort(children, IsBefore);
    Rows& all = rows[parent];
    for (const auto& [id, row] : children) {
      if (!all.ids.empty()) {
        all.documents.push_back(',');
        all.ids.push_back(',');
      }
      all.documents.append(row);
      AppendJsonString(id, all.ids);
    }
  }
  return rows;
}

absl::StatusOr<std::vector<RefusedItem>> NestedRows::Rewrite(const Parent& parent,
                                                             std::span<const std::string> ids,
                                                             const OwnRows& own,
                                                             BulkSender::Visibility visibility,
                                                             std::stop_token stop) {
  std::vector<RowsByParent> rows;
  for (const JoinOptions* join : parent.joins) {
    PGFLOW_ASSIGN_OR_RETURN(rows.emplace_back(), RowsOf(*join, ids, stop));
  }
  std::vector<DocumentName> names;
  names.reserve(ids.size());
  for (const std::string& id : ids) names.push_back({parent.index, id});
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<StoredDocument> stored,
                          ReadDocuments(cluster_, names, stop));
  std::vector<BulkBody> bodies(1);
  std::vector<std::pair<std::string, std::string>> members(2 * parent.joins.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto found = own.find(ids[i]);
    const ParentRow* row = found == own.end() ? nullptr : found->second;
    // A replay: the document has the row as it became later.
    if (row != nullptr && stored[i].found && stored[i].version > row->version) row = nullptr;
    if (row == nullptr && !stored[i].found) continue;  // Rows without a parent stay where they are.
    if (bodies.back().bytes().size() >= config_.bulk_size.bytes) bodies.emplace_back();
    for (size_t j = 0; j < parent.joins.size(); ++j) {
      const Rows& nested = rows[j][ids[i]];
      members[2 * j] = {QuotedName(parent.joins[j]->as), "[" + nested.documents + "]"};
      members[2 * j + 1] = {QuotedName(parent.joins[j]->LinkField()), "[" + nested.ids + "]"};
    }
    const uint64_t version = row == nullptr ? stored[i].version : row->version;
    bodies.back().BeginIndex(parent.target, ids[i], version) +=
        ReplaceMembers(row == nullptr ? stored[i].source : row->document, members);
    bodies.back().FinishIndex(row == nullptr ? kNoTag : row->tag);
  }
  PGFLOW_ASSIGN_OR_RETURN(std::vector<RefusedItem> refused,
                          sender_.Send(std::move(bodies), visibility, std::move(stop)));
  for (const RefusedItem& item : refused) {
    if (item.tag != kNoTag) continue;
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "index {} refused a document with the rows of a join: {}; change the "
                            "mapping, or settings: index.mapping.nested_objects.limit",
                            parent.index, item.reason);
  }
  return refused;
}

absl::StatusOr<std::vector<RefusedItem>> NestedRows::Write(
    const std::vector<ChildChange>& children,
    const std::map<schemas::TableName, std::vector<ParentRow>>& parents,
    BulkSender::Visibility visibility, std::stop_token stop) {
  if (left_out_) return std::vector<RefusedItem>();
  std::map<const JoinOptions*, std::vector<std::string>> changed;
  std::map<schemas::TableName, std::set<std::string>> touched;
  for (const ChildChange& child : children) {
    changed[child.join].push_back(child.id);
    std::set<std::string>& ids = touched[TableOf(child.join->parent)];
    if (!child.parent_id.empty()) ids.insert(child.parent_id);
  }
  for (const auto& [table, rows] : parents) touched.try_emplace(table);
  std::vector<RefusedItem> refused;
  const base::MutexLock lock(&lock_);
  for (auto& [table, ids] : touched) {
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<Parent> parent, FindParent(table, stop));
    if (!parent.has_value()) continue;
    OwnRows own;
    BulkBody deletions;
    if (const auto rows = parents.find(table); rows != parents.end()) {
      for (const ParentRow& row : rows->second) {
        own[row.id] = &row;
        if (row.document.empty()) {
          deletions.Delete(parent->target, row.id, row.version, row.tag);
        } else {
          ids.insert(row.id);
        }
      }
    }
    bool refreshed = false;
    for (const JoinOptions* join : parent->joins) {
      PGFLOW_RETURN_IF_ERROR(Refresh(*join, stop));
      if (!changed.contains(join)) continue;
      if (!refreshed) PGFLOW_RETURN_IF_ERROR(RefreshIndex(cluster_, parent->index, stop));
      refreshed = true;
      PGFLOW_RETURN_IF_ERROR(AddHolders(*parent, *join, changed[join], ids, stop));
    }
    std::vector<BulkBody> bodies;
    bodies.push_back(std::move(deletions));
    PGFLOW_ASSIGN_OR_RETURN(std::vector<RefusedItem> undeleted,
                            sender_.Send(std::move(bodies), visibility, stop));
    std::ranges::move(undeleted, std::back_inserter(refused));
    std::vector<std::string> rest;
    for (const std::string& id : ids) {
      const auto row = own.find(id);
      if (row == own.end() || !row->second->document.empty()) rest.push_back(id);
    }
    PGFLOW_RETURN_IF_ERROR(InPieces(rest, [&](std::span<const std::string> some) -> absl::Status {
      PGFLOW_ASSIGN_OR_RETURN(std::vector<RefusedItem> more,
                              Rewrite(*parent, some, own, visibility, stop));
      std::ranges::move(more, std::back_inserter(refused));
      return absl::OkStatus();
    }));
  }
  return refused;
}

absl::Status NestedRows::RewriteFound(const Parent& parent, const json& query,
                                      std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(RefreshIndex(cluster_, parent.index, stop));
  return SearchDocuments(
      cluster_, parent.index, query, false,
      [&](const std::vector<FoundDocument>& page) -> absl::Status {
        std::vector<std::string> ids;
        ids.reserve(page.size());
        for (const FoundDocument& document : page) ids.push_back(document.id);
        return InPieces(ids, [&](std::span<const std::string> some) {
          return Rewrite(parent, some, {}, BulkSender::Visibility::kLater, stop).status();
        });
      },
      stop);
}

absl::Status NestedRows::OnTruncate(const schemas::TableName& child, std::stop_token stop) {
  if (left_out_) return absl::OkStatus();
  const base::MutexLock lock(&lock_);
  for (const JoinOptions* join : config_.JoinsWithChild(child)) {
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<Parent> parent,
                            FindParent(TableOf(join->parent), stop));
    if (!parent.has_value()) continue;
    for (const JoinOptions* all : parent->joins) PGFLOW_RETURN_IF_ERROR(Refresh(*all, stop));
    PGFLOW_RETURN_IF_ERROR(
        RewriteFound(*parent, {{"exists", {{"field", join->LinkField()}}}}, stop));
  }
  return absl::OkStatus();
}

absl::Status NestedRows::FitCopy(const schemas::TableName& table, IndexState copy,
                                 std::stop_token stop) {
  const std::vector<const JoinOptions*> joins = config_.JoinsWithParent(table);
  if (joins.empty()) return absl::OkStatus();
  const base::MutexLock lock(&lock_);
  parents_.erase(table);
  json properties = json::object();
  for (const JoinOptions* join : joins) {
    PGFLOW_RETURN_IF_ERROR(Refresh(*join, stop));
    PGFLOW_ASSIGN_OR_RETURN(const std::string child_name, ChildIndex(*join));
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> child,
                            ReadIndex(cluster_, child_name, stop));
    if (!child.has_value()) continue;
    IndexMeta::Nested rows{child->uuid, FieldsOf(child->meta)};
    properties[join->as] = {{"type", "nested"}, {"dynamic", false}, {"properties", rows.fields}};
    copy.meta.nested[join->as] = std::move(rows);
  }
  PGFLOW_RETURN_IF_ERROR(PutMapping(cluster_, copy, properties, copy.meta, stop));
  return RewriteFound({table, copy.index, BulkTarget(copy.index, false), joins},
                      {{"match_all", json::object()}}, std::move(stop));
}

absl::Status NestedRows::Fit(const schemas::TableName& table, std::stop_token stop) {
  if (left_out_) return absl::OkStatus();
  const base::MutexLock lock(&lock_);
  for (const JoinOptions& join : config_.joins) {
    if (join.parent != table.ToString() && join.child != table.ToString()) continue;
    PGFLOW_RETURN_IF_ERROR(base::Annotate(
        FitJoin(join, stop), fmt::format("join of {} in {}", join.child, join.parent)));
  }
  return absl::OkStatus();
}

absl::Status NestedRows::FitJoin(const JoinOptions& join, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, keeper_.NameOf(TableOf(join.parent)));
  PGFLOW_ASSIGN_OR_RETURN(std::optional<IndexState> state, ReadIndex(cluster_, name, stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::string child_name, ChildIndex(join));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> child,
                          ReadIndex(cluster_, child_name, stop));
  if (!state.has_value() || !child.has_value()) return absl::OkStatus();
  if (!state->meta.loading.is_null() || !child->meta.loading.is_null()) return absl::OkStatus();
  IndexMeta::Nested& has = state->meta.nested[join.as];
  IndexMeta::Nested wanted{child->uuid, FieldsOf(child->meta)};
  if (has == wanted) return absl::OkStatus();
  bool fits = true;
  for (const auto& [field, mapping] : wanted.fields.items()) {
    const json& present = MemberOf(has.fields, field);
    fits = fits && (present.is_null() || present == mapping);
  }
  if (fits) {
    has.fields = wanted.fields;
    const absl::Status put = PutMapping(
        cluster_, *state,
        {{join.as, {{"type", "nested"}, {"dynamic", false}, {"properties", wanted.fields}}}},
        state->meta, stop);
    // kFailedPrecondition: a column had another type once.
    if (put.code() != absl::StatusCode::kFailedPrecondition) PGFLOW_RETURN_IF_ERROR(put);
    fits = put.ok();
  }
  if (!fits) return Rebuild(join, *std::move(state), std::move(wanted), std::move(stop));
  if (has.source == wanted.source) return absl::OkStatus();
  base::LogInfo("index {}: its documents get the rows of {}", name, join.child);
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<Parent> parent,
                          FindParent(TableOf(join.parent), stop));
  for (const JoinOptions* all : parent->joins) PGFLOW_RETURN_IF_ERROR(Refresh(*all, stop));
  PGFLOW_RETURN_IF_ERROR(RewriteFound(*parent, {{"match_all", json::object()}}, stop));
  PGFLOW_RETURN_IF_ERROR(RefreshIndex(cluster_, name, stop));
  has.source = wanted.source;
  return PutMapping(cluster_, *state, {}, state->meta, std::move(stop));
}

// A field of the rows has another type, which the parents' mapping cannot follow.
absl::Status NestedRows::Rebuild(const JoinOptions& join, IndexState state, IndexMeta::Nested rows,
                                 std::stop_token stop) {
  state.properties[join.as] = {{"type", "nested"}, {"dynamic", false}, {"properties", rows.fields}};
  state.meta.nested[join.as] = std::move(rows);
  const FieldEdits edits{.renamed = {},
                         .removed = {QuotedName(join.as), QuotedName(join.LinkField())},
                         .added = {},
                         .texts = {}};
  const schemas::TableName table = TableOf(join.parent);
  for (const JoinOptions* all : config_.JoinsWithParent(table)) {
    PGFLOW_RETURN_IF_ERROR(Refresh(*all, stop));
  }
  return keeper_.RebuildWith(
      state, table, edits,
      [&](const std::string& index) {
        return RewriteFound(
            {table, index, BulkTarget(index, false), config_.JoinsWithParent(table)},
            {{"match_all", json::object()}}, stop);
      },
      stop);
}

absl::Status NestedRows::Forget(const schemas::TableName& table, std::stop_token stop) {
  if (left_out_) return absl::OkStatus();
  const base::MutexLock lock(&lock_);
  for (const JoinOptions* join : config_.JoinsWithChild(table)) {
    PGFLOW_ASSIGN_OR_RETURN(const std::string name, keeper_.NameOf(TableOf(join->parent)));
    PGFLOW_ASSIGN_OR_RETURN(std::optional<IndexState> state, ReadIndex(cluster_, name, stop));
    if (!state.has_value()) continue;
    const auto rows = state->meta.nested.find(join->as);
    if (rows == state->meta.nested.end() || rows->second.source.empty()) continue;
    rows->second.source.clear();
    PGFLOW_RETURN_IF_ERROR(PutMapping(cluster_, *state, {}, state->meta, stop));
  }
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
