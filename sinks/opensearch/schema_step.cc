#include "sinks/opensearch/schema_step.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <vector>

#include <fmt/ranges.h>

#include "base/status.h"
#include "sinks/encoding/json_string.h"
#include "sinks/opensearch/index_name.h"
#include "sinks/opensearch/json_scanner.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;
using schemas::Column;

std::string Quoted(const std::string& field) {
  std::string quoted;
  AppendJsonString(field, quoted);
  return quoted;
}

std::map<int16_t, std::string> ReadNames(std::string_view state,
                                         std::map<int16_t, std::string>* missing) {
  std::map<int16_t, std::string> names;
  JsonScanner columns(FindJsonMember(state, "columns"));
  while (columns.Next()) {
    const std::string_view text = FindJsonMember(columns.value(), "number");
    int16_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    names[number] = JsonText(FindJsonMember(columns.value(), "name"));
    const std::string_view value = FindJsonMember(columns.value(), "missing");
    if (missing != nullptr && value.starts_with('"')) (*missing)[number] = JsonText(value);
  }
  return names;
}

// Below all that are there.
int16_t FreshNumber(const std::set<int16_t>& used) {
  return static_cast<int16_t>(std::min<int>(used.empty() ? 0 : *used.begin(), 0) - 1);
}

// The attribute numbers that the message has for the index's columns.
void Renumber(const std::map<int16_t, std::string>& names, IndexMeta& meta) {
  std::map<std::string, int16_t> by_field;
  for (const auto& [number, name] : names) by_field[FieldName(name)] = number;
  std::set<int16_t> used;
  for (const auto& [number, name] : names) used.insert(number);
  std::map<int16_t, IndexMeta::Field> columns;
  std::map<int16_t, int16_t> renumbered;
  for (auto& [number, field] : meta.columns) {
    const auto found = by_field.find(field.name);
    // One that the table does not have is a transformer's.
    const int16_t now = found != by_field.end() ? found->second
                        : number < 0            ? number
                                                : FreshNumber(used);
    used.insert(now);
    renumbered[number] = now;
    columns[now] = std::move(field);
  }
  for (int16_t& part : meta.key) {
    if (const auto found = renumbered.find(part); found != renumbered.end()) part = found->second;
  }
  std::ranges::sort(meta.key);
  if (const auto found = renumbered.find(meta.routing); found != renumbered.end()) {
    meta.routing = found->second;
  }
  meta.columns = std::move(columns);
}

absl::Status Ambiguous(const IndexMeta& meta, const schemas::TableSchema& schema,
                       const std::vector<std::string>& strangers, const std::set<int16_t>& used) {
  std::vector<std::string> lost;
  for (const auto& [number, field] : meta.columns) {
    if (!used.contains(number)) lost.push_back(field.name);
  }
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "table {}: it has the columns ({}) now, its index has ({}) in their place, and the log does "
      "not say which of them are the same under another name; copy the table again (pgflow "
      "refresh). With the DDL capture (replication: {{ddl: true}}) the log says it",
      schema.table.ToString(), fmt::join(strangers, ", "), fmt::join(lost, ", "));
}

// Columns come in the order of their numbers: others in it have exchanged their names.
absl::Status CheckOrder(const IndexMeta& meta, const schemas::TableSchema& schema,
                        const std::vector<int16_t>& numbers) {
  int32_t last = -1;
  for (const int16_t number : numbers) {
    const auto known = meta.columns.find(number);
    if (known == meta.columns.end()) continue;
    if (known->second.place < last) {
      std::vector<std::string> names;
      names.reserve(schema.columns.size());
      for (const Column& column : schema.columns) names.push_back(column.name);
      return Ambiguous(meta, schema, names, {});
    }
    last = known->second.place;
  }
  return absl::OkStatus();
}

}  // namespace

ColumnsChange ReadColumnsChange(std::string_view ddl) {
  ColumnsChange change;
  const std::string_view before = FindJsonMember(ddl, "before");
  const std::string_view after = FindJsonMember(ddl, "after");
  const std::string tag = JsonText(FindJsonMember(ddl, "tag"));
  change.drops = before.starts_with('{') && (after.empty() || after == "null");
  if (!after.starts_with('{')) return change;
  change.creates = !before.starts_with('{') &&
                   (tag.starts_with("CREATE TABLE") || tag.starts_with("SELECT INTO"));
  if (!before.starts_with('{')) return change;
  change.before = ReadNames(before, nullptr);
  change.after = ReadNames(after, &change.missing);
  return change;
}

