// Pipeline: tables that are new to the stream, or that are to be copied again, while it runs.
#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include <absl/time/clock.h>
#include <fmt/ranges.h>

#include "base/log.h"
#include "base/status.h"
#include "engine/runtime/pipeline.h"
#include "schemas/table_filter.h"

namespace pgflow::engine {
namespace {

constexpr absl::Duration kRefreshInterval = absl::Milliseconds(500);

std::string NamesOf(const std::vector<schemas::TableName>& tables) {
  std::vector<std::string> names;
  names.reserve(tables.size());
  for (const schemas::TableName& table : tables) names.push_back(table.ToString());
  return fmt::format("{}", fmt::join(names, ", "));
}

// What the sinks have nothing of: the stream does not carry it, or did not when it had rows.
std::vector<schemas::TableName> Fresh(const std::vector<ChosenTable>& chosen) {
  std::vector<schemas::TableName> tables;
  for (const ChosenTable& table : chosen) {
    if ((!table.published || !table.carried) && table.gap.empty()) tables.push_back(table.table);
  }
  return tables;
}

// Tables whose changes are missing and that are not to be copied again.
absl::Status RefuseGaps(const std::vector<ChosenTable>& chosen,
                        const std::vector<schemas::TableName>& again) {
  std::map<std::string, std::vector<schemas::TableName>> by_gap;
  for (const ChosenTable& table : chosen) {
    if (table.gap.empty() || std::ranges::find(again, table.table) != again.end()) continue;
    by_gap[table.gap].push_back(table.table);
  }
  if (by_gap.empty()) return absl::OkStatus();
  const auto& [gap, tables] = *by_gap.begin();
  constexpr size_t kNamedMax = 5;
  const bool all = tables.size() <= kNamedMax;
  std::vector<std::string> copies;
  for (const schemas::TableName& table :
       std::span(tables).first(std::min(tables.size(), kNamedMax))) {
    copies.push_back("--copy " + table.ToString());
  }
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "changes of {} {} may be missing: {}. Have the rows copied again: `pgflow refresh FILE {}`, "
      "and start pgflow, which does it then",
      all ? NamesOf(tables) : fmt::format("{} tables", tables.size()),
      all ? "" : fmt::format("({}, ...)", tables.front().ToString()), gap,
      all ? fmt::format("{}", fmt::join(copies, " ")) : "--copy '*.*'");
}

// The tables that the patterns name.
absl::StatusOr<std::vector<schemas::TableName>> Matching(const std::vector<ChosenTable>& chosen,
                                                         const std::vector<std::string>& patterns) {
  std::vector<schemas::TableName> names;
  for (const ChosenTable& table : chosen) names.push_back(table.table);
  PGFLOW_ASSIGN_OR_RETURN(const schemas::TableFilter filter,
                          schemas::TableFilter::Make(patterns, {}));
  if (const auto without = filter.PatternsWithout(names); !without.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "{}: no chosen table has this name",
                            fmt::join(without, ", "));
  }
  std::vector<schemas::TableName> tables;
  if (patterns.empty()) return tables;
  for (const ChosenTable& table : chosen) {
    if (filter.Matches(table.table)) tables.push_back(table.table);
  }
  return tables;
}

bool IsSame(const TableSelection& a, const TableSelection& b) {
  return a.include == b.include && a.exclude == b.exclude;
}

}  // namespace

// At the start: tables that were made, or chosen, since the last run, and what was asked for since.
// Before a lane meets a change of a table that is to be copied again.
absl::Status Pipeline::RefreshAtStart(std::stop_token stop) {
  RefreshRequest request;
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<RefreshRequest> waiting,
                          WaitingRefresh(*state_, options_.name));
  if (waiting.has_value()) request = *waiting;
  request.selection = source_->selection();  // The file may be newer than the request.
  auto fresh = BeginRefresh(request, stop);
  if (waiting.has_value() && absl::IsInvalidArgument(fresh.status())) {
    AnswerRefresh(request.id, {false, std::string(base::Message(fresh.status()))});
    request.id = 0;
    request.again.clear();
    fresh = BeginRefresh(request, stop);
  }
  PGFLOW_RETURN_IF_ERROR(fresh.status());
  context_->unpublished = {fresh->begin(), fresh->end()};
  return absl::OkStatus();
}

