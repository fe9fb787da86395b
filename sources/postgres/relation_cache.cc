#include "sources/postgres/relation_cache.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "sources/postgres/changed_definitions.h"
#include "sources/postgres/ddl_capture.h"
#include "sources/postgres/relation_change.h"
#include "sources/postgres/slot.h"

namespace pgflow::sources {
namespace {

using postgres::Oid;
using postgres::RelationColumn;
using postgres::RelationMessage;
using schemas::Column;
using schemas::TableSchema;
using schemas::TableSchemaPtr;

schemas::TableName NameOf(const RelationMessage& message) {
  return {message.schema.empty() ? "pg_catalog" : std::string(message.schema),
          std::string(message.name)};
}

bool Describes(const RelationMessage& message, const TableSchema& schema) {
  if (NameOf(message) != schema.table || message.column_count != schema.columns.size() ||
      message.replica_identity != static_cast<char>(schema.replica_identity)) {
    return false;
  }
  const std::vector<RelationColumn> columns = message.Columns();
  for (size_t i = 0; i < columns.size(); ++i) {
    const Column& column = schema.columns[i];
    if (columns[i].name != column.name || columns[i].type != column.type ||
        columns[i].type_modifier != column.type_modifier || columns[i].key != column.identity) {
      return false;
    }
  }
  return true;
}

const Column* FindByName(const TableSchema* schema, std::string_view name) {
  if (schema == nullptr) return nullptr;
  const std::optional<size_t> index = schema->FindColumn(name);
  return index.has_value() ? &schema->columns[*index] : nullptr;
}

}  // namespace

absl::Status RelationCache::Load(const std::string& slot, const std::string& publication,
                                 std::stop_token stop) {
  stop_ = std::move(stop);
  connection_.reset();  // It listens to the stop token that it was made with.
  slot_ = slot;
  publication_ = publication;
  // The server sends transactions in progress once more, from their beginning.
  while (!learnt_.empty()) Settle(learnt_.back().in.top, false);
  PGFLOW_RETURN_IF_ERROR(ReadTables());
  if (ddl_ == DdlSource::kCapture) {
    PGFLOW_ASSIGN_OR_RETURN(secret_, ReadCaptureSecret(*connection_, stop_));
  }
  wants_binary_ = binary_ != BinaryMode::kOff && !requires_text_;
  if (binary_ == BinaryMode::kAuto) {
    for (const auto& [oid, table] : catalog_) {
      if (table.binary_obstacle.empty()) continue;
      if (wants_binary_) {
        base::LogInfo("table {}: {}; the stream uses text format", table.schema->table.ToString(),
                      table.binary_obstacle);
      }
      wants_binary_ = false;
    }
  }
  return absl::OkStatus();
}

absl::Status RelationCache::Connect() {
  if (connection_ != nullptr && connection_->StillThere()) return absl::OkStatus();
  connection_.reset();
  PGFLOW_ASSIGN_OR_RETURN(connection_, postgres::Connection::Connect(options_, stop_));
  return absl::OkStatus();
}

absl::Status RelationCache::ReadTables() {
  PGFLOW_RETURN_IF_ERROR(Connect());
  catalog_.clear();
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<PublicationRow> row,
                          ReadPublication(*connection_, publication_, stop_));
  publication_is_ours_ = row.has_value() && row->ours;
  publishes_unlisted_ = row.has_value() && row->content.all_tables;
  published_.clear();
  if (row.has_value()) {
    for (const CatalogRelation& relation : row->content.relations) {
      publishes_unlisted_ |= relation.partitioned && !relation.paths.empty();
      if (!relation.listed) continue;
      std::optional<uint64_t>& made = published_[relation.oid];
      if (relation.since_creation) made = relation.made;
    }
  }
  absl::StatusOr<schemas::Catalog> catalog =
      schemas::ReadCatalog(*connection_, filter_, schemas::CatalogDepth::kColumns, stop_,
                           row.has_value() ? row->parts : schemas::PublishedParts());
  if (!catalog.ok()) {
    connection_.reset();
    return base::Annotate(catalog.status(), "read the catalog");
  }
  for (schemas::CatalogTable& table : catalog->tables) {
    const Oid oid = table.schema->oid;
    catalog_.emplace(oid, std::move(table));
  }
  partitions_.clear();
  for (const schemas::TableDefinition& table : catalog->definition.tables) {
    if (table.parent.has_value()) partitions_.insert(table.table);
  }
  return absl::OkStatus();
}

