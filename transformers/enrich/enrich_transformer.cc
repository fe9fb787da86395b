#include "transformers/enrich/enrich_transformer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/status.h"
#include "schemas/glob.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/row_name.h"
#include "sinks/encoding/type_binary.h"
#include "sinks/encoding/type_text.h"
#include "transformers/enrich/column_text.h"

namespace pgflow::transformers {

using engine::ChangeEvent;
using engine::Position;
using schemas::Column;
using schemas::TableSchema;
using schemas::Value;
using schemas::ValueKind;

namespace {

absl::Status Misfit(const TableSchema& schema, std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "enrich: table {}: {}",
                          schema.table.ToString(), why);
}

postgres::Oid WireTypeOf(const Column& column) {
  return column.wire_type != 0 ? column.wire_type : column.type;
}

// Whether equal values of the two have one text.
bool AreComparable(const Column& one, const Column& other) {
  namespace oid = postgres::oid;
  const auto family = [](postgres::Oid type) {
    const bool integer = type == oid::kInt2 || type == oid::kInt4 || type == oid::kInt8;
    if (integer) return oid::kInt8;
    return type == oid::kVarchar || type == oid::kName ? oid::kText : type;
  };
  const postgres::Oid type = family(WireTypeOf(one));
  // Equal numerics are written in several ways, and char(n) is padded.
  return type == family(WireTypeOf(other)) && type != oid::kNumeric && type != oid::kBpchar;
}

// Nothing when one of them is NULL: that equals nothing. kInvalidArgument: one was not sent.
absl::StatusOr<std::optional<std::string>> KeyText(const TableSchema& schema,
                                                   const std::vector<Value>& row,
                                                   const std::vector<size_t>& columns) {
  std::string key;
  for (const size_t index : columns) {
    if (row[index].is_null()) return std::nullopt;
    const Column& column = schema.columns[index];
    std::string text;
    if (!sinks::AppendValueText(row[index], sinks::FindTypeText(column), text)) {
      return base::MakeStatus(
          absl::StatusCode::kInvalidArgument, "enrich: {}, column '{}': {}",
          sinks::RowName(schema, row), column.name,
          row[index].is_unchanged()
              ? "the source did not send it, because this update left its large value as it was; "
                "set REPLICA IDENTITY FULL"
              : "its value cannot be read");
    }
    key += fmt::format("{}:{}", text.size(), text);
  }
  return key;
}

// As of a row's other values: one that is added must not be the only one of its form.
bool IsBinary(const engine::Batch& batch, const std::vector<Value>& row) {
  if (batch.is_snapshot()) return batch.snapshot_format() == engine::CopyFormat::kBinary;
  return std::ranges::find(row, ValueKind::kBinary, &Value::kind) != row.end();
}

Position PlaceOf(const engine::Batch& batch, const ChangeEvent& event) {
  const Position position = batch.PositionOf(event);
  return batch.is_snapshot() ? LookupStore::PlaceOf(position.commit_lsn) : position;
}

Position JustBefore(Position at) {
  if (at.ordinal > 0) return {at.commit_lsn, at.ordinal - 1};
  return LookupStore::PlaceOf(at.commit_lsn);
}

std::string FileOf(const engine::TransformerContext& context) {
  return fmt::format("enrich-{}-{}.db", context.pipeline, context.place);
}

}  // namespace

config::ConfigSpec<EnrichConfig> EnrichSpec() {
  config::ConfigSpec<EnrichConfig> spec;
  spec.Field("table", &EnrichConfig::table,
             "Pattern (* and ?) of schema.name of the tables that get columns.")
      .Required()
      .Example("public.orders");
  spec.Field("from", &EnrichConfig::from,
             "The table, schema.name, in which rows are looked up. It has to be one of the "
             "source's tables, as it comes here; a `filter` behind this keeps it from the sinks.")
      .Required()
      .Example("public.customers");
  spec.Field("on", &EnrichConfig::on,
             "How a row is found: columns of `table`, each with the column of `from` that it "
             "equals. Those of `from` must be its key (primary key, or replica identity).")
      .Required()
      .Example("{customer_id: id}");
  spec.Field("columns", &EnrichConfig::columns,
             "The new columns, each with the column of `from` whose value it gets: that of the "
             "row as it was at the change's own place in the stream (of a snapshot row: as the "
             "snapshot saw it).")
      .Required()
      .Example("{customer_name: name, country: country}");
  spec.Field("no_match", &EnrichConfig::no_match,
             "What happens when there is no such row: the new columns are NULL, or the pipeline "
             "stops (or the dead letter gets the row). NULL in a column of `on` gives NULL always.")
      .Choice({{"null", NoMatch::kNull}, {"stop", NoMatch::kStop}});
  spec.Field("memory", &EnrichConfig::memory,
             "Rows of `from` in memory, at most; all of them are in the state directory.")
      .Range(config::ByteSize{1 << 20}, config::ByteSize{uint64_t{1} << 40});
  return spec;
}

