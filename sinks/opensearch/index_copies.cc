#include "sinks/opensearch/index_copies.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/log.h"
#include "base/status.h"
#include "sinks/opensearch/index_name.h"
#include "sinks/opensearch/index_origin.h"
#include "sinks/opensearch/index_scan.h"
#include "sinks/opensearch/index_template.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;
using schemas::TableName;

// Of the names in one request; servers take a line of 4 kB.
constexpr size_t kNamesBytesMax = 2000;
constexpr std::string_view kMetaOnly = "filter_path=%2A.aliases%2C%2A.mappings._meta.pgflow&";

// Which names the template can make.
std::string PatternOf(std::string_view name_template) {
  std::string pattern;
  bool inside = false;
  for (const char c : name_template) {
    if (c == '{') pattern.push_back('*');
    inside = c == '{' || (inside && c != '}');
    if (!inside && c != '}') pattern.push_back(c);
  }
  return pattern;
}

std::vector<std::string> NamesOf(const OpenSearchSinkConfig& config, std::string_view suffix) {
  std::set<std::string> patterns = {PatternOf(config.index)};
  for (const SearchTableOptions& table : config.tables) {
    if (!table.index.empty()) patterns.insert(PatternOf(table.index));
  }
  std::vector<std::string> lines;
  for (const std::string& pattern : patterns) {
    if (lines.empty() || lines.back().size() > kNamesBytesMax) {
      lines.emplace_back();
    } else {
      lines.back().push_back(',');
    }
    lines.back().append(pattern).append(suffix);
  }
  return lines;
}

bool HasRowsOf(const IndexState& state, const std::set<TableName>& tables) {
  return std::ranges::any_of(state.meta.sources,
                             [&](const auto& source) { return tables.contains(source.first); });
}

}  // namespace

absl::StatusOr<std::string> IndexCopies::NameFor(const IndexMeta& meta) const {
  PGFLOW_ASSIGN_OR_RETURN(const std::string name, keeper_.NameOf(TableOf(meta.table)));
  return std::string(WithoutCopySuffix(name));
}

absl::StatusOr<std::vector<IndexCopies::Listed>> IndexCopies::List(std::string_view suffix,
                                                                   std::string_view filter,
                                                                   std::stop_token stop) {
  std::vector<Listed> found;
  std::set<std::string> seen;
  for (const std::string& names : NamesOf(config_, suffix)) {
    const absl::StatusOr<json> answer = cluster_.Read(
        "GET", fmt::format("/{}?allow_no_indices=true&{}ignore_unavailable=true", names, filter),
        nullptr, stop);
    if (absl::IsNotFound(answer.status())) continue;
    PGFLOW_RETURN_IF_ERROR(answer.status());
    for (const auto& [index, body] : answer->items()) {
      if (!seen.insert(index).second) continue;
      if (MemberOf(MemberOf(MemberOf(body, "mappings"), "_meta"), "pgflow").is_null()) continue;
      Listed listed;
      PGFLOW_ASSIGN_OR_RETURN(listed.state, ToIndexState(index, index, body));
      const std::string& log = listed.state.meta.log;
      if (log != log_ && !log.empty()) continue;
      for (const auto& [alias, properties] : MemberOf(body, "aliases").items()) {
        listed.aliases.insert(alias);
      }
      found.push_back(std::move(listed));
    }
  }
  return found;
}

absl::StatusOr<std::vector<IndexState>> IndexCopies::Copies(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(std::vector<Listed> found, List(kCopySuffix, "", std::move(stop)));
  std::vector<IndexState> copies;
  for (Listed& listed : found) {
    const absl::StatusOr<std::string> name = NameFor(listed.state.meta);
    if (!name.ok() || !listed.aliases.contains(*name + std::string(kCopySuffix))) continue;
    listed.state.name = *name + std::string(kCopySuffix);
    copies.push_back(std::move(listed.state));
  }
  return copies;
}

absl::StatusOr<std::set<TableName>> IndexCopies::TargetsOf(const std::set<TableName>& sources,
                                                           std::stop_token stop) {
  // Most tables keep their names.
  std::set<TableName> targets = sources;
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<IndexState> copies, Copies(std::move(stop)));
  for (const IndexState& copy : copies) {
    if (HasRowsOf(copy, sources)) targets.insert(TableOf(copy.meta.table));
  }
  return targets;
}

absl::Status IndexCopies::Finish(const std::map<TableName, postgres::Lsn>& tables,
                                 std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(std::vector<IndexState> copies, Copies(stop));
  for (IndexState& copy : copies) {
    bool complete = false;
    for (auto& [source, from] : copy.meta.sources) {
      const auto table = tables.find(source);
      if (table == tables.end()) continue;
      from = table->second;
      complete = true;
    }
    if (!complete) continue;
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> live,
                            ReadIndex(cluster_, std::string(WithoutCopySuffix(copy.name)), stop));
    if (live.has_value() && live->meta.log == log_) {
      copy.meta.former.insert(live->meta.former.begin(), live->meta.former.end());
    }
    PGFLOW_RETURN_IF_ERROR(PutMapping(cluster_, copy, {}, copy.meta, stop));
  }
  return absl::OkStatus();
}

