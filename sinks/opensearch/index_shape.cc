#include "sinks/opensearch/index_shape.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include <fmt/ranges.h>

#include "base/status.h"
#include "sinks/encoding/json_string.h"
#include "sinks/opensearch/index_origin.h"
#include "sinks/opensearch/json_scanner.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;

absl::StatusOr<std::vector<int16_t>> ConfiguredKey(const schemas::TableSchema& schema,
                                                   const std::vector<std::string>& names) {
  std::vector<int16_t> key;
  for (const std::string& name : names) {
    const std::optional<size_t> column = schema.FindColumn(name);
    if (!column.has_value()) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                              "tables: key: table {} has no column {}", schema.table.ToString(),
                              name);
    }
    key.push_back(schema.columns[*column].attribute_number);
  }
  return key;
}

// Types between which ALTER TABLE computes values that the log does not bring again, other than by
// writing the same digits or letters in another way.
bool ComputesAnew(const IndexMeta::Field& from, const IndexMeta::Field& to) {
  namespace oid = postgres::oid;
  if (from.type == to.type && from.modifier == to.modifier) return false;
  if (from.type == oid::kBpchar || to.type == oid::kBpchar) return true;
  if (from.type != oid::kNumeric) return false;
  if (to.type == oid::kNumeric) return to.modifier != -1;
  return to.type == oid::kInt2 || to.type == oid::kInt4 || to.type == oid::kInt8;
}

// The value of a new column in rows that are older than it.
std::optional<std::string> DefaultOf(const IndexMeta& meta, const IndexShape& shape,
                                     int16_t attribute) {
  const auto found = meta.defaults.find(attribute);
  if (found == meta.defaults.end()) return std::nullopt;
  const schemas::TableSchema& schema = shape.plan.schema;
  const auto column =
      std::ranges::find(schema.columns, attribute, &schemas::Column::attribute_number);
  if (column == schema.columns.end()) return std::nullopt;
  const std::string& text = found->second;
  std::string value;
  AppendField(shape.plan.columns[static_cast<size_t>(column - schema.columns.begin())].plan,
              {text.data(), static_cast<uint32_t>(text.size()), schemas::ValueKind::kText}, value);
  return value;
}

std::string Quoted(const std::string& field) {
  std::string quoted;
  AppendJsonString(field, quoted);
  return quoted;
}

// Types whose equal values have the same text. 0: it is none of them.
int LinkClass(const schemas::Column& column) {
  namespace oid = postgres::oid;
  switch (column.wire_type != 0 ? column.wire_type : column.type) {
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8:
      return 1;
    case oid::kText:
    case oid::kVarchar:
      return column.type == oid::kText || column.type == oid::kVarchar ? 2 : 0;
    case oid::kUuid:
      return 3;
    default:
      return 0;
  }
}

// Whether values of the type may be stored apart from their row, and an UPDATE that does not touch
// them not send them.
bool MayBeLarge(const schemas::Column& column) {
  // Those of a fixed size: numbers, dates and times, geometry, network cards, the server's own.
  constexpr std::array<postgres::Oid, 31> kFixed = {
      16,  18,  19,  20,  21,   23,   26,   27,   28,   29,   600,  601,  603,  628,  700, 701,
      718, 774, 790, 829, 1082, 1083, 1114, 1184, 1186, 1266, 2950, 3220, 5069, 2205, 24};
  const postgres::Oid type = column.wire_type != 0 ? column.wire_type : column.type;
  return std::ranges::find(kFixed, type) == kFixed.end();
}

// What a pipeline made of a value is no longer the value, which an UPDATE would have to bring.
absl::Status CheckWholeRows(const schemas::TableSchema& schema, const std::string& pipeline) {
  if (schema.replica_identity == schemas::ReplicaIdentity::kFull) return absl::OkStatus();
  for (const schemas::Column& column : schema.columns) {
    if (column.identity || !MayBeLarge(column)) continue;
    return base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "table {}: the pipeline {} needs whole rows, and an UPDATE that does not touch a large "
        "value of column {} does not bring it; ALTER TABLE {} REPLICA IDENTITY FULL, or give the "
        "table pipeline: none",
        schema.table.ToString(), pipeline, column.name, schema.table.ToString());
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> JoinColumn(const JoinOptions& join, const schemas::TableSchema& schema,
                                  const std::string& name) {
  const std::optional<size_t> column = schema.FindColumn(name);
  if (!column.has_value()) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "joins: {} in {}: table {} has no column {}", join.child, join.parent,
                            schema.table.ToString(), name);
  }
  if (LinkClass(schema.columns[*column]) == 0) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "joins: {} in {}: column {} of table {} is neither a whole number, nor "
                            "text, nor uuid: equal values of its type may be written in several "
                            "ways",
                            join.child, join.parent, name, schema.table.ToString());
  }
  return *column;
}