EnrichTransformer::EnrichTransformer(EnrichConfig config, schemas::TableName from)
    : config_(std::move(config)), from_(std::move(from)) {}

absl::StatusOr<std::unique_ptr<engine::Transformer>> EnrichTransformer::Make(EnrichConfig config) {
  const size_t dot = config.from.find('.');
  if (dot == std::string::npos || dot == 0 || dot + 1 == config.from.size()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "from: '{}' is no schema.name; public.{}?", config.from, config.from);
  }
  if (config.table != "*" && config.table.find('.') == std::string::npos) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "table: pattern '{}' names no schema; write 'public.{}' or '*.{}'",
                            config.table, config.table, config.table);
  }
  schemas::TableName from{config.from.substr(0, dot), config.from.substr(dot + 1)};
  std::unique_ptr<EnrichTransformer> made(
      new EnrichTransformer(std::move(config), std::move(from)));
  // Until Open, and where there is none (tests of rules): in memory.
  PGFLOW_RETURN_IF_ERROR(made->Open({}));
  return made;
}

absl::Status EnrichTransformer::Open(const engine::TransformerContext& context) {
  std::string fingerprint = context.log + "\n" + config_.from;
  for (const auto& [column, other] : config_.on) fingerprint += fmt::format("\n{}", other);
  for (const auto& [column, other] : config_.columns) fingerprint += fmt::format("\n={}", other);
  PGFLOW_ASSIGN_OR_RETURN(store_, LookupStore::Open(context.state_directory, FileOf(context),
                                                    fingerprint, config_.memory.bytes));
  std::vector<Column> columns = ColumnsOfText(store_->description());
  if (columns.empty()) return absl::OkStatus();
  base::MutexLock lock(&mutex_);
  columns_ = std::move(columns);
  return absl::OkStatus();
}

// It is a copy of rows that others may not read.
absl::Status EnrichTransformer::Forget(const engine::TransformerContext& context) {
  return engine::SqliteDatabase::Remove(context.state_directory, FileOf(context));
}

bool EnrichTransformer::IsChosen(const schemas::TableName& table) const {
  return schemas::MatchesGlob(config_.table, table.ToString());
}

absl::StatusOr<EnrichTransformer::LookupShape> EnrichTransformer::DeriveShape(
    const TableSchema& schema) const {
  LookupShape shape;
  std::vector<Column> columns;
  const auto find = [&](const std::string& name, std::vector<size_t>& indices) -> absl::Status {
    const std::optional<size_t> index = schema.FindColumn(name);
    if (!index.has_value()) {
      return Misfit(schema, fmt::format("it has no column '{}' to look up", name));
    }
    indices.push_back(*index);
    columns.push_back(schema.columns[*index]);
    return absl::OkStatus();
  };
  for (const auto& [column, key] : config_.on) PGFLOW_RETURN_IF_ERROR(find(key, shape.keys));
  const auto keys = static_cast<size_t>(std::ranges::count_if(
      schema.columns, [&schema](const Column& column) { return schema.IsKey(column); }));
  const bool is_key = std::ranges::all_of(
      shape.keys, [&schema](size_t index) { return schema.IsKey(schema.columns[index]); });
  if (!is_key || keys != shape.keys.size()) {
    return Misfit(schema,
                  "`on` must name the columns of its key, all of them: a row is looked up "
                  "by its primary key, or by its replica identity");
  }
  for (const auto& [added, value] : config_.columns) {
    PGFLOW_RETURN_IF_ERROR(find(value, shape.values));
  }
  shape.description = TextOfColumns(columns);
  return shape;
}

absl::StatusOr<EnrichTransformer::ShapePtr> EnrichTransformer::ShapeOf(
    const schemas::TableSchemaPtr& schema) {
  return shapes_.Get(schema,
                     [this](const schemas::TableSchemaPtr& seen) { return DeriveShape(*seen); });
}