// A command on a partitioned table is captured once, and not for each partition.
bool RelationCache::IsTold(const schemas::TableName& table) const {
  return ddl_ == DdlSource::kCapture && !partitions_.contains(table);
}

absl::StatusOr<TableSchemaPtr> RelationCache::Resolve(
    const RelationMessage& message, const std::optional<OpenTransactionId>& learnt_in) {
  const auto known = known_.find(message.relation);
  TableSchemaPtr before = known == known_.end() ? nullptr : known->second;
  if (before != nullptr && Describes(message, *before)) return before;
  // As its copy is.
  if (before == nullptr && tells_changes()) before = joined_.Find(message.relation);
  PGFLOW_ASSIGN_OR_RETURN(TableSchemaPtr schema, Learn(message, before));
  if (schema == nullptr) return schema;
  if (before != nullptr && tells_changes() && !Describes(message, *before)) {
    PGFLOW_RETURN_IF_ERROR(NoteChange(*before, *schema));
  }
  known_[message.relation] = schema;
  if (learnt_in.has_value()) learnt_.push_back({*learnt_in, message.relation, before, schema});
  return schema;
}

absl::StatusOr<TableSchemaPtr> RelationCache::Learn(const RelationMessage& message,
                                                    const TableSchemaPtr& before) {
  auto entry = catalog_.find(message.relation);
  if (entry == catalog_.end() || !Describes(message, *entry->second.schema)) {
    PGFLOW_RETURN_IF_ERROR(ReadTables());
    entry = catalog_.find(message.relation);
  }
  const bool in_catalog = entry != catalog_.end();
  if (NameOf(message).schema == "pg_catalog") {
    // Moved there by somebody who may change the server's own tables.
    base::LogInfo("table {} is the server's own; its changes are left out",
                  NameOf(message).ToString());
    return TableSchemaPtr();
  }
  if (!in_catalog && before == nullptr && !IsChosen(message)) {
    base::LogInfo("table {} is published but not chosen; its changes are left out",
                  NameOf(message).ToString());
    return TableSchemaPtr();
  }
  PGFLOW_ASSIGN_OR_RETURN(const bool copied, IsCopied(message, before != nullptr));
  if (!copied) {
    base::LogInfo("table {} is published now; its changes come when its rows have been copied",
                  NameOf(message).ToString());
    return TableSchemaPtr();
  }
  entry = catalog_.find(message.relation);
  // The table may have changed again, or be gone, since the change that is being read.
  if (entry == catalog_.end() || !Describes(message, *entry->second.schema)) {
    const TableSchema* now = entry == catalog_.end() ? nullptr : entry->second.schema.get();
    return Build(message, now, before.get());
  }
  PGFLOW_RETURN_IF_ERROR(CheckFormat(NameOf(message).ToString(), entry->second.binary_obstacle));
  auto copy = std::make_shared<TableSchema>(*entry->second.schema);
  copy->version = next_version_[message.relation]++;
  copy->changes_told = IsTold(copy->table);
  return TableSchemaPtr(std::move(copy));
}

void RelationCache::Undo(const Learnt& learnt) {
  if (const auto known = known_.find(learnt.relation);
      known != known_.end() && known->second == learnt.now) {
    if (learnt.before == nullptr) {
      known_.erase(known);
    } else {
      known->second = learnt.before;
    }
  }
  for (Learnt& later : learnt_) {
    if (later.before == learnt.now) later.before = learnt.before;
  }
}