bool BeginsAt(const ColumnsChange& change, const IndexMeta& meta) {
  std::set<std::string> fields;
  for (const auto& [number, name] : change.before) fields.insert(FieldName(name));
  return std::ranges::all_of(
      meta.columns, [&](const auto& column) { return fields.contains(column.second.name); });
}

FieldEdits FollowColumns(const ColumnsChange& change, IndexMeta& meta, json& properties) {
  FieldEdits edits;
  Renumber(change.before, meta);
  std::map<int16_t, IndexMeta::Field> columns;
  json added = json::object();
  for (auto& [number, field] : meta.columns) {
    const auto now = change.after.find(number);
    const bool gone = now == change.after.end() && change.before.contains(number);
    const std::string name = now == change.after.end() ? field.name : FieldName(now->second);
    if (!gone && name == field.name) {
      columns[number] = std::move(field);
      continue;
    }
    const auto property = properties.find(field.name);
    if (!gone && property != properties.end()) added[name] = *property;
    if (property != properties.end()) properties.erase(property);
    if (gone) {
      edits.removed.push_back(Quoted(field.name));
      continue;
    }
    edits.renamed.emplace_back(Quoted(field.name), Quoted(name));
    field.name = name;
    columns[number] = std::move(field);
  }
  properties.update(added);
  meta.columns = std::move(columns);
  meta.announced = change.after;
  std::erase_if(meta.defaults,
                [&](const auto& each) { return !change.after.contains(each.first); });
  for (const auto& [number, text] : change.missing) {
    if (!meta.columns.contains(number)) meta.defaults[number] = text;
  }
  return edits;
}

absl::StatusOr<schemas::TableSchema> NumberColumns(const IndexMeta& meta,
                                                   const schemas::TableSchema& schema) {
  std::map<std::string, int16_t> known;
  for (const auto& [number, field] : meta.columns) known[field.name] = number;
  for (const auto& [number, name] : meta.announced) known[FieldName(name)] = number;
  std::set<int16_t> used;
  std::vector<int16_t> numbers(schema.columns.size());
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto found = known.find(FieldName(schema.columns[i].name));
    if (found == known.end()) continue;
    // The catalog knows another column of this name, which no message told of.
    const int16_t told = schema.columns[i].attribute_number;
    if (!schema.changes_told && told > 0 && found->second > 0 && told != found->second) continue;
    numbers[i] = found->second;
    used.insert(found->second);
  }
  if (!schema.changes_told) PGFLOW_RETURN_IF_ERROR(CheckOrder(meta, schema, numbers));
  std::vector<std::string> strangers;
  bool unnumbered = false;  // On either side: such columns cannot be told from each other.
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] != 0) continue;
    strangers.push_back(schema.columns[i].name);
    const int16_t told = schema.columns[i].attribute_number;
    if (told > 0 && used.insert(told).second) numbers[i] = told;
    unnumbered = unnumbered || numbers[i] == 0;
  }
  bool lost = false;
  for (const auto& [number, field] : meta.columns) {
    if (used.contains(number)) continue;
    lost = true;
    unnumbered = unnumbered || number < 0;
  }
  if (lost && unnumbered && !strangers.empty()) return Ambiguous(meta, schema, strangers, used);
  schemas::TableSchema numbered = schema;
  for (const auto& [number, field] : meta.columns) used.insert(number);
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] == 0) {
      numbers[i] = FreshNumber(used);
      used.insert(numbers[i]);
    }
    numbered.columns[i].attribute_number = numbers[i];
  }
  return numbered;
}

bool HasColumns(const IndexMeta& meta, const schemas::TableSchema& schema) {
  if (meta.columns.size() != schema.columns.size()) return false;
  return std::ranges::all_of(schema.columns, [&](const Column& column) {
    return std::ranges::any_of(meta.columns, [&](const auto& known) {
      const IndexMeta::Field& field = known.second;
      return field.name == FieldName(column.name) && field.type == column.type &&
             field.modifier == column.type_modifier;
    });
  });
}

}  // namespace pgflow::sinks
