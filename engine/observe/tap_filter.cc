#include "engine/observe/tap_filter.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/percent_encoding.h"
#include "base/status.h"
#include "schemas/glob.h"

namespace pgflow::engine {
namespace {

constexpr std::array kOperations = {Operation::kRead,     Operation::kInsert,
                                    Operation::kUpdate,   Operation::kDelete,
                                    Operation::kTruncate, Operation::kSchemaChange};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> Decode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i] == '+' ? ' ' : text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded;
}

// The parts between separators; those that are empty are left out.
std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

template <typename... Args>
absl::Status Invalid(fmt::format_string<Args...> format, Args&&... args) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, format, std::forward<Args>(args)...);
}

absl::Status ReadTables(std::string_view text, TapFilter& filter) {
  for (const std::string_view pattern : Split(text, ',')) {
    if (pattern != "*" && pattern.find('.') == std::string_view::npos) {
      return Invalid("tables: pattern '{}' names no schema; write 'public.{}' or '*.{}'", pattern,
                     pattern, pattern);
    }
    filter.tables.emplace_back(pattern);
  }
  return absl::OkStatus();
}

absl::Status ReadOperations(std::string_view text, TapFilter& filter) {
  for (const std::string_view name : Split(text, ',')) {
    const auto found = std::ranges::find(kOperations, name, &OperationName);
    if (found == kOperations.end()) {
      std::string known;
      for (const Operation each : kOperations) {
        known += fmt::format("{}{}", known.empty() ? "" : ", ", OperationName(each));
      }
      return Invalid("operations: '{}' is none of {}", name, known);
    }
    filter.operations.insert(*found);
  }
  return absl::OkStatus();
}

absl::Status ReadLimit(std::string_view text, TapFilter& filter) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, filter.limit);
  if (parsed.ec != std::errc() || parsed.ptr != end || filter.limit == 0) {
    return Invalid("limit: '{}' is no number of changes", text);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TapFilter> TapFilter::FromQuery(std::string_view query) {
  TapFilter filter;
  for (const std::string_view part : Split(query, '&')) {
    const size_t equals = std::min(part.find('='), part.size());
    const std::string_view name = part.substr(0, equals);
    const std::optional<std::string> value = Decode(part.substr(std::min(equals + 1, part.size())));
    if (!value.has_value()) return Invalid("{}: a % without two hexadecimal digits", name);
    if (name == "tables") {
      PGFLOW_RETURN_IF_ERROR(ReadTables(*value, filter));
    } else if (name == "operations") {
      PGFLOW_RETURN_IF_ERROR(ReadOperations(*value, filter));
    } else if (name == "sink") {
      filter.sink = *value;
    } else if (name == "limit") {
      PGFLOW_RETURN_IF_ERROR(ReadLimit(*value, filter));
    } else {
      return Invalid("'{}' is none of tables, operations, sink, limit", name);
    }
  }
  return filter;
}

std::string TapFilter::Escape(std::string_view text) { return base::PercentEncode(text, "*"); }

std::string TapFilter::ToQuery() const {
  std::string query;
  const auto add = [&query](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    query += fmt::format("{}{}={}", query.empty() ? "" : "&", name, Escape(value));
  };
  std::string list;
  for (const std::string& table : tables) list += (list.empty() ? "" : ",") + table;
  add("tables", list);
  list.clear();
  for (const Operation operation : operations) {
    list += fmt::format("{}{}", list.empty() ? "" : ",", OperationName(operation));
  }
  add("operations", list);
  add("sink", sink);
  add("limit", limit == 0 ? "" : std::to_string(limit));
  return query;
}

bool TapFilter::WantsTable(const schemas::TableName& table) const {
  return tables.empty() || schemas::MatchesAnyGlob(tables, table.ToString());
}

uint64_t TapFilter::CountIn(Batch& batch) const {
  if (tables.empty() && operations.empty()) return batch.row_count();
  if (batch.raw_rows() != nullptr) {
    const bool wanted =
        WantsOperation(Operation::kRead) && WantsTable(batch.raw_rows()->schema->table);
    return wanted ? batch.row_count() : 0;
  }
  const auto events = batch.Events();
  if (!events.ok()) return 0;
  uint64_t count = 0;
  const schemas::TableSchema* table = nullptr;
  bool wanted = false;
  for (const ChangeEvent& event : *events) {
    if (event.schema != table) {
      table = event.schema;
      wanted = WantsTable(table->table);
    }
    if (wanted && WantsOperation(event.operation)) ++count;
  }
  return count;
}

}  // namespace pgflow::engine