void RelationCache::ForgetSubtransaction(const OpenTransactionId& rolled_back) {
  for (size_t i = learnt_.size(); i-- > 0;) {
    if (learnt_[i].in.top != rolled_back.top || learnt_[i].in.xid != rolled_back.xid) continue;
    const Learnt learnt = learnt_[i];
    learnt_.erase(learnt_.begin() + static_cast<ptrdiff_t>(i));
    Undo(learnt);
  }
}

void RelationCache::Settle(postgres::Xid top, bool committed) {
  for (size_t i = learnt_.size(); i-- > 0;) {
    if (learnt_[i].in.top != top) continue;
    const Learnt learnt = learnt_[i];
    learnt_.erase(learnt_.begin() + static_cast<ptrdiff_t>(i));
    if (!committed) Undo(learnt);
  }
}

absl::Status RelationCache::ConfirmDefinitions(std::span<const Oid> tables) {
  PGFLOW_RETURN_IF_ERROR(Connect());
  PGFLOW_ASSIGN_OR_RETURN(
      const std::string changed,
      FindChangedWhileDecoded(*connection_, slot_, publication_, tables, stop_));
  if (changed.empty()) return absl::OkStatus();
  absl::Status status = base::MakeStatus(absl::StatusCode::kAborted,
                                         "{} was changed while a transaction ran that rolled a "
                                         "part of itself back, so that the server "
                                         "may have sent its rows as they were before",
                                         changed);
  base::SetPayload(status, kStaleDefinitionsPayload, "1");
  return status;
}

absl::Status RelationCache::NoteChange(const TableSchema& before, const TableSchema& after) {
  TypeNames types;
  for (const TableSchema* schema : {&before, &after}) {
    for (const Column& column : schema->columns) {
      std::string& name = types[{column.type, column.type_modifier}];
      if (!name.empty()) continue;
      PGFLOW_ASSIGN_OR_RETURN(
          const postgres::Result row,
          connection_->Execute(
              fmt::format("SELECT format_type({}, {})", column.type, column.type_modifier), stop_));
      name = row.text(0, 0);
    }
  }
  change_ = DescribeRelationChange(before, after, types);
  return absl::OkStatus();
}

bool RelationCache::Publishes(const std::vector<std::string>& publications) const {
  return std::ranges::find(publications, publication_) != publications.end();
}

// A table as its rows are; anything else in a schema that may hold chosen tables, because they may
// need it.
bool RelationCache::WantsDdl(const schemas::DdlSubject& subject) const {
  if (ddl_ == DdlSource::kNone) return false;
  if (!subject.captured || subject.object == "extension") return true;
  const std::string& schema = subject.name.schema.empty() ? subject.name.name : subject.name.schema;
  if (!subject.is_table) return filter_.MayChooseIn(schema);
  const auto chosen = [this](const schemas::TableName& name) { return filter_.Matches(name); };
  return chosen(subject.name) || chosen(subject.name_before) || Publishes(subject.new_for) ||
         Publishes(subject.published_by) || std::ranges::any_of(subject.parents, chosen) ||
         catalog_.contains(subject.oid) || known_.contains(subject.oid);
}

// With a publication of ours everything published was chosen, also partitions that follow their
// root and are gone by now.
bool RelationCache::IsChosen(const RelationMessage& message) const {
  return publication_is_ours_ || filter_.Matches(NameOf(message));
}