// A row that changes its routing is deleted at the old place: it must be known.
absl::StatusOr<KeyPart> RoutingColumn(const schemas::TableSchema& schema, const std::string& name) {
  const auto wrong = [&](const std::string& why) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "tables: routing: table {}: column {} {}", schema.table.ToString(),
                            name, why);
  };
  const std::optional<size_t> column = schema.FindColumn(name);
  if (!column.has_value()) return wrong("is not there; name one that is");
  if (LinkClass(schema.columns[*column]) == 0) {
    return wrong(
        "is neither a whole number, nor text, nor uuid: equal values of its type may be written "
        "in several ways");
  }
  if (!schema.columns[*column].identity) {
    const std::string table = schemas::QuoteTable(schema.table);
    return wrong(fmt::format(
        "is not in the replica identity, so that a change would not say where its row's document "
        "is; ALTER TABLE {} REPLICA IDENTITY FULL (where the stream has changes from before, copy "
        "the table again: pgflow refresh)",
        table));
  }
  return KeyPart{*column, FindTypeText(schema.columns[*column])};
}

// Other columns, or other texts of their values.
absl::Status CompareRouting(const IndexMeta& meta, const IndexShape& shape) {
  if (!shape.plan.routing.has_value() || meta.columns.empty()) return absl::OkStatus();
  const schemas::Column& column = shape.plan.schema.columns[shape.plan.routing->column];
  const auto known = meta.columns.find(column.attribute_number);
  const bool other = meta.routing > 0 && shape.meta.routing > 0 &&
                     (meta.routing != shape.meta.routing || known == meta.columns.end());
  bool rewritten = false;
  if (known != meta.columns.end() && known->second.type != column.type) {
    schemas::Column was;
    was.type = known->second.type;
    rewritten = LinkClass(was) != LinkClass(column);
  }
  if (!other && !rewritten) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "table {}: column {}, by which its documents are routed, {}; copy the "
                          "table again (pgflow refresh)",
                          shape.meta.table, column.name,
                          other ? "is another one now" : "has another type");
}

absl::Status AddChildSide(const JoinOptions& join, IndexShape& shape) {
  DocumentLink link;
  link.name_json = Quoted(join.LinkField());
  for (const auto& [own, parents] : join.Columns()) {
    PGFLOW_ASSIGN_OR_RETURN(const size_t column, JoinColumn(join, shape.plan.schema, own));
    link.key.push_back({column, FindTypeText(shape.plan.schema.columns[column])});
  }
  shape.plan.links.push_back(std::move(link));
  return absl::OkStatus();
}

// The `on` must be the documents' id.
absl::Status AddParentSide(const JoinOptions& join, IndexShape& shape) {
  const schemas::TableSchema& schema = shape.plan.schema;
  std::vector<std::string> wanted;
  for (const auto& [childs, own] : join.Columns()) {
    PGFLOW_RETURN_IF_ERROR(JoinColumn(join, schema, own).status());
    wanted.push_back(own);
  }
  std::vector<std::string> key;
  for (const KeyPart& part : shape.plan.key) key.push_back(schema.columns[part.column].name);
  if (!key.empty() && wanted != key) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "joins: {} in {}: on must name the parent's key, which is ({}), in "
                            "this order",
                            join.child, join.parent, fmt::format("{}", fmt::join(key, ", ")));
  }
  if (shape.properties.contains(join.as)) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "joins: as: table {} has a column {} already", join.parent, join.as);
  }
  shape.properties[join.as] = {{"type", "nested"}, {"dynamic", false}};
  return absl::OkStatus();
}

