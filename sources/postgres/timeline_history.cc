#include "sources/postgres/timeline_history.h"

#include <string>
#include <utility>
#include <vector>

#include <absl/strings/str_split.h>

#include "base/status.h"

namespace pgflow::sources {

std::optional<postgres::Lsn> FindTimelineEnd(std::string_view history, uint32_t timeline) {
  const std::string wanted = std::to_string(timeline);
  const std::vector<std::string> lines =
      absl::StrSplit(absl::string_view(history.data(), history.size()), '\n');
  for (const std::string& line : lines) {
    const std::vector<std::string> fields =
        absl::StrSplit(line, absl::ByAnyChar("\t "), absl::SkipEmpty());
    if (fields.size() >= 2 && fields[0] == wanted) return postgres::Lsn::Parse(fields[1]);
  }
  return std::nullopt;
}

absl::StatusOr<postgres::Lsn> ReadTimelineEnd(postgres::Connection& walsender, uint32_t current,
                                              uint32_t timeline, std::stop_token stop) {
  // Protocol, streaming replication: TIMELINE_HISTORY tli gives the file's name and its content.
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result row,
      walsender.Execute(fmt::format("TIMELINE_HISTORY {}", current), std::move(stop)));
  std::optional<postgres::Lsn> end;
  if (row.row_count() == 1) end = FindTimelineEnd(row.at(0, 1), timeline);
  if (end.has_value()) return *end;
  return base::MakeStatus(absl::StatusCode::kNotFound, "timeline {} was never on timeline {}",
                          current, timeline);
}

}  // namespace pgflow::sources
