#include "engine/topology/chain_test_runner.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/config/config_spec.h"
#include "base/status.h"
#include "engine/api/batch.h"

namespace pgflow::engine {
namespace {

using schemas::TableSchema;
using schemas::Value;
using schemas::ValueKind;

struct TestTable {
  std::string table;
  config::StringMap columns;
  bool full = false;
};

struct TestEvent {
  std::string operation;
  std::string table;
  config::Node before;
  config::Node after;
  std::vector<std::string> unchanged;
};

struct ChainTest {
  std::string name;
  std::vector<TestTable> tables;
  std::vector<TestEvent> given;
  std::vector<TestEvent> expect;
  std::optional<std::string> error;
};

config::ConfigSpec<TestTable> TestTableSpec() {
  config::ConfigSpec<TestTable> spec;
  spec.Field("table", &TestTable::table, "Its schema.name.").Required();
  spec.Field("columns", &TestTable::columns, "Names and types; `key` behind those of its key.")
      .Required()
      .Example("{id: int4 key, note: text}");
  spec.Field("full", &TestTable::full, "It has REPLICA IDENTITY FULL.");
  return spec;
}

config::ConfigSpec<TestEvent> TestEventSpec() {
  config::ConfigSpec<TestEvent> spec;
  spec.Field("operation", &TestEvent::operation, "read, insert, update or delete.").Required();
  spec.Field("table", &TestEvent::table, "Its schema.name.").Required();
  spec.Field("before", &TestEvent::before, "The old row, or its key: column to value.");
  spec.Field("after", &TestEvent::after, "The new row: column to value.");
  spec.Field("unchanged", &TestEvent::unchanged, "Columns of `after` that were not sent.");
  return spec;
}

config::ConfigSpec<ChainTest> ChainTestSpec() {
  config::ConfigSpec<ChainTest> spec;
  spec.Field("name", &ChainTest::name, "What is tested.").Required();
  spec.Section("tables", &ChainTest::tables, TestTableSpec(), "The tables of the changes.");
  spec.Section("given", &ChainTest::given, TestEventSpec(), "The changes as the source has them.");
  spec.Section("expect", &ChainTest::expect, TestEventSpec(), "What leaves the last transformer.");
  spec.Field("error", &ChainTest::error, "A part of the error that the chain must stop with.");
  return spec;
}

struct TypeFacts {
  std::string_view name;
  postgres::Oid type;
};

postgres::Oid FindType(std::string_view name) {
  namespace oid = postgres::oid;
  static constexpr TypeFacts kTypes[] = {
      {"bool", oid::kBool},           {"boolean", oid::kBool},
      {"int2", oid::kInt2},           {"smallint", oid::kInt2},
      {"int4", oid::kInt4},           {"integer", oid::kInt4},
      {"int8", oid::kInt8},           {"bigint", oid::kInt8},
      {"float4", oid::kFloat4},       {"float8", oid::kFloat8},
      {"numeric", oid::kNumeric},     {"text", oid::kText},
      {"varchar", oid::kVarchar},     {"bpchar", oid::kBpchar},
      {"uuid", oid::kUuid},           {"date", oid::kDate},
      {"timestamp", oid::kTimestamp}, {"timestamptz", oid::kTimestamptz},
      {"json", oid::kJson},           {"jsonb", oid::kJsonb},
      {"bytea", oid::kBytea},
  };
  const auto* found = std::ranges::find(kTypes, name, &TypeFacts::name);
  return found == std::end(kTypes) ? 0 : found->type;
}

absl::StatusOr<schemas::TableSchemaPtr> MakeSchema(const TestTable& table, postgres::Oid oid) {
  const size_t dot = table.table.find('.');
  if (dot == std::string::npos) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "table '{}' names no schema; write 'public.{}'", table.table,
                            table.table);
  }
  auto schema = std::make_shared<TableSchema>();
  schema->table = {table.table.substr(0, dot), table.table.substr(dot + 1)};
  schema->oid = oid;
  if (table.full) schema->replica_identity = schemas::ReplicaIdentity::kFull;
  int16_t number = 0;
  for (const auto& [name, declared] : table.columns) {
    schemas::Column column;
    column.name = name;
    column.attribute_number = ++number;
    std::string_view type = declared;
    const bool key = type.ends_with(" key");
    if (key) type.remove_suffix(4);
    column.identity = key || table.full;
    column.type = FindType(type);
    column.type_name = type;
    if (column.type == 0) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "column '{}' of table {}: the type '{}' is not known to tests; use "
                              "text in its place",
                              name, table.table, type);
    }
    schema->columns.push_back(std::move(column));
  }
  return schema;
}