// What joins need and the index does not have.
absl::Status CompareJoins(const IndexMeta& meta, const json& properties, const IndexShape& shape,
                          ShapeChange& change) {
  for (const DocumentLink& link : shape.plan.links) {
    if (meta.columns.empty() || properties.contains(JsonText(link.name_json))) continue;
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "joins: the documents of table {} were written without it; copy the "
                            "table again (pgflow refresh)",
                            shape.meta.table);
  }
  std::set<std::string> columns;
  for (const auto& [attribute, field] : shape.meta.columns) columns.insert(field.name);
  for (const auto& [field, mapping] : shape.properties.items()) {
    if (!columns.contains(field) && !properties.contains(field)) change.added[field] = mapping;
  }
  return absl::OkStatus();
}

absl::Status AddJoins(const OpenSearchSinkConfig& config, IndexShape& shape) {
  const schemas::TableName& table = shape.plan.schema.table;
  for (const JoinOptions* join : config.JoinsWithChild(table)) {
    PGFLOW_RETURN_IF_ERROR(AddChildSide(*join, shape));
    shape.properties[join->LinkField()] = {{"type", "keyword"}};
  }
  for (const JoinOptions* join : config.JoinsWithParent(table)) {
    PGFLOW_RETURN_IF_ERROR(AddParentSide(*join, shape));
    shape.properties[join->LinkField()] = {{"type", "keyword"}};
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckJoinTypes(const JoinOptions& join, const schemas::TableSchema& parent,
                            const schemas::TableSchema& child) {
  for (const auto& [childs, parents] : join.Columns()) {
    PGFLOW_ASSIGN_OR_RETURN(const size_t from, JoinColumn(join, child, childs));
    PGFLOW_ASSIGN_OR_RETURN(const size_t to, JoinColumn(join, parent, parents));
    if (LinkClass(child.columns[from]) == LinkClass(parent.columns[to])) continue;
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "joins: column {} of {} and column {} of {} are of different types",
                            childs, join.child, parents, join.parent);
  }
  return absl::OkStatus();
}

absl::StatusOr<IndexShape> MakeIndexShape(const schemas::TableSchema& schema,
                                          const std::vector<int16_t>& known_key,
                                          const OpenSearchSinkConfig& config,
                                          const SearchProduct& product, const json& origin) {
  const SearchTableOptions* options = config.OptionsOf(schema.table);
  std::vector<int16_t> key = schema.HasKey() ? std::vector<int16_t>() : known_key;
  if (options != nullptr) {
    if (!options->key.empty()) {
      PGFLOW_ASSIGN_OR_RETURN(key, ConfiguredKey(schema, options->key));
    }
  }
  const json made_from = origin.is_null() ? OriginOf(config, schema.table) : origin;
  const MappingChoices choices = ChoicesOf(made_from);
  const std::string pipeline = PipelineOf(made_from);
  if (!pipeline.empty()) PGFLOW_RETURN_IF_ERROR(CheckWholeRows(schema, pipeline));
  // By position in the table, however the key was found.
  std::ranges::sort(key);
  std::vector<FieldMapping> mappings;
  mappings.reserve(schema.columns.size());
  for (const schemas::Column& column : schema.columns) {
    const json mapping = choices.columns.value(column.name, json(nullptr));
    const absl::StatusOr<std::string> geo = CheckGeoColumn(column, mapping);
    if (!geo.ok()) return base::Annotate(geo.status(), "table " + schema.table.ToString());
    mappings.push_back(MapColumn(column, choices, product, mapping));
  }
  IndexShape shape;
  PGFLOW_ASSIGN_OR_RETURN(shape.plan, MakeDocumentPlan(schema, key, mappings));
  if (const std::string routing = RoutingOf(made_from); !routing.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(shape.plan.routing, RoutingColumn(schema, routing));
    shape.meta.routing = schema.columns[shape.plan.routing->column].attribute_number;
  }
  // Fields of the pipeline's making.
  shape.properties = pipeline.empty() ? json::object() : choices.columns;
  shape.meta.table = schema.table.ToString();
  shape.meta.origin = made_from;
  for (const KeyPart& part : shape.plan.key) {
    shape.meta.key.push_back(schema.columns[part.column].attribute_number);
  }
  for (size_t i = 0; i < mappings.size(); ++i) {
    const std::string& field = shape.plan.columns[i].name;
    shape.properties[field] = mappings[i].mapping;
    shape.meta.columns[schema.columns[i].attribute_number] = {
        field, mappings[i].mapping, schema.columns[i].type, schema.columns[i].type_modifier,
        static_cast<int32_t>(i)};
  }
  PGFLOW_RETURN_IF_ERROR(AddJoins(config, shape));
  return shape;
}

absl::Status UnknownRouting(const DocumentPlan& plan, std::string_view change) {
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "table {}: {} does not bring the value of column {}, by which its documents are routed; "
      "ALTER "
      "TABLE {} REPLICA IDENTITY FULL, and copy the table again (pgflow refresh)",
      plan.schema.table.ToString(), change, plan.schema.columns[plan.routing->column].name,
      schemas::QuoteTable(plan.schema.table));
}