absl::Status IndexCopies::Take(std::span<const engine::TableProgress> tables,
                               std::stop_token stop) {
  std::set<TableName> held;
  std::map<TableName, postgres::Lsn> complete;
  for (const engine::TableProgress& table : tables) {
    if (table.held()) held.insert(table.table);
    if (!table.held() && table.complete) complete[table.table] = table.snapshot_lsn;
  }
  keeper_.KeepWhileCopied(held);
  PGFLOW_ASSIGN_OR_RETURN(std::vector<IndexState> copies, Copies(stop));
  // A parent of a join gets the rows of its children where these are then.
  std::ranges::stable_partition(copies, [this](const IndexState& copy) {
    return !nested_.IsParent(TableOf(copy.meta.table));
  });
  for (IndexState& copy : copies) {
    if (HasRowsOf(copy, held)) continue;
    const auto is_complete = [&](const auto& source) {
      const auto said = complete.find(source.first);
      return source.second.valid() && said != complete.end() && said->second == source.second;
    };
    const bool takes =
        !copy.meta.sources.empty() && std::ranges::all_of(copy.meta.sources, is_complete);
    PGFLOW_RETURN_IF_ERROR(takes ? TakePlace(std::move(copy), stop) : Remove(copy, stop));
  }
  return absl::OkStatus();
}

// Nobody writes to either of the two meanwhile: the lane that filled it has ended, and this is the
// thread of the other.
absl::Status IndexCopies::TakePlace(IndexState copy, std::stop_token stop) {
  const std::string name(WithoutCopySuffix(copy.name));
  PGFLOW_RETURN_IF_ERROR(keeper_.FinishLoading(copy, stop));
  PGFLOW_RETURN_IF_ERROR(nested_.FitCopy(TableOf(copy.meta.table), copy, stop));
  PGFLOW_RETURN_IF_ERROR(RefreshIndex(cluster_, copy.index, stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> live, ReadIndex(cluster_, name, stop));
  PGFLOW_RETURN_IF_ERROR(keeper_.GiveName(
      name, live, copy.index,
      json::array({{{"remove", {{"index", copy.index}, {"alias", copy.name}}}}}), stop));
  base::LogInfo("index {}: the copy of {} in {} has taken the place of {}", name, copy.meta.table,
                copy.index, live.has_value() ? live->index : "none");
  return absl::OkStatus();
}

absl::Status IndexCopies::Remove(const IndexState& state, std::stop_token stop) {
  base::LogInfo("index {}: removed; it is left over from a copy or a rebuild for {}", state.index,
                state.meta.table);
  return DeleteIndex(cluster_, state.index, std::move(stop));
}

absl::Status IndexCopies::RemoveLeft(bool of_copies, std::stop_token stop) {
  const absl::StatusOr<std::vector<Listed>> found = List("-*", kMetaOnly, stop);
  // Who may not look at all indices goes without.
  if (absl::IsPermissionDenied(found.status())) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(found.status());
  for (const Listed& listed : *found) {
    const IndexState& state = listed.state;
    if (!listed.aliases.empty() || state.meta.made_for.empty()) continue;
    const absl::StatusOr<std::string> name = NameFor(state.meta);
    if (!name.ok() || *name != WithoutCopySuffix(state.meta.made_for)) continue;
    if (!of_copies && state.meta.made_for != *name) continue;
    if (GenerationOf(*name, state.index) > 0) PGFLOW_RETURN_IF_ERROR(Remove(state, stop));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<TableName, std::string>> IndexCopies::FindOutdated(std::stop_token stop) {
  std::map<TableName, std::string> outdated;
  absl::StatusOr<std::vector<Listed>> found = List("", kMetaOnly, stop);
  if (absl::IsPermissionDenied(found.status())) return outdated;
  PGFLOW_RETURN_IF_ERROR(found.status());
  for (Listed& listed : *found) {
    const IndexMeta& meta = listed.state.meta;
    const TableName table = TableOf(meta.table);
    const absl::StatusOr<std::string> name = NameFor(meta);
    if (!name.ok() || (*name != listed.state.index && !listed.aliases.contains(*name))) continue;
    if (meta.columns.empty() || meta.dropped || keeper_.IsKept(table)) continue;
    listed.state.name = *name;
    PGFLOW_ASSIGN_OR_RETURN(const std::string why, Compare(listed.state, stop));
    if (why.empty()) continue;
    if (meta.sources.empty()) outdated[table] = why;
    for (const auto& [source, from] : meta.sources) outdated[source] = why;
  }
  return outdated;
}

absl::StatusOr<std::string> IndexCopies::Compare(const IndexState& listed, std::stop_token stop) {
  const TableName table = TableOf(listed.meta.table);
  const json wanted = OriginOf(config_, table);
  const json& origin = listed.meta.origin;
  if (IsAsWanted(origin, wanted)) return std::string();
  if (RoutingOf(origin) != RoutingOf(wanted)) {
    return fmt::format("the documents of its index {} are routed otherwise", listed.index);
  }
  if (!origin.is_null() && HasOtherMapping(origin, wanted)) {
    return fmt::format("its index {} was made with another mapping", listed.index);
  }
  PGFLOW_ASSIGN_OR_RETURN(std::optional<IndexState> state, ReadIndex(cluster_, listed.name, stop));
  if (!state.has_value()) return std::string();
  if (!origin.is_null()) {
    const json changed = ChangedSettings(origin, wanted);
    const absl::Status put =
        changed.empty()
            ? absl::OkStatus()
            : cluster_.Call("PUT", "/" + state->index + "/_settings", changed, stop).status();
    // What takes a new index, the server does not let pass.
    if (absl::IsFailedPrecondition(put)) {
      return fmt::format("its index {} was made with other settings", listed.index);
    }
    PGFLOW_RETURN_IF_ERROR(put);
    base::LogInfo("index {}: has other settings now: {}", state->index, changed.dump());
  }
  // Who made it did not say from what: it counts as made from what there is now.
  state->meta.origin = OriginOfNew(config_, table, TemplateIn(origin));
  PGFLOW_RETURN_IF_ERROR(PutMapping(cluster_, *state, {}, state->meta, std::move(stop)));
  return std::string();
}

}  // namespace pgflow::sinks