std::optional<Operation> FindOperation(std::string_view name) {
  for (const Operation operation :
       {Operation::kRead, Operation::kInsert, Operation::kUpdate, Operation::kDelete}) {
    if (OperationName(operation) == name) return operation;
  }
  return std::nullopt;
}

// One test: its tables, its batch, what came out.
class Trial {
 public:
  explicit Trial(const ChainTest& test) : test_(test) {}

  absl::Status Prepare() {
    postgres::Oid oid = postgres::kFirstUserOid;
    for (const TestTable& table : test_.tables) {
      PGFLOW_ASSIGN_OR_RETURN(tables_[table.table], MakeSchema(table, oid++));
    }
    std::vector<ChangeEvent> events;
    events.reserve(test_.given.size());
    for (const TestEvent& given : test_.given) {
      PGFLOW_ASSIGN_OR_RETURN(ChangeEvent event, MakeEvent(given));
      event.ordinal = events.size();
      events.push_back(event);
    }
    PGFLOW_ASSIGN_OR_RETURN(std::vector<ChangeEvent> * of_batch, batch_.MutableEvents());
    *of_batch = std::move(events);
    for (const TestEvent& expected : test_.expect) {
      if (FindOperation(expected.operation).has_value()) continue;
      return base::MakeStatus(absl::StatusCode::kInvalidArgument, "'{}' is no operation",
                              expected.operation);
    }
    return absl::OkStatus();
  }

  std::vector<std::string> Run(std::span<const std::unique_ptr<Transformer>> transformers) {
    absl::Status status = Introduce(transformers);
    for (const auto& transformer : transformers) {
      if (!status.ok()) break;
      status = transformer->Transform(batch_);
    }
    const std::string_view message = base::Message(status);
    if (test_.error.has_value()) {
      if (!status.ok() && message.find(*test_.error) != std::string_view::npos) return {};
      return {fmt::format("- error: {}", *test_.error),
              status.ok() ? "+ no error" : fmt::format("+ error: {}", message)};
    }
    if (!status.ok()) return {fmt::format("+ error: {}", message)};
    std::vector<std::string> expected;
    expected.reserve(test_.expect.size());
    for (const TestEvent& event : test_.expect) expected.push_back(Print(event));
    return Compare(expected, Seen());
  }

