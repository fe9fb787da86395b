// Pipeline: tables that are new to the stream, or that are to be copied again, while it runs.
#include <algorithm>
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

std::vector<schemas::TableName> Unpublished(const std::vector<ChosenTable>& chosen) {
  std::vector<schemas::TableName> tables;
  for (const ChosenTable& table : chosen) {
    if (!table.published) tables.push_back(table.table);
  }
  return tables;
}

// The published tables that the patterns name.
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
    if (table.published && filter.Matches(table.table)) tables.push_back(table.table);
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
  auto unpublished = BeginRefresh(request, stop);
  if (waiting.has_value() && absl::IsInvalidArgument(unpublished.status())) {
    AnswerRefresh(request.id, {false, std::string(base::Message(unpublished.status()))});
    request.id = 0;
    request.again.clear();
    unpublished = BeginRefresh(request, stop);
  }
  PGFLOW_RETURN_IF_ERROR(unpublished.status());
  context_->unpublished = {unpublished->begin(), unpublished->end()};
  return absl::OkStatus();
}

absl::StatusOr<std::vector<schemas::TableName>> Pipeline::BeginRefresh(RefreshRequest request,
                                                                       std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<ChosenTable> chosen,
                          source_->ListTables(request.selection, stop));
  const std::vector<schemas::TableName> unpublished = Unpublished(chosen);
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<schemas::TableName> again,
                          Matching(chosen, request.again));
  std::vector<std::string> text;
  if (!unpublished.empty()) text.push_back("joining: " + NamesOf(unpublished));
  if (!again.empty()) text.push_back("copied again: " + NamesOf(again));
  publishes_ = !unpublished.empty();
  refresh_text_ = fmt::format("{}", fmt::join(text, "; "));
  if (!text.empty()) base::LogInfo("tables {}", refresh_text_);
  const bool copies = context_->plan.mode != SourcePlan::Mode::kStream;
  for (const auto& lane : lanes_) {
    if (copies) lane->HoldTables(unpublished, /*again=*/false);
    if (!again.empty()) lane->HoldTables(again, /*again=*/true);
  }
  refresh_ = std::move(request);
  return unpublished;
}

// Their changes come from the LSN on that it gives.
absl::StatusOr<postgres::Lsn> Pipeline::PublishSelection(std::stop_token stop) {
  base::MutexLock lock(&source_mutex_);
  if (!IsSame(source_->selection(), refresh_->selection) || publishes_) {
    StopSource();
    const absl::Status selected = source_->Select(refresh_->selection, stop);
    StartSource();
    PGFLOW_RETURN_IF_ERROR(selected);
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