absl::StatusOr<bool> RelationCache::IsCopied(const RelationMessage& message, bool was_delivered) {
  const bool told = ddl_ == DdlSource::kCapture;
  if (copied_ == nullptr || !copied_->knows_tables() || (told && publication_is_ours_)) return true;
  const Oid oid = message.relation;
  const uint64_t horizon = copied_->horizon();  // Before Find: what was seen since is known.
  const std::optional<CatalogRelation> known = copied_->Find(oid);
  if (known.has_value()) {
    if (told || known->name == NameOf(message)) return true;
    if (!known->joining && !(was_delivered && tells_changes())) return true;
    // The sinks hear of its new name. While it joins, some have it by the old one and others, which
    // copied later, have nothing of it: it joins once more, by the new one.
    const auto rename = [&](PublicationContent& content) {
      for (CatalogRelation& table : content.relations) {
        if (table.oid == oid) table.name = known->joining ? schemas::TableName() : NameOf(message);
      }
      return true;
    };
    PGFLOW_RETURN_IF_ERROR(copied_->UpdateTables(rename));
    if (known->joining) known_.erase(oid);
    return !known->joining;
  }
  if (was_delivered) return true;
  if (!published_.contains(oid)) PGFLOW_RETURN_IF_ERROR(ReadTables());
  if (const auto published = published_.find(oid); published != published_.end()) {
    // An unlogged table is not published, and was there when somebody looked.
    const std::optional<uint64_t>& made = published->second;
    return made.has_value() && (*made == 0 || *made >= horizon);
  }
  // It is gone again: a partition that came and went, or one that never joined.
  return publishes_unlisted_ || !publication_is_ours_;
}

absl::Status RelationCache::CheckFormat(const std::string& table, const std::string& obstacle) {
  if (obstacle.empty() || !wants_binary_ || binary_ != BinaryMode::kAuto) return absl::OkStatus();
  // For good: the catalog may never know this table, and the server sends its rows again.
  RequireText();
  return base::MakeStatus(absl::StatusCode::kAborted,
                          "table {}: {}; the stream starts over in text format", table, obstacle);
}

absl::StatusOr<TableSchemaPtr> RelationCache::Build(const RelationMessage& message,
                                                    const TableSchema* now,
                                                    const TableSchema* before) {
  auto schema = std::make_shared<TableSchema>();
  schema->table = NameOf(message);
  schema->oid = message.relation;
  schema->replica_identity = static_cast<schemas::ReplicaIdentity>(message.replica_identity);
  schema->changes_told = IsTold(schema->table);
  schema->version = next_version_[message.relation]++;
  std::set<Oid> types;
  for (const RelationColumn& from : message.Columns()) {
    Column column;
    column.name = std::string(from.name);
    column.type = from.type;
    column.type_modifier = from.type_modifier;
    column.identity = from.key;
    // The older version first: a name may have been dropped and given to another column since.
    const Column* same = FindByName(before, from.name);
    // Which number a name had yesterday the catalog of today does not say.
    if (same != nullptr) column.attribute_number = same->attribute_number;
    if (same == nullptr) same = FindByName(now, from.name);
    if (same != nullptr) {
      column.primary_key = same->primary_key;
      column.unique_index = same->unique_index;
      column.unique_nulls = same->unique_nulls;
      column.not_null = same->not_null;
      column.default_sql = same->default_sql;
      column.mask_label = same->mask_label;
    }
    types.insert(from.type);
    schema->columns.push_back(std::move(column));
  }
  const std::vector<Oid> list(types.begin(), types.end());
  PGFLOW_ASSIGN_OR_RETURN(const schemas::TypeFactsByOid facts,
                          schemas::ReadTypeFacts(*connection_, list, stop_));
  for (Column& column : schema->columns) {
    const auto found = facts.find(column.type);
    if (found == facts.end()) {
      // It is gone, or not committed yet. What a value of it holds in binary, nobody knows.
      if (column.type < postgres::kFirstUserOid) continue;
      PGFLOW_RETURN_IF_ERROR(
          CheckFormat(schema->table.ToString(),
                      fmt::format("the type of column {} is not in the catalog now", column.name)));
      continue;
    }
    column.type_name = found->second.name;
    column.wire_type = found->second.wire_type;
    column.labels = found->second.labels;
    PGFLOW_RETURN_IF_ERROR(CheckFormat(schema->table.ToString(), found->second.binary_obstacle));
  }
  return TableSchemaPtr(std::move(schema));
}

}  // namespace pgflow::sources