 private:
  // Each transformer forgets the test before, and gets to know the tables as they come to it.
  absl::Status Introduce(std::span<const std::unique_ptr<Transformer>> transformers) const {
    std::vector<schemas::TableSchemaPtr> tables;
    for (const auto& [name, schema] : tables_) tables.push_back(schema);
    for (size_t i = 0; i < transformers.size(); ++i) {
      PGFLOW_RETURN_IF_ERROR(transformers[i]->Open({"test", "", i}));
      if (transformers[i]->looked_up() == nullptr && i + 1 == transformers.size()) break;
      for (const schemas::TableSchemaPtr& table : tables) transformers[i]->Introduce(table);
      std::vector<schemas::TableSchemaPtr> next;
      for (const schemas::TableSchemaPtr& table : tables) {
        const auto behind = transformers[i]->TransformSchema(table);
        if (behind.ok() && *behind != nullptr) next.push_back(*behind);
      }
      tables = std::move(next);
    }
    return absl::OkStatus();
  }
  absl::StatusOr<ChangeEvent> MakeEvent(const TestEvent& given) {
    const auto table = tables_.find(given.table);
    const std::optional<Operation> operation = FindOperation(given.operation);
    if (table == tables_.end() || !operation.has_value()) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "'{}' is no operation, or '{}' none of `tables`", given.operation,
                              given.table);
    }
    const TableSchema& schema = *table->second;
    batch_.KeepAlive(table->second);
    ChangeEvent event;
    event.operation = *operation;
    event.schema = &schema;
    const bool wants_after = *operation != Operation::kDelete;
    const bool wants_before = *operation == Operation::kDelete;
    if (given.after.is_map() != wants_after || (wants_before && !given.before.is_map())) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "{} of {}: a delete has `before`, everything else `after`",
                              given.operation, given.table);
    }
    if (given.after.is_map()) {
      PGFLOW_ASSIGN_OR_RETURN(event.after, MakeRow(given.after, given.unchanged, schema));
    }
    if (given.before.is_map()) {
      PGFLOW_ASSIGN_OR_RETURN(event.before, MakeRow(given.before, {}, schema));
      const bool full = schema.replica_identity == schemas::ReplicaIdentity::kFull;
      event.before_image = full ? BeforeImage::kFull : BeforeImage::kKey;
    }
    return event;
  }

  absl::StatusOr<schemas::RowView> MakeRow(const config::Node& columns,
                                           const std::vector<std::string>& unchanged,
                                           const TableSchema& schema) {
    std::span<Value> row = batch_.NewValues(schema.columns.size());
    const auto find = [&](const std::string& name) -> absl::StatusOr<Value*> {
      const std::optional<size_t> column = schema.FindColumn(name);
      if (column.has_value()) return &row[*column];
      return base::MakeStatus(absl::StatusCode::kInvalidArgument, "table {} has no column '{}'",
                              schema.table.ToString(), name);
    };
    for (const auto& [key, value] : columns.entries()) {
      PGFLOW_ASSIGN_OR_RETURN(Value * target, find(key.text()));
      if (value.is_null()) continue;
      const std::string_view text = batch_.Store(value.text());
      *target = {text.data(), static_cast<uint32_t>(text.size()), ValueKind::kText};
    }
    for (const std::string& name : unchanged) {
      PGFLOW_ASSIGN_OR_RETURN(Value * target, find(name));
      target->kind = ValueKind::kUnchanged;
    }
    return schemas::RowView::Values(row);
  }

  // {column=value, ...}; NULLs are left out.
  static std::string Print(const std::map<std::string, std::string>& columns) {
    std::string text;
    for (const auto& [name, value] : columns) {
      text += fmt::format("{}{}={}", text.empty() ? "" : ", ", name, value);
    }
    return "{" + text + "}";
  }

  static std::string Print(const TestEvent& event) {
    std::string text = event.operation + " " + event.table;
    const auto add = [&text](std::string_view what, const config::Node& row,
                             const std::vector<std::string>& unchanged) {
      if (!row.is_map()) return;
      std::map<std::string, std::string> columns;
      for (const auto& [key, value] : row.entries()) {
        if (!value.is_null()) columns[key.text()] = "'" + value.text() + "'";
      }
      for (const std::string& name : unchanged) columns[name] = "(unchanged)";
      text += fmt::format(" {} {}", what, Print(columns));
    };
    add("before", event.before, {});
    add("after", event.after, event.unchanged);
    return text;
  }

  static std::string Print(const ChangeEvent& event) {
    std::string text =
        fmt::format("{} {}", OperationName(event.operation), event.schema->table.ToString());
    const auto add = [&](std::string_view what, const schemas::RowView& row) {
      if (!row.exists()) return;
      std::vector<Value> values;
      row.Decode(values);
      std::map<std::string, std::string> columns;
      for (size_t i = 0; i < values.size() && i < event.schema->columns.size(); ++i) {
        const Value& value = values[i];
        if (value.is_null()) continue;
        columns[event.schema->columns[i].name] =
            value.is_unchanged() ? "(unchanged)" : fmt::format("'{}'", value.view());
      }
      text += fmt::format(" {} {}", what, Print(columns));
    };
    add("before", event.before);
    add("after", event.after);
    return text;
  }

  std::vector<std::string> Seen() {
    std::vector<std::string> seen;
    const absl::StatusOr<std::span<const ChangeEvent>> events = batch_.Events();
    if (!events.ok()) return {std::string(base::Message(events.status()))};
    seen.reserve(events->size());
    for (const ChangeEvent& event : *events) seen.push_back(Print(event));
    return seen;
  }

  // Like diff: "  " both, "- " expected only, "+ " seen only.
  static std::vector<std::string> Compare(const std::vector<std::string>& expected,
                                          const std::vector<std::string>& seen) {
    if (expected == seen) return {};
    std::vector<std::string> lines;
    for (size_t i = 0; i < std::max(expected.size(), seen.size()); ++i) {
      const bool both = i < expected.size() && i < seen.size() && expected[i] == seen[i];
      if (both) {
        lines.push_back("  " + seen[i]);
        continue;
      }
      if (i < expected.size()) lines.push_back("- " + expected[i]);
      if (i < seen.size()) lines.push_back("+ " + seen[i]);
    }
    return lines;
  }

  const ChainTest& test_;
  std::map<std::string, schemas::TableSchemaPtr> tables_;
  Batch batch_{nullptr, {}, {TransactionSpan{}}};
};

}  // namespace

std::vector<ChainTestResult> RunChainTests(
    const config::Node& tests, std::span<const std::unique_ptr<Transformer>> transformers,
    config::Problems& problems) {
  std::vector<ChainTestResult> results;
  if (!tests.is_list()) {
    problems.Add(tests, "'tests' must be a list: begin each test with '- '");
    return results;
  }
  const size_t before = problems.size();
  for (const config::Node& item : tests.items()) {
    ChainTest test;
    if (!ChainTestSpec().Parse(item, test, problems)) continue;
    Trial trial(test);
    const absl::Status prepared = trial.Prepare();
    if (!prepared.ok()) {
      problems.Add(item, std::string(base::Message(prepared)));
    } else if (problems.size() == before) {
      results.push_back({test.name, trial.Run(transformers)});
    }
  }
  return results;
}

}  // namespace pgflow::engine