absl::Status EnrichTransformer::SetShape(const schemas::TableSchemaPtr& schema) {
  PGFLOW_ASSIGN_OR_RETURN(const ShapePtr shape, ShapeOf(schema));
  base::MutexLock lock(&mutex_);
  const std::string known = TextOfColumns(columns_);
  if (known == shape->description) return absl::OkStatus();
  const bool first = columns_.empty();
  columns_ = ColumnsOfText(shape->description);
  PGFLOW_RETURN_IF_ERROR(store_->Describe(shape->description));
  if (first) return absl::OkStatus();
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "enrich: the type of a column of {} that is looked up has changed; change "
      "the column on the targets, then start pgflow again",
      from_.ToString());
}

void EnrichTransformer::Introduce(const schemas::TableSchemaPtr& schema) {
  if (schema->table != from_) return;
  const absl::StatusOr<ShapePtr> shape = ShapeOf(schema);
  if (!shape.ok()) return;  // Said by TransformSchema.
  base::MutexLock lock(&mutex_);
  if (columns_.empty()) columns_ = ColumnsOfText((*shape)->description);
}

absl::StatusOr<std::vector<Column>> EnrichTransformer::KnownColumns() const {
  base::MutexLock lock(&mutex_);
  if (!columns_.empty()) return columns_;
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "enrich: rows are looked up in {}, which is none of the tables that come "
                          "here; add it to the source's tables",
                          from_.ToString());
}

absl::StatusOr<EnrichTransformer::Plan> EnrichTransformer::Derive(
    const schemas::TableSchemaPtr& schema) const {
  Plan plan;
  plan.schema = schema;
  plan.looked_up = schema->table == from_;
  if (plan.looked_up) PGFLOW_RETURN_IF_ERROR(DeriveShape(*schema).status());
  if (!IsChosen(schema->table)) return plan;
  if (plan.looked_up && config_.table != config_.from) return plan;  // Only by its own name.
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<Column> known, KnownColumns());
  plan.enriched = true;
  plan.first_added = schema->columns.size();
  size_t at = 0;
  for (const auto& [name, key] : config_.on) {
    const std::optional<size_t> index = schema->FindColumn(name);
    if (!index.has_value()) {
      return Misfit(*schema, fmt::format("it has no column '{}', which `on` names", name));
    }
    const Column& other = known[at++];
    if (!AreComparable(schema->columns[*index], other)) {
      return Misfit(
          *schema, fmt::format("column '{}' ({}) cannot be compared with '{}' ({}) of {}: "
                               "their types must be the same, or both integers, or both "
                               "texts; neither numeric nor char(n)",
                               name, schema->columns[*index].type_name, other.name, other.type_name,
                               from_.ToString()));
    }
    plan.keys.push_back(*index);
  }
  auto derived = std::make_shared<TableSchema>(*schema);
  for (const auto& [name, value] : config_.columns) {
    if (schema->FindColumn(name).has_value()) {
      return Misfit(*schema, fmt::format("it has a column '{}' already", name));
    }
    Column column = known[at++];
    column.name = name;
    column.attribute_number = 0;
    column.primary_key = 0;
    column.identity = false;
    derived->columns.push_back(std::move(column));
  }
  plan.schema = std::move(derived);
  return plan;
}

absl::StatusOr<EnrichTransformer::PlanPtr> EnrichTransformer::PlanOf(
    const schemas::TableSchemaPtr& schema) {
  return plans_.Get(schema, [this](const schemas::TableSchemaPtr& seen) { return Derive(seen); });
}

absl::StatusOr<schemas::TableSchemaPtr> EnrichTransformer::TransformSchema(
    const schemas::TableSchemaPtr& schema) {
  PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(schema));
  return plan->schema;
}

absl::Status EnrichTransformer::Learn(const schemas::TableSchemaPtr& schema, postgres::Lsn point,
                                      const engine::RowSource& rows) {
  PGFLOW_RETURN_IF_ERROR(SetShape(schema));
  return store_->Learn(point, [&](LookupStore::Writer& writer) {
    return rows([&](engine::Batch batch) -> absl::Status {
      PGFLOW_ASSIGN_OR_RETURN(std::vector<ChangeEvent> * events, batch.MutableEvents());
      for (const ChangeEvent& event : *events) {
        if (event.schema->table != from_) continue;
        PGFLOW_RETURN_IF_ERROR(Note(batch, event, batch.OwnerOf(event.schema), writer));
      }
      return absl::OkStatus();
    });
  });
}

absl::Status EnrichTransformer::Resume(postgres::Lsn) {
  if (store_->learned().has_value()) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "enrich: nothing is known of the rows of {} yet", from_.ToString());
}

