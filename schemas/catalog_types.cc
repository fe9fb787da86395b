#include "schemas/catalog_types.h"

#include <algorithm>

#include "base/status.h"

namespace pgflow::schemas {
namespace {

using postgres::Connection;
using postgres::Oid;
using postgres::Result;

Oid OidAt(const Result& result, int row, int column) {
  return static_cast<Oid>(result.integer(row, column));
}

constexpr Oid kTsquery = 3615;

// Types of pg_catalog whose binary form is the OID of some object of this database.
bool NamesAnObject(Oid type) {
  switch (type) {
    case 24:    // regproc
    case 2202:  // regprocedure
    case 2203:  // regoper
    case 2204:  // regoperator
    case 2205:  // regclass
    case 2206:  // regtype
    case 3734:  // regconfig
    case 3769:  // regdictionary
    case 4089:  // regnamespace
    case 4096:  // regrole
    case 4191:  // regcollation
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string OidArray(std::span<const Oid> oids) {
  return fmt::format("{{{}}}", fmt::join(oids, ","));
}

absl::StatusOr<CatalogTypes> CatalogTypes::Read(Connection& connection, std::span<const Oid> roots,
                                                std::stop_token stop) {
  CatalogTypes types;
  PGFLOW_RETURN_IF_ERROR(types.ReadEntries(connection, roots, stop));
  PGFLOW_RETURN_IF_ERROR(types.ReadEnums(connection, stop));
  PGFLOW_RETURN_IF_ERROR(types.ReadFields(connection, stop));
  PGFLOW_RETURN_IF_ERROR(types.ReadDomains(connection, stop));
  PGFLOW_RETURN_IF_ERROR(types.ReadRanges(connection, stop));
  return types;
}

absl::Status CatalogTypes::ReadEntries(Connection& connection, std::span<const Oid> roots,
                                       std::stop_token stop) {
  const bool multiranges = connection.server_version() >= 140000;
  const std::string multirange_part = multiranges
                                          ? "UNION ALL SELECT r.rngtypid FROM pg_range r "
                                            "WHERE t.typtype = 'm' AND r.rngmultitypid = t.oid "
                                          : "";
  const std::string subtype =
      multiranges ? "coalesce((SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid), "
                    "(SELECT rngtypid FROM pg_range WHERE rngmultitypid = t.oid), 0)"
                  : "coalesce((SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid), 0)";
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format(
              "WITH RECURSIVE used(oid) AS ("
              "SELECT unnest('{}'::oid[]) UNION "
              "SELECT x.oid FROM used u JOIN pg_type t ON t.oid = u.oid CROSS JOIN LATERAL ("
              "SELECT t.typelem WHERE t.typelem <> 0 AND t.typcategory = 'A' "
              "UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd' "
              "UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c' "
              "AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped "
              "UNION ALL SELECT r.rngsubtype FROM pg_range r "
              "WHERE t.typtype = 'r' AND r.rngtypid = t.oid {}) x(oid)) "
              "SELECT t.oid, n.nspname, t.typname, format_type(t.oid, NULL), t.typtype, "
              "CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END, t.typbasetype, {}, "
              "t.typarray, t.typsend <> 0 AND t.typreceive <> 0, "
              "coalesce((SELECT p.prosrc IN ('textsend', 'varcharsend', 'bpcharsend', 'enum_send') "
              "FROM pg_proc p WHERE p.oid = t.typsend), false), "
              "coalesce((SELECT c.relkind <> 'c' FROM pg_class c WHERE c.oid = t.typrelid), "
              "false), "
              "EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass "
              "AND d.objid = t.oid AND d.deptype = 'e') "
              "FROM used u JOIN pg_type t ON t.oid = u.oid "
              "JOIN pg_namespace n ON n.oid = t.typnamespace",
              OidArray(roots), multirange_part, subtype),
          stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    Entry& entry = entries_[OidAt(rows, row, 0)];
    entry.name = {rows.text(row, 1), rows.text(row, 2)};
    entry.formatted = rows.text(row, 3);
    entry.kind = rows.at(row, 4)[0];
    entry.element = OidAt(rows, row, 5);
    entry.base = OidAt(rows, row, 6);
    entry.subtype = OidAt(rows, row, 7);
    entry.array = OidAt(rows, row, 8);
    entry.has_binary = rows.boolean(row, 9);
    entry.sent_as_text = rows.boolean(row, 10);
    entry.row_of_table = rows.boolean(row, 11);
    entry.of_extension = rows.boolean(row, 12);
  }
  return absl::OkStatus();
}

std::string CatalogTypes::OidsOfKind(char kind) const {
  std::vector<Oid> oids;
  for (const auto& [oid, entry] : entries_) {
    if (entry.kind == kind && oid >= postgres::kFirstUserOid) oids.push_back(oid);
  }
  return oids.empty() ? std::string() : OidArray(oids);
}

absl::Status CatalogTypes::ReadEnums(Connection& connection, std::stop_token stop) {
  const std::string oids = OidsOfKind('e');
  if (oids.empty()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format("SELECT enumtypid, enumlabel, quote_literal(enumlabel) FROM pg_enum "
                      "WHERE enumtypid = ANY ('{}'::oid[]) ORDER BY enumtypid, enumsortorder",
                      oids),
          stop));
  std::map<Oid, std::vector<std::string>> labels;
  std::map<Oid, std::string> lists;
  for (int row = 0; row < rows.row_count(); ++row) {
    const Oid oid = OidAt(rows, row, 0);
    labels[oid].push_back(rows.text(row, 1));
    std::string& list = lists[oid];
    list += fmt::format("{}{}", list.empty() ? "" : ", ", rows.at(row, 2));
  }
  for (auto& [oid, names] : labels) {
    Entry& entry = entries_[oid];
    entry.detail_sql = fmt::format("AS ENUM ({})", lists[oid]);
    entry.labels = std::make_shared<const std::vector<std::string>>(std::move(names));
  }
  return absl::OkStatus();
}

absl::Status CatalogTypes::ReadFields(Connection& connection, std::stop_token stop) {
  const std::string oids = OidsOfKind('c');
  if (oids.empty()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format("SELECT t.oid, a.attname, a.atttypid, format_type(a.atttypid, a.atttypmod) "
                      "|| CASE WHEN a.attcollation <> b.typcollation THEN (SELECT "
                      "format(' COLLATE %I.%I', n.nspname, k.collname) FROM pg_collation k "
                      "JOIN pg_namespace n ON n.oid = k.collnamespace "
                      "WHERE k.oid = a.attcollation) ELSE '' END "
                      "FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid "
                      "JOIN pg_type b ON b.oid = a.atttypid "
                      "WHERE t.oid = ANY ('{}'::oid[]) AND a.attnum > 0 AND NOT a.attisdropped "
                      "ORDER BY t.oid, a.attnum",
                      oids),
          stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    entries_[OidAt(rows, row, 0)].fields.push_back(
        {rows.text(row, 1), OidAt(rows, row, 2), rows.text(row, 3)});
  }
  for (auto& [oid, entry] : entries_) {
    if (entry.kind != 'c') continue;
    std::vector<std::string> fields;
    for (const Field& field : entry.fields) {
      fields.push_back(QuoteIdentifier(field.name) + " " + field.type_sql);
    }
    entry.detail_sql = fmt::format("AS ({})", fmt::join(fields, ", "));
  }
  return absl::OkStatus();
}

absl::Status CatalogTypes::ReadDomains(Connection& connection, std::stop_token stop) {
  const std::string oids = OidsOfKind('d');
  if (oids.empty()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format("SELECT t.oid, 'AS ' || format_type(t.typbasetype, t.typtypmod) "
                      "|| coalesce((SELECT format(' COLLATE %I.%I', n.nspname, c.collname) "
                      "FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace "
                      "JOIN pg_type b ON b.oid = t.typbasetype "
                      "WHERE c.oid = t.typcollation AND t.typcollation <> b.typcollation), '') "
                      "|| coalesce(' DEFAULT ' || pg_get_expr(t.typdefaultbin, 0), '') "
                      "|| CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END "
                      "|| coalesce((SELECT string_agg(format(' CONSTRAINT %I %s', k.conname, "
                      "pg_get_constraintdef(k.oid)), '' ORDER BY k.conname) FROM pg_constraint k "
                      "WHERE k.contypid = t.oid AND k.contype = 'c'), '') "
                      "FROM pg_type t WHERE t.oid = ANY ('{}'::oid[])",
                      oids),
          stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    entries_[OidAt(rows, row, 0)].detail_sql = rows.text(row, 1);
  }
  return absl::OkStatus();
}

absl::Status CatalogTypes::ReadRanges(Connection& connection, std::stop_token stop) {
  const std::string oids = OidsOfKind('r');
  if (oids.empty()) return absl::OkStatus();
  const std::string multirange_name =
      connection.server_version() >= 140000
          ? "|| coalesce((SELECT format(', MULTIRANGE_TYPE_NAME = %I.%I', n.nspname, m.typname) "
            "FROM pg_type m JOIN pg_namespace n ON n.oid = m.typnamespace "
            "WHERE m.oid = r.rngmultitypid), '') "
          : "";
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format(
              "SELECT r.rngtypid, 'AS RANGE (SUBTYPE = ' || format_type(r.rngsubtype, NULL) "
              "|| coalesce((SELECT format(', SUBTYPE_OPCLASS = %I.%I', n.nspname, o.opcname) "
              "FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace "
              "WHERE o.oid = r.rngsubopc AND NOT o.opcdefault), '') "
              "|| coalesce((SELECT format(', COLLATION = %I.%I', n.nspname, c.collname) "
              "FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace "
              "WHERE c.oid = r.rngcollation), '') "
              "|| CASE WHEN r.rngsubdiff <> 0 THEN ', SUBTYPE_DIFF = ' || r.rngsubdiff::regproc "
              "ELSE '' END {}|| ')' FROM pg_range r WHERE r.rngtypid = ANY ('{}'::oid[])",
              multirange_name, oids),
          stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    entries_[OidAt(rows, row, 0)].detail_sql = rows.text(row, 1);
  }
  return absl::OkStatus();
}

const CatalogTypes::Entry* CatalogTypes::Find(Oid type) const {
  const auto found = entries_.find(type);
  return found == entries_.end() ? nullptr : &found->second;
}

std::vector<Oid> CatalogTypes::PartsOf(const Entry& entry) const {
  std::vector<Oid> parts;
  for (const Oid part : {entry.element, entry.base, entry.subtype}) {
    if (part != 0) parts.push_back(part);
  }
  for (const Field& field : entry.fields) parts.push_back(field.type);
  return parts;
}

// The built-in type with the same binary form, `type` itself when it is one; 0: there is none.
Oid CatalogTypes::WireTypeOf(Oid type) const {
  if (type < postgres::kFirstUserOid) return type;
  const Entry* entry = Find(type);
  if (entry == nullptr) return 0;
  if (entry->kind == 'd') return WireTypeOf(entry->base);
  if (entry->element != 0) {
    switch (const Oid element = WireTypeOf(entry->element)) {
      case 0:
        return 0;
      case postgres::oid::kText:
        return 1009;  // _text; text itself need not be among the entries.
      default: {
        const Entry* wire = Find(element);
        return wire == nullptr ? 0 : wire->array;
      }
    }
  }
  return entry->sent_as_text || entry->kind == 'e' ? postgres::oid::kText : 0;
}

// Why the binary form of `type` means something else, or nothing, in another database.
std::string CatalogTypes::BinaryObstacle(Oid type) const {
  if (NamesAnObject(type)) {
    return "its binary form is the OID of an object of this database";
  }
  if (type == kTsquery) return "several releases refuse the binary form of an empty tsquery";
  const Entry* entry = Find(type);
  if (entry == nullptr) {
    return type < postgres::kFirstUserOid ? "" : "a part of it is not in the catalog now";
  }
  if (!entry->has_binary) return fmt::format("type {} has no binary form", entry->formatted);
  if (entry->element >= postgres::kFirstUserOid) {
    return fmt::format("the binary form of {} holds the OID of a type of this database",
                       entry->formatted);
  }
  // Rows in the log may be older than what it is made of today.
  if (entry->kind == 'c') {
    return fmt::format("the binary form of {} holds the types of its fields", entry->formatted);
  }
  for (const Oid part : PartsOf(*entry)) {
    std::string obstacle = BinaryObstacle(part);
    if (!obstacle.empty()) return obstacle;
  }
  return {};
}

TypeFacts CatalogTypes::FactsOf(Oid type) const {
  TypeFacts facts;
  const Entry* entry = Find(type);
  if (entry != nullptr) facts.name = entry->formatted;
  const Oid wire = WireTypeOf(type);
  facts.wire_type = wire == type ? 0 : wire;
  facts.binary_obstacle = BinaryObstacle(type);
  // Domains have domains and arrays below them; the loop ends where a type is gone.
  while (entry != nullptr && entry->labels == nullptr) {
    const Oid part = entry->base != 0 ? entry->base : entry->element;
    entry = part == 0 ? nullptr : Find(part);
  }
  if (entry != nullptr) facts.labels = entry->labels;
  return facts;
}

std::optional<ObjectDefinition> CatalogTypes::Definition(
    Oid type, std::vector<CatalogProblem>& problems) const {
  const Entry* entry = Find(type);
  // Postgres makes an array type, a multirange type and a row type together with what they are of.
  if (entry == nullptr || type < postgres::kFirstUserOid || entry->of_extension ||
      entry->element != 0 || entry->kind == 'm' || entry->row_of_table) {
    return std::nullopt;
  }
  if (entry->kind == 'b' || entry->kind == 'p') {
    problems.push_back(
        {.fatal = false,
         .subject = fmt::format("type {}", entry->formatted),
         .text = "it is a base type that no extension owns",
         .remedy = "create it on the target before the first run, or set create_schema: false"});
    return std::nullopt;
  }
  const std::string name = QuoteTable(entry->name);
  return ObjectDefinition{
      .kind = "type",
      .name = entry->name,
      .exists_sql = fmt::format("SELECT to_regtype({}) IS NOT NULL", QuoteLiteral(name)),
      .create_sql = fmt::format("CREATE {} {} {}", entry->kind == 'd' ? "DOMAIN" : "TYPE", name,
                                entry->detail_sql)};
}

absl::StatusOr<TypeFactsByOid> ReadTypeFacts(Connection& connection, std::span<const Oid> types,
                                             std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const CatalogTypes read, CatalogTypes::Read(connection, types, stop));
  TypeFactsByOid facts;
  for (const Oid type : types) {
    TypeFacts fact = read.FactsOf(type);
    if (!fact.name.empty()) facts.emplace(type, std::move(fact));
  }
  return facts;
}

}  // namespace pgflow::schemas
