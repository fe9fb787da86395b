#include "engine/runtime/replay_request.h"

#include <nlohmann/json.hpp>

#include "base/status.h"

namespace pgflow::engine {
namespace {

using Json = nlohmann::json;
using Row = SqliteDatabase::Row;

std::string ToText(const ReplayAnswer& answer) {
  const Json json = {{"replayed", answer.replayed}, {"dropped", answer.dropped},
                     {"waiting", answer.waiting},   {"refused", answer.refused},
                     {"skipped", answer.skipped},   {"error", answer.error}};
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

absl::StatusOr<ReplayAnswer> FromText(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::DataLossError("a damaged answer in the state store");
  ReplayAnswer answer;
  json.at("replayed").get_to(answer.replayed);
  json.at("dropped").get_to(answer.dropped);
  json.at("waiting").get_to(answer.waiting);
  json.at("refused").get_to(answer.refused);
  json.at("skipped").get_to(answer.skipped);
  json.at("error").get_to(answer.error);
  return answer;
}

}  // namespace

absl::StatusOr<int64_t> ReplayRequests::Post(const ReplayRequest& request) const {
  const Json json = {{"forced", request.forced}, {"drops", request.drops}};
  int64_t id = 0;
  PGFLOW_RETURN_IF_ERROR(database_.Query(
      "INSERT INTO replay_request (pipeline, sink, request) VALUES (?, ?, ?) RETURNING id",
      {pipeline_, sink_, json.dump()}, [&id](const Row& row) { id = row.integer(0); }));
  return id;
}

absl::StatusOr<bool> ReplayRequests::Withdraw(int64_t id) const {
  bool withdrawn = false;
  PGFLOW_RETURN_IF_ERROR(
      database_.Query("DELETE FROM replay_request WHERE id = ? AND begun = 0 RETURNING id", {id},
                      [&withdrawn](const Row&) { withdrawn = true; }));
  return withdrawn;
}

absl::StatusOr<std::optional<ReplayRequest>> ReplayRequests::Waiting() const {
  std::optional<ReplayRequest> request;
  PGFLOW_RETURN_IF_ERROR(database_.Query(
      "SELECT id, request FROM replay_request WHERE pipeline = ? AND sink = ? AND answer IS NULL "
      "ORDER BY id LIMIT 1",
      {pipeline_, sink_}, [&request](const Row& row) {
        const Json json = Json::parse(row.text(1), nullptr, /*allow_exceptions=*/false);
        request.emplace();
        request->id = row.integer(0);
        if (!json.is_object()) return;
        request->forced = json.value("forced", false);
        request->drops = json.value("drops", false);
      }));
  return request;
}

absl::Status ReplayRequests::Begin(int64_t id) const {
  return database_.Query("UPDATE replay_request SET begun = 1 WHERE id = ?", {id});
}

absl::StatusOr<bool> ReplayRequests::HasBegun(int64_t id) const {
  bool begun = false;
  PGFLOW_RETURN_IF_ERROR(
      database_.Query("SELECT begun FROM replay_request WHERE id = ?", {id},
                      [&begun](const Row& row) { begun = row.integer(0) != 0; }));
  return begun;
}

absl::Status ReplayRequests::Answer(int64_t id, const ReplayAnswer& answer) const {
  return database_.Query("UPDATE replay_request SET answer = ? WHERE id = ?", {ToText(answer), id});
}

absl::StatusOr<std::optional<ReplayAnswer>> ReplayRequests::TakeAnswer(int64_t id) const {
  std::optional<absl::StatusOr<ReplayAnswer>> answer;
  PGFLOW_RETURN_IF_ERROR(
      database_.Query("DELETE FROM replay_request WHERE id = ? AND answer IS NOT NULL "
                      "RETURNING answer",
                      {id}, [&answer](const Row& row) { answer = FromText(row.text(0)); }));
  if (!answer.has_value()) return std::optional<ReplayAnswer>();
  PGFLOW_ASSIGN_OR_RETURN(ReplayAnswer found, *std::move(answer));
  return std::optional<ReplayAnswer>(std::move(found));
}

}  // namespace pgflow::engine