absl::Status EnrichTransformer::Transform(engine::Batch& batch) {
  if (const engine::CopyRows* rows = batch.raw_rows()) {
    PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(rows->schema));
    if (!plan->enriched) return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(std::vector<ChangeEvent> * events, batch.MutableEvents());
  // The rows of a snapshot were learnt before it began.
  const bool notes =
      !batch.is_snapshot() && std::ranges::any_of(*events, [this](const ChangeEvent& event) {
        return event.schema->table == from_ && event.operation != engine::Operation::kSchemaChange;
      });
  if (!notes) return TransformEvents(batch, *events, nullptr);
  // Before the store is held.
  const TableSchema* seen = nullptr;
  for (const ChangeEvent& event : *events) {
    if (event.operation == engine::Operation::kSchemaChange || event.schema == seen) continue;
    seen = event.schema;
    if (seen->table == from_) PGFLOW_RETURN_IF_ERROR(SetShape(batch.OwnerOf(seen)));
  }
  return store_->Write(
      [&](LookupStore::Writer& writer) { return TransformEvents(batch, *events, &writer); });
}

absl::Status EnrichTransformer::TransformEvents(engine::Batch& batch,
                                                std::vector<ChangeEvent>& events,
                                                LookupStore::Writer* writer) {
  const TableSchema* schema = nullptr;
  schemas::TableSchemaPtr owner;
  PlanPtr plan;
  for (ChangeEvent& event : events) {
    if (event.operation == engine::Operation::kSchemaChange) {
      event.ddl_transformed |= IsChosen(event.schema->table);
      continue;
    }
    if (event.schema != schema) {
      schema = event.schema;
      owner = batch.OwnerOf(schema);
      PGFLOW_ASSIGN_OR_RETURN(plan, PlanOf(owner));
      if (plan->enriched) batch.KeepAlive(plan->schema);
    }
    absl::Status status;
    if (plan->looked_up && writer != nullptr) status = Note(batch, event, owner, *writer);
    if (status.ok() && plan->enriched) status = Enrich(batch, event, *plan, writer);
    if (!status.ok() && !batch.is_snapshot()) {
      base::SetPayload(status, engine::kCulpritPayload, batch.PositionOf(event).ToString());
    }
    PGFLOW_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::Status EnrichTransformer::Note(const engine::Batch& batch, const ChangeEvent& event,
                                     const schemas::TableSchemaPtr& schema,
                                     LookupStore::Writer& writer) {
  const Position at = PlaceOf(batch, event);
  if (event.operation == engine::Operation::kTruncate) return writer.Clear(at);
  PGFLOW_ASSIGN_OR_RETURN(const ShapePtr shape, ShapeOf(schema));
  Row before;
  Row after;
  std::optional<std::string> old_key;
  std::optional<std::string> key;
  if (event.before.exists()) {
    event.before.Decode(before);
    PGFLOW_ASSIGN_OR_RETURN(old_key, KeyText(*schema, before, shape->keys));
  }
  if (event.after.exists()) {
    event.after.Decode(after);
    PGFLOW_ASSIGN_OR_RETURN(key, KeyText(*schema, after, shape->keys));
  }
  if (!old_key.has_value()) old_key = key;
  LookupRowPtr old;
  auto row = std::make_shared<LookupRow>();
  for (const size_t index : event.after.exists() ? shape->values : std::vector<size_t>()) {
    LookupRow::Field& field = row->fields.emplace_back();
    if (!after[index].is_unchanged()) {
      field = {after[index].kind, std::string(after[index].view())};
      continue;
    }
    if (old == nullptr && old_key.has_value()) {
      PGFLOW_ASSIGN_OR_RETURN(old, writer.Find(*old_key, JustBefore(at)));
    }
    const size_t place = row->fields.size() - 1;
    if (old != nullptr && place < old->fields.size()) field = old->fields[place];
  }
  if (old_key.has_value() && (!event.after.exists() || old_key != key)) {
    PGFLOW_RETURN_IF_ERROR(writer.Put(*old_key, at, nullptr));
  }
  if (!key.has_value()) return absl::OkStatus();
  return writer.Put(*key, at, std::move(row));
}

absl::Status EnrichTransformer::Enrich(engine::Batch& batch, ChangeEvent& event, const Plan& plan,
                                       LookupStore::Writer* writer) {
  const Position at = PlaceOf(batch, event);
  Row before;
  Row after;
  if (event.before.exists()) event.before.Decode(before);
  if (event.after.exists()) {
    event.after.Decode(after);
    Row keys = after;
    for (const size_t index : plan.keys) {
      if (keys[index].is_unchanged() && event.before_image == engine::BeforeImage::kFull) {
        keys[index] = before[index];
      }
    }
    PGFLOW_ASSIGN_OR_RETURN(const schemas::RowView extended,
                            Extended(batch, event, keys, plan, at, writer));
    // What was not sent stays so, whatever it was looked up by.
    Row values;
    extended.Decode(values);
    std::ranges::copy(after, values.begin());
    std::span<Value> stored = batch.NewValues(values.size());
    std::ranges::copy(values, stored.begin());
    event.after = schemas::RowView::Values(stored);
  }
  if (event.before.exists()) {
    const bool whole = event.before_image == engine::BeforeImage::kFull;
    if (whole) {
      PGFLOW_ASSIGN_OR_RETURN(event.before,
                              Extended(batch, event, before, plan, JustBefore(at), writer));
    } else {
      std::span<Value> row = batch.NewValues(plan.schema->columns.size());
      std::ranges::copy(before, row.begin());
      event.before = schemas::RowView::Values(row);
    }
  }
  event.schema = plan.schema.get();
  return absl::OkStatus();
}

absl::StatusOr<schemas::RowView> EnrichTransformer::Extended(engine::Batch& batch,
                                                             const ChangeEvent& event,
                                                             const Row& row, const Plan& plan,
                                                             Position at,
                                                             LookupStore::Writer* writer) {
  std::span<Value> extended = batch.NewValues(plan.schema->columns.size());
  std::ranges::copy(row, extended.begin());
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<std::string> key,
                          KeyText(*event.schema, row, plan.keys));
  if (!key.has_value()) return schemas::RowView::Values(extended);
  PGFLOW_ASSIGN_OR_RETURN(const LookupRowPtr found,
                          writer != nullptr ? writer->Find(*key, at) : store_->Find(*key, at));
  if (found == nullptr) {
    // Of an old row nobody asks any more.
    const bool is_old = !event.after.exists() || at < PlaceOf(batch, event);
    if (config_.no_match == NoMatch::kNull || is_old) return schemas::RowView::Values(extended);
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "enrich: {}: {} has no such row (no_match: stop)",
                            sinks::RowName(*event.schema, row), from_.ToString());
  }
  const bool binary = IsBinary(batch, row);
  for (size_t i = 0; i < found->fields.size(); ++i) {
    const size_t index = plan.first_added + i;
    PGFLOW_ASSIGN_OR_RETURN(extended[index],
                            ValueFor(batch, found->fields[i], plan.schema->columns[index], binary));
  }
  return schemas::RowView::Values(extended);
}

