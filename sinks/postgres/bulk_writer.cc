#include "sinks/postgres/bulk_writer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "postgres/wire/copy_binary.h"

namespace pgflow::sinks {
namespace {

using engine::ChangeEvent;
using schemas::QuoteIdentifier;
using schemas::Value;
using Final = NetEffect::Final;

// One statement's rows: enough to make its overhead vanish, few enough that the server works on one
// slice while the next is encoded.
constexpr size_t kSliceRows = 4096;
constexpr size_t kSliceBytes = 2 * base::kMiB;
constexpr size_t kCopyBufferBytes = 256 * base::kKiB;

size_t BytesOf(const NetEffect::Row& row, const std::vector<uint32_t>& columns) {
  size_t bytes = 0;
  for (uint32_t column : columns) bytes += row.values[column].size + 4;
  return bytes;
}

bool IsInserted(const NetEffect::Row& row) {
  return row.final == Final::kInsert || row.final == Final::kReplace;
}

std::string KeyMatch(const TableBinding& binding, const ArrayColumns& arrays) {
  std::string match;
  for (size_t i = 0; i < arrays.columns().size(); ++i) {
    const uint32_t column = arrays.columns()[i];
    if (!binding.columns[column].is_key) continue;
    const TargetColumn& target = *binding.columns[column].target;
    match += fmt::format("{}{} = {}", match.empty() ? "" : " AND ",
                         target.Compared("t." + QuoteIdentifier(binding.column_name(column))),
                         target.Compared(arrays.ValueSql(i)));
  }
  return match;
}

// Which columns the row leaves as they are, a character each.
std::string UnchangedMarks(const TableBinding& binding, const NetEffect::Row& row) {
  std::string marks(binding.columns.size(), '0');
  for (size_t i = 0; i < marks.size(); ++i) {
    if (row.values[i].is_unchanged()) marks[i] = '1';
  }
  return marks;
}

}  // namespace

template <typename Parameters>
absl::Status BulkWriter::QueueSlices(ApplyPipeline& pipeline, const TableBinding& binding,
                                     const std::string& sql, Parameters& parameters,
                                     const Rows& rows, Found found) {
  PGFLOW_ASSIGN_OR_RETURN(const StatementCache::Prepared* statement,
                          statements_.Other(pipeline, sql, parameters.types()));
  const std::span<const NetEffect::Row* const> all(rows);
  for (size_t begin = 0; begin < all.size();) {
    size_t end = begin;
    size_t bytes = 0;
    while (end < all.size() && end - begin < kSliceRows && bytes < kSliceBytes) {
      bytes += BytesOf(*all[end++], parameters.columns());
    }
    Expectation expectation;
    if (found == Found::kNone) {
      expectation.rows = 0;
    } else {
      expectation.rows = static_cast<int64_t>(end - begin);
      expectation.or_fewer = found == Found::kAtMostAll;
      if (missing_ == MissingRow::kIgnore) expectation.tolerance = Tolerance::kMissingRow;
      expectation.table = binding.sql_name;
    }
    PGFLOW_RETURN_IF_ERROR(pipeline.Send(
        statement->name, parameters.Encode(all.subspan(begin, end - begin)), expectation));
    begin = end;
  }
  return absl::OkStatus();
}

absl::Status BulkWriter::CheckTypes(const TableBinding& binding, const Rows& rows) {
  for (const NetEffect::Row* row : rows) {
    const int wrong = WrongBinaryColumn(binding, {row->values, binding.columns.size()});
    if (wrong >= 0) return WrongBinaryType(binding, static_cast<size_t>(wrong));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> BulkWriter::QueueChanges(ApplyPipeline& pipeline, const NetEffect& net,
                                              Cascaded cascaded, bool& to_copy) {
  to_copy = false;
  const TableBinding& binding = net.binding();
  Rows absent;
  Rows deletes;
  Rows updates;
  Rows inserts;
  RowFormat insert_format = RowFormat::kAny;
  for (const NetEffect::Row& row : net.rows()) {
    if (row.final == Final::kNothing) absent.push_back(&row);
    if (row.final == Final::kDelete || row.final == Final::kReplace) deletes.push_back(&row);
    if (row.final == Final::kUpdate) updates.push_back(&row);
    if (!IsInserted(row)) continue;
    inserts.push_back(&row);
    insert_format = Common(insert_format, FormatOf(binding, {row.values, binding.columns.size()}));
  }
  for (const Rows* rows : {&absent, &deletes, &updates, &inserts}) {
    PGFLOW_RETURN_IF_ERROR(CheckTypes(binding, *rows));
  }
  // In the order of the key the server finds neighbours on the same pages.
  const auto by_key = [](const NetEffect::Row* a, const NetEffect::Row* b) {
    return a->key < b->key;
  };
  std::ranges::sort(deletes, by_key);
  std::ranges::sort(updates, by_key);
  PGFLOW_ASSIGN_OR_RETURN(bool good, QueueAbsent(pipeline, binding, absent));
  if (!good) return false;
  PGFLOW_ASSIGN_OR_RETURN(good, QueueDeletes(pipeline, binding, deletes,
                                             cascaded.deletes ? Found::kAtMostAll : Found::kAll));
  if (!good) return false;
  PGFLOW_ASSIGN_OR_RETURN(good, QueueUpdates(pipeline, binding, updates));
  if (!good || inserts.empty()) return good;
  const bool mixed = insert_format == RowFormat::kMixed;
  if (mixed || inserts.size() <= kFewInserts) {
    PGFLOW_ASSIGN_OR_RETURN(good, QueueInserts(pipeline, binding, inserts));
    if (good || mixed) return good;
  }
  to_copy = true;
  return true;
}

absl::StatusOr<bool> BulkWriter::QueueAbsent(ApplyPipeline& pipeline, const TableBinding& binding,
                                             const Rows& rows) {
  if (rows.empty()) return true;
  if (!arrays_.Choose(binding, binding.key, rows)) return false;
  const std::string sql =
      fmt::format("SELECT FROM {}{} t, {} WHERE {}", binding.target->only(), binding.sql_name,
                  arrays_.FromSql(), KeyMatch(binding, arrays_));
  PGFLOW_RETURN_IF_ERROR(QueueSlices(pipeline, binding, sql, arrays_, rows, Found::kNone));
  return true;
}

absl::StatusOr<bool> BulkWriter::QueueDeletes(ApplyPipeline& pipeline, const TableBinding& binding,
                                              const Rows& rows, Found found) {
  if (rows.empty()) return true;
  if (!arrays_.Choose(binding, binding.key, rows)) return false;
  const bool single = binding.key.size() == 1 && arrays_.ValueSql(0) == "u.c0";
  const std::string sql =
      single ? fmt::format("DELETE FROM {}{} t WHERE {} = ANY ($1)", binding.target->only(),
                           binding.sql_name,
                           binding.columns[binding.key.front()].target->Compared(
                               "t." + QuoteIdentifier(binding.column_name(binding.key.front()))))
             : fmt::format("DELETE FROM {}{} t USING {} WHERE {}", binding.target->only(),
                           binding.sql_name, arrays_.FromSql(), KeyMatch(binding, arrays_));
  PGFLOW_RETURN_IF_ERROR(QueueSlices(pipeline, binding, sql, arrays_, rows, found));
  return true;
}

absl::StatusOr<bool> BulkWriter::QueueUpdates(ApplyPipeline& pipeline, const TableBinding& binding,
                                              const Rows& rows) {
  // Rows that leave the same columns as they are share a statement.
  std::map<std::string, Rows> groups;
  for (const NetEffect::Row* row : rows) groups[UnchangedMarks(binding, *row)].push_back(row);
  for (const auto& [marks, group] : groups) {
    std::vector<uint32_t> columns;
    for (uint32_t i = 0; i < binding.columns.size(); ++i) {
      const ColumnBinding& column = binding.columns[i];
      const bool set = column.written && !column.target->identity_always && marks[i] == '0';
      if (column.is_key || set) columns.push_back(i);
    }
    if (!arrays_.Choose(binding, columns, group)) {
      PGFLOW_ASSIGN_OR_RETURN(const bool good,
                              QueueUpdatesByRow(pipeline, binding, columns, group));
      if (!good) return false;
      continue;
    }
    std::string set;
    for (size_t i = 0; i < columns.size(); ++i) {
      if (binding.columns[columns[i]].is_key) continue;
      set += fmt::format("{}{} = {}", set.empty() ? "" : ", ",
                         QuoteIdentifier(binding.column_name(columns[i])), arrays_.ValueSql(i));
    }
    const std::string match = KeyMatch(binding, arrays_);
    // Nothing to set: the rows must still be there.
    const std::string sql =
        set.empty() ? fmt::format("SELECT FROM {}{} t, {} WHERE {}", binding.target->only(),
                                  binding.sql_name, arrays_.FromSql(), match)
                    : fmt::format("UPDATE {}{} t SET {} FROM {} WHERE {}", binding.target->only(),
                                  binding.sql_name, set, arrays_.FromSql(), match);
    PGFLOW_RETURN_IF_ERROR(QueueSlices(pipeline, binding, sql, arrays_, group));
  }
  return true;
}

absl::StatusOr<bool> BulkWriter::QueueUpdatesByRow(ApplyPipeline& pipeline,
                                                   const TableBinding& binding,
                                                   const std::vector<uint32_t>& columns,
                                                   const Rows& rows) {
  if (!row_array_.Choose(binding, columns, rows)) return false;
  std::string set;
  std::string match;
  for (uint32_t column : columns) {
    const std::string name = QuoteIdentifier(binding.column_name(column));
    std::string& list = binding.columns[column].is_key ? match : set;
    if (!list.empty()) list += binding.columns[column].is_key ? " AND " : ", ";
    if (binding.columns[column].is_key) {
      const TargetColumn& target = *binding.columns[column].target;
      list += fmt::format("{} = {}", target.Compared("t." + name), target.Compared("u." + name));
    } else {
      list += fmt::format("{0} = u.{0}", name);
    }
  }
  if (set.empty()) return false;
  PGFLOW_RETURN_IF_ERROR(
      QueueSlices(pipeline, binding,
                  fmt::format("UPDATE {}{} t SET {} FROM unnest($1) AS u WHERE {}",
                              binding.target->only(), binding.sql_name, set, match),
                  row_array_, rows));
  return true;
}

absl::StatusOr<bool> BulkWriter::QueueInserts(ApplyPipeline& pipeline, const TableBinding& binding,
                                              const Rows& rows) {
  std::vector<uint32_t> columns;
  std::string values;
  for (uint32_t i = 0; i < binding.columns.size(); ++i) {
    if (binding.columns[i].written) columns.push_back(i);
  }
  if (columns.empty() || !arrays_.Choose(binding, columns, rows)) return false;
  for (size_t i = 0; i < columns.size(); ++i) {
    values += (i == 0 ? "" : ", ") + arrays_.ValueSql(i);
  }
  PGFLOW_RETURN_IF_ERROR(
      QueueSlices(pipeline, binding,
                  fmt::format("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}",
                              binding.sql_name, WrittenColumns(binding), values, arrays_.FromSql()),
                  arrays_, rows));
  return true;
}

template <typename ValuesAt>
absl::Status BulkWriter::Copy(const TableBinding& binding, RowFormat format, size_t count,
                              const ValuesAt& values_at, std::stop_token stop) {
  const bool binary = format != RowFormat::kText;
  PGFLOW_RETURN_IF_ERROR(connection_.BeginCopyIn(CopySql(binding, binding.sql_name, binary), stop));
  buffer_.clear();
  if (binary) buffer_.append(postgres::kCopyBinaryHeader);
  for (size_t i = 0; i < count; ++i) {
    const std::span<const Value> values = values_at(i);
    if (binary) {
      AppendBinaryRow(binding, values, buffer_);
    } else {
      AppendTextRow(binding, values, buffer_);
    }
    if (buffer_.size() < kCopyBufferBytes) continue;
    PGFLOW_RETURN_IF_ERROR(connection_.PutCopyData(buffer_, stop));
    buffer_.clear();
  }
  if (binary) buffer_.append(postgres::kCopyBinaryTrailer);
  PGFLOW_RETURN_IF_ERROR(connection_.PutCopyData(buffer_, stop));
  return connection_.EndCopyIn(stop).status();
}

absl::Status BulkWriter::CopyInserts(const NetEffect& net, std::stop_token stop) {
  const TableBinding& binding = net.binding();
  const size_t width = binding.columns.size();
  Rows rows;
  RowFormat format = RowFormat::kAny;
  for (const NetEffect::Row& row : net.rows()) {
    if (!IsInserted(row)) continue;
    rows.push_back(&row);
    format = Common(format, FormatOf(binding, {row.values, width}));
  }
  if (rows.empty() || format == RowFormat::kMixed) return absl::OkStatus();
  return Copy(
      binding, format, rows.size(),
      [&](size_t i) { return std::span<const Value>(rows[i]->values, width); }, stop);
}

absl::StatusOr<bool> BulkWriter::QueueEvents(ApplyPipeline& pipeline, const TableBinding& binding,
                                             std::span<const ChangeEvent* const> events) {
  const size_t width = binding.columns.size();
  std::vector<Value> values(events.size() * width);
  std::vector<NetEffect::Row> kept(events.size());
  Rows rows;
  for (size_t i = 0; i < events.size(); ++i) {
    if (events[i]->after.column_count() != width) return false;
    kept[i].values = values.data() + i * width;
    events[i]->after.Decode(kept[i].values);
    rows.push_back(&kept[i]);
  }
  PGFLOW_RETURN_IF_ERROR(CheckTypes(binding, rows));
  return QueueInserts(pipeline, binding, rows);
}

absl::StatusOr<bool> BulkWriter::CopyEvents(const TableBinding& binding,
                                            std::span<const ChangeEvent* const> events,
                                            std::stop_token stop) {
  RowFormat format = RowFormat::kAny;
  for (const ChangeEvent* event : events) {
    event->after.Decode(values_);
    if (values_.size() != binding.columns.size()) return false;
    const int wrong = WrongBinaryColumn(binding, values_);
    if (wrong >= 0) return WrongBinaryType(binding, static_cast<size_t>(wrong));
    format = Common(format, FormatOf(binding, values_));
  }
  if (format == RowFormat::kMixed) return false;
  PGFLOW_RETURN_IF_ERROR(Copy(
      binding, format, events.size(),
      [&](size_t i) {
        events[i]->after.Decode(values_);
        return std::span<const Value>(values_);
      },
      stop));
  return true;
}

}  // namespace pgflow::sinks
