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
    if (!table.left_out.empty()) continue;
    if ((!table.published || !table.carried) && table.gap.empty()) tables.push_back(table.table);
  }
  return tables;
}

// What cannot join, and why, for who asked for it.
std::string LeftOut(const std::vector<ChosenTable>& chosen) {
  constexpr size_t kNamedMax = 5;
  std::vector<std::string> texts;
  size_t count = 0;
  for (const ChosenTable& table : chosen) {
    if (table.left_out.empty() || ++count > kNamedMax) continue;
    texts.push_back(fmt::format("{} ({})", table.table.ToString(), table.left_out));
  }
  if (count > kNamedMax) texts.push_back(fmt::format("{} more", count - kNamedMax));
  return fmt::format("{}", fmt::join(texts, ", "));
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
  for (const ChosenTable& table : chosen) {
    if (table.left_out.empty()) names.push_back(table.table);
  }
  PGFLOW_ASSIGN_OR_RETURN(const schemas::TableFilter filter,
                          schemas::TableFilter::Make(patterns, {}));
  if (const auto without = filter.PatternsWithout(names); !without.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "{}: no chosen table has this name",
                            fmt::join(without, ", "));
  }
  std::vector<schemas::TableName> tables;
  if (patterns.empty()) return tables;
  for (const ChosenTable& table : chosen) {
    if (table.left_out.empty() && filter.Matches(table.table)) tables.push_back(table.table);
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
  found_tables_ = false;
  if (request.by_itself && fresh.empty()) return fresh;
  std::vector<std::string> text;
  if (!fresh.empty()) text.push_back("joining: " + NamesOf(fresh));
  if (!again.empty()) text.push_back("copied again: " + NamesOf(again));
  // What the stream leaves out has to come into it: it begins anew.
  restarts_ = std::ranges::any_of(chosen, [](const auto& table) {
    return table.published && (!table.carried || !table.gap.empty());
  });
  publishes_ = std::ranges::any_of(
      chosen, [](const auto& table) { return !table.published && table.left_out.empty(); });
  if (!text.empty()) base::LogInfo("tables {}", fmt::join(text, "; "));
  if (const std::string left_out = LeftOut(chosen); !left_out.empty()) {
    text.push_back("left out: " + left_out);
  }
  refresh_text_ = fmt::format("{}", fmt::join(text, "; "));
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
  const bool selects = !IsSame(source_->selection(), refresh_->selection) || publishes_;
  if (selects || restarts_) {
    StopSource();
    absl::Status selected;
    if (selects) selected = source_->Select(refresh_->selection, stop);
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

// What is asked for, or what the source has found by itself.
void Pipeline::BeginWaitingRefresh(std::stop_token stop) {
  found_tables_ |= source_->TakeNewTables();
  const absl::Time now = absl::Now();
  if (now < next_refresh_ && (!found_tables_ || now < next_try_)) return;
  if (!IsSourceFree()) return;
  next_refresh_ = now + kRefreshInterval;
  auto request = WaitingRefresh(*state_, options_.name);
  if (!request.ok()) base::LogWarning("{}", base::Message(request.status()));
  if (!request.ok()) return;
  const bool asked = request->has_value();
  if (!asked && !found_tables_) return;
  base::MutexLock lock(&source_mutex_);
  const RefreshRequest found{.selection = source_->selection(), .again = {}, .by_itself = true};
  const absl::Status begun = BeginRefresh(asked ? **request : found, stop).status();
  if (absl::IsCancelled(begun)) return;  // The request stays for the next run.
  if (begun.ok()) return;
  if (asked) return AnswerRefresh((*request)->id, {false, std::string(base::Message(begun))});
  // Changed meanwhile, or the server does not answer: found_tables_ stays.
  base::LogWarning("new tables: {}; trying again", base::Message(begun));
  next_try_ = now + kRefreshInterval;
}

// Whoever supervises does not wait for a snapshot that is being opened, which may take as long as
// somebody's transaction.
bool Pipeline::IsSourceFree() {
  if (!source_mutex_.TryLock()) return false;
  source_mutex_.Unlock();
  return true;
}

// By its own name every table is the sinks' now.
void Pipeline::StepSettled(std::stop_token stop) {
  if (settled_ || absl::Now() < next_settled_ || !IsSourceFree()) return;
  for (const auto& lane : lanes_) {
    if (lane->IsJoining()) return;
  }
  base::MutexLock lock(&source_mutex_);
  const absl::Status settled = source_->SettleTables(std::move(stop));
  settled_ = settled.ok();
  if (settled.ok()) return;
  next_settled_ = absl::Now() + kRefreshInterval;
  base::LogDebug("tables that have joined: {}", base::Message(settled));
}

void Pipeline::StepRefresh(std::stop_token stop) {
  if (!refresh_.has_value()) {
    StepSettled(stop);
    return BeginWaitingRefresh(std::move(stop));
  }
  if (absl::Now() < next_try_) return;
  for (const auto& lane : lanes_) {
    if (!lane->HasHeld()) return;
  }
  if (!IsSourceFree()) return;
  const absl::StatusOr<postgres::Lsn> published = PublishSelection(stop);
  if (absl::IsCancelled(published.status())) return;  // As above.
  // Nobody waits for an answer to what was found: it is tried until it can be done.
  if (!published.ok() && (base::IsRetryable(published.status()) || refresh_->by_itself)) {
    base::LogWarning("refresh: {}; trying again", base::Message(published.status()));
    next_try_ = absl::Now() + kRefreshInterval;
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
  settled_ = false;
  AnswerRefresh(request.id, {true, refresh_text_});
}

}  // namespace pgflow::engine