absl::StatusOr<std::vector<schemas::TableName>> Pipeline::BeginRefresh(RefreshRequest request,
                                                                       std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<ChosenTable> chosen,
                          source_->ListTables(request.selection, stop));
  std::vector<schemas::TableName> fresh = Fresh(chosen);
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<schemas::TableName> again,
                          Matching(chosen, request.again));
  PGFLOW_RETURN_IF_ERROR(RefuseGaps(chosen, again));
  std::erase_if(fresh, [&](const schemas::TableName& table) {
    return std::ranges::find(again, table) != again.end();
  });
  std::vector<std::string> text;
  if (!fresh.empty()) text.push_back("joining: " + NamesOf(fresh));
  if (!again.empty()) text.push_back("copied again: " + NamesOf(again));
  publishes_ = !std::ranges::all_of(chosen, &ChosenTable::published);
  refresh_text_ = fmt::format("{}", fmt::join(text, "; "));
  if (!text.empty()) base::LogInfo("tables {}", refresh_text_);
  const bool copies = context_->plan.mode != SourcePlan::Mode::kStream;
  for (const auto& lane : lanes_) {
    if (copies) lane->HoldTables(fresh, /*again=*/false);
    if (!again.empty()) lane->HoldTables(again, /*again=*/true);
  }
  refresh_ = std::move(request);
  return fresh;
}

// Their changes come from the LSN on that it gives.
absl::StatusOr<postgres::Lsn> Pipeline::PublishSelection(std::stop_token stop) {
  base::MutexLock lock(&source_mutex_);
  if (!IsSame(source_->selection(), refresh_->selection) || publishes_) {
    StopSource();
    absl::Status selected = source_->Select(refresh_->selection, stop);
    // Every sink has it durably by now which tables are to be copied.
    if (selected.ok()) selected = source_->KeepTables(stop);
    StartSource();
    PGFLOW_RETURN_IF_ERROR(selected);
  } else {
    PGFLOW_RETURN_IF_ERROR(source_->KeepTables(stop));
  }
  return source_->CurrentLsn(stop);
}

void Pipeline::AnswerRefresh(int64_t id, const RefreshAnswer& answer) {
  if (!answer.done) base::LogError("refresh: {}", answer.text);
  if (id == 0) return;  // Nobody asked.
  const absl::Status answered = engine::AnswerRefresh(*state_, id, answer);
  if (!answered.ok()) base::LogWarning("{}", base::Message(answered));
}

void Pipeline::StepRefresh(std::stop_token stop) {
  if (absl::Now() < next_refresh_) return;
  if (!refresh_.has_value()) {
    next_refresh_ = absl::Now() + kRefreshInterval;
    auto request = WaitingRefresh(*state_, options_.name);
    if (!request.ok()) base::LogWarning("{}", base::Message(request.status()));
    if (!request.ok() || !request->has_value()) return;
    base::MutexLock lock(&source_mutex_);
    const absl::Status begun = BeginRefresh(**request, stop).status();
    if (absl::IsCancelled(begun)) return;  // The request stays for the next run.
    if (!begun.ok()) AnswerRefresh((*request)->id, {false, std::string(base::Message(begun))});
    return;
  }
  for (const auto& lane : lanes_) {
    if (!lane->HasHeld()) return;
  }
  const absl::StatusOr<postgres::Lsn> published = PublishSelection(stop);
  if (absl::IsCancelled(published.status())) return;  // As above.
  if (!published.ok() && base::IsRetryable(published.status())) {
    base::LogWarning("refresh: {}; trying again", base::Message(published.status()));
    next_refresh_ = absl::Now() + kRefreshInterval;
    return;
  }
  const RefreshRequest request = *std::exchange(refresh_, std::nullopt);
  if (!published.ok()) {
    if (request.id == 0) {
      base::MutexLock lock(&mutex_);
      source_error_ = base::Annotate(published.status(), "source");
    }
    return AnswerRefresh(request.id, {false, std::string(base::Message(published.status()))});
  }
  for (const auto& lane : lanes_) lane->JoinTables(*published);
  AnswerRefresh(request.id, {true, refresh_text_});
}

}  // namespace pgflow::engine
