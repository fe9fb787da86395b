#include "engine/runtime/refresh_request.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "base/status.h"

namespace pgflow::engine {
namespace {

using Json = nlohmann::json;

std::string ToText(const RefreshRequest& request) {
  const Json json = {{"include", request.selection.include},
                     {"exclude", request.selection.exclude},
                     {"again", request.again}};
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

absl::StatusOr<RefreshRequest> FromText(int64_t id, const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::DataLossError("a damaged refresh request in the state store");
  RefreshRequest request;
  request.id = id;
  json.at("include").get_to(request.selection.include);
  json.at("exclude").get_to(request.selection.exclude);
  json.at("again").get_to(request.again);
  return request;
}

}  // namespace

absl::StatusOr<int64_t> PostRefresh(const SqliteDatabase& state, const std::string& pipeline,
                                    const RefreshRequest& request) {
  PGFLOW_RETURN_IF_ERROR(state.Query("DELETE FROM refresh_request WHERE pipeline = ?", {pipeline}));
  int64_t id = 0;
  PGFLOW_RETURN_IF_ERROR(state.Query(
      "INSERT INTO refresh_request (pipeline, request) VALUES (?, ?) RETURNING id",
      {pipeline, ToText(request)}, [&](const SqliteDatabase::Row& row) { id = row.integer(0); }));
  return id;
}

absl::StatusOr<std::optional<RefreshRequest>> WaitingRefresh(const SqliteDatabase& state,
                                                             const std::string& pipeline) {
  std::optional<absl::StatusOr<RefreshRequest>> found;
  PGFLOW_RETURN_IF_ERROR(state.Query(
      "SELECT id, request FROM refresh_request WHERE pipeline = ? AND answer IS NULL", {pipeline},
      [&](const SqliteDatabase::Row& row) { found = FromText(row.integer(0), row.text(1)); }));
  if (!found.has_value()) return std::optional<RefreshRequest>();
  PGFLOW_ASSIGN_OR_RETURN(RefreshRequest request, *std::move(found));
  return std::optional<RefreshRequest>(std::move(request));
}

absl::Status AnswerRefresh(const SqliteDatabase& state, int64_t id, const RefreshAnswer& answer) {
  return state.Query("UPDATE refresh_request SET done = ?, answer = ? WHERE id = ?",
                     {int64_t{answer.done}, answer.text, id});
}

absl::StatusOr<std::optional<RefreshAnswer>> TakeRefreshAnswer(const SqliteDatabase& state,
                                                               int64_t id) {
  std::optional<RefreshAnswer> answer;
  PGFLOW_RETURN_IF_ERROR(
      state.Query("DELETE FROM refresh_request WHERE id = ? AND answer IS NOT NULL "
                  "RETURNING done, answer",
                  {id}, [&](const SqliteDatabase::Row& row) {
                    answer = RefreshAnswer{row.integer(0) != 0, row.text(1)};
                  }));
  return answer;
}

}  // namespace pgflow::engine