absl::Status CheckKey(const DocumentPlan& plan) {
  if (!plan.key.empty()) return absl::OkStatus();
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "table {} has no key, so that its rows would have no document id and could not be written "
      "just once; give it a primary key, or name columns that are unique under tables: key, or "
      "leave it out (source tables: exclude)",
      plan.schema.table.ToString());
}

json SettingsOf(const OpenSearchSinkConfig& config, const schemas::TableSchema& schema,
                const json& given) {
  json settings = OriginOf(config, schema.table)["settings"];
  // Each text is two fields; the server's own limit is 1000.
  const size_t fields = 3 * schema.columns.size();
  const char* limit = "index.mapping.total_fields.limit";
  const json& total = MemberOf(MemberOf(MemberOf(given, "index"), "mapping"), "total_fields");
  const bool is_given = !MemberOf(total, "limit").is_null();
  if (fields > 1000 && !is_given && !settings.contains(limit)) settings[limit] = fields;
  return settings;
}

absl::StatusOr<ShapeChange> CompareShapes(const IndexMeta& meta, const json& properties,
                                          const IndexShape& shape) {
  using Kind = ShapeChange::Kind;
  if (!meta.key.empty() && meta.key != shape.meta.key) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "table {}: its key has other columns now, of which its documents' ids "
                            "are not made; copy it again (pgflow refresh)",
                            shape.meta.table);
  }
  PGFLOW_RETURN_IF_ERROR(CompareRouting(meta, shape));
  ShapeChange change;
  change.added = json::object();
  const auto becomes = [&change](Kind kind, std::string reason) {
    if (kind > change.kind) change.reason = std::move(reason);
    change.kind = std::max(change.kind, kind);
  };
  for (const auto& [attribute, field] : shape.meta.columns) {
    const auto known = meta.columns.find(attribute);
    if (known == meta.columns.end()) {
      if (!properties.contains(field.name)) change.added[field.name] = field.mapping;
      becomes(Kind::kAdd, "");
      if (const auto value = DefaultOf(meta, shape, attribute); value.has_value()) {
        change.edits.added.emplace_back(Quoted(field.name), *value);
        becomes(Kind::kRebuild, fmt::format("{} is new and has a default", field.name));
      }
    } else if (known->second.name != field.name) {
      change.edits.renamed.emplace_back(Quoted(known->second.name), Quoted(field.name));
      becomes(Kind::kRebuild, fmt::format("{} is {} now", known->second.name, field.name));
    } else if (known->second.mapping != field.mapping) {
      becomes(Kind::kRebuild, fmt::format("{} has another type", field.name));
      const json& type = MemberOf(field.mapping, "type");
      if (type == "text" || type == "keyword") change.edits.texts.push_back(Quoted(field.name));
    } else if (!(known->second == field)) {
      becomes(Kind::kAdd, "");
    }
    if (known != meta.columns.end() && ComputesAnew(known->second, field)) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                              "table {}: column {} has another type, and its values are computed "
                              "anew without coming again; copy the table again (pgflow refresh)",
                              shape.meta.table, field.name);
    }
  }
  PGFLOW_RETURN_IF_ERROR(CompareJoins(meta, properties, shape, change));
  if (!change.added.empty()) becomes(Kind::kAdd, "");
  for (const auto& [attribute, field] : meta.columns) {
    if (shape.meta.columns.contains(attribute)) continue;
    change.edits.removed.push_back(Quoted(field.name));
    becomes(Kind::kRemove, fmt::format("{} is gone", field.name));
  }
  if (change.kind == Kind::kNone && meta.key != shape.meta.key) change.kind = Kind::kAdd;
  return change;
}

}  // namespace pgflow::sinks