absl::StatusOr<Value> EnrichTransformer::ValueFor(engine::Batch& batch,
                                                  const LookupRow::Field& field,
                                                  const Column& column, bool binary) const {
  Value value;
  if (field.kind == ValueKind::kNull) return value;
  const ValueKind wanted = binary ? ValueKind::kBinary : ValueKind::kText;
  std::string bytes = field.bytes;
  bool good = true;
  if (field.kind != wanted && binary) {
    bytes.clear();
    good = sinks::AppendBinaryOfText(field.bytes, WireTypeOf(column), bytes);
  } else if (field.kind != wanted) {
    const Value stored{field.bytes.data(), static_cast<uint32_t>(field.bytes.size()), field.kind};
    bytes.clear();
    good = sinks::AppendValueText(stored, sinks::FindTypeText(column), bytes);
  }
  if (!good) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "enrich: column '{}': a value of the type {} that came in one form "
                            "cannot be written in the other",
                            column.name, column.type_name);
  }
  const std::string_view stored = batch.Store(bytes);
  return Value{stored.data(), static_cast<uint32_t>(stored.size()), wanted};
}

std::vector<engine::Finding> EnrichTransformer::Check(
    std::span<const schemas::TableSchemaPtr> tables) const {
  std::vector<engine::Finding> findings =
      engine::UnmatchedPatterns(std::span(&config_.table, 1), tables);
  const bool there = std::ranges::any_of(
      tables, [this](const schemas::TableSchemaPtr& table) { return table->table == from_; });
  if (!there) {
    findings.push_back({engine::Finding::Severity::kError, "table " + from_.ToString(),
                        "rows are looked up in it, and it is none of the tables that come here",
                        "add it to the source's tables; a filter behind the look-up keeps it from "
                        "the sinks"});
  }
  return findings;
}

engine::ComponentType<engine::Transformer> EnrichType() {
  return engine::MakeComponentType<engine::Transformer, EnrichConfig>(
      "enrich", "Adds columns of another table's row, as it was at the change's own place.", "",
      &EnrichSpec, &EnrichTransformer::Make);
}

}  // namespace pgflow::transformers
