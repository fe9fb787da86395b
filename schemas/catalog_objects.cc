#include "schemas/catalog_objects.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/status.h"

namespace pgflow::schemas {
namespace {

using postgres::Connection;
using postgres::Oid;
using postgres::Result;

// The system catalogs' own OIDs (catalog/pg_*.h).
constexpr Oid kTypes = 1247;
constexpr Oid kFunctions = 1255;
constexpr Oid kRelations = 1259;
constexpr Oid kConstraints = 2606;
constexpr Oid kNamespaces = 2615;
constexpr Oid kExtensions = 3079;
constexpr Oid kCollations = 3456;

Oid OidAt(const Result& result, int row, int column) {
  return static_cast<Oid>(result.integer(row, column));
}

// What chosen tables refer to, by themselves and by their defaults; and on from there, what each of
// those refers to: of pg_depend the normal references, an array's element and a row type's table;
// the constraints of domains, the fields of composite types. A table that another one inherits
// from, and sequences, are no needs: heirs stand alone on the target, and sequences are made
// together with their columns.
constexpr std::string_view kReferencesQuery =
    "WITH RECURSIVE edge(classid, objid, refclassid, refobjid, member) AS (("
    "SELECT 1259::oid, d.objid, d.refclassid, d.refobjid, false FROM pg_depend d "
    "WHERE d.classid = 1259 AND d.objid = ANY ('{0}'::oid[]) AND d.refobjid >= 16384 "
    "AND d.deptype = 'n' AND d.refclassid NOT IN (1259, 2615) "
    "UNION ALL SELECT 1259, a.adrelid, d.refclassid, d.refobjid, false FROM pg_attrdef a "
    "JOIN pg_depend d ON d.classid = 2604 AND d.objid = a.oid "
    "WHERE a.adrelid = ANY ('{0}'::oid[]) AND d.refobjid >= 16384 AND d.deptype = 'n' "
    "AND d.refclassid <> 2615 AND NOT (d.refclassid = 1259 AND (d.refobjid = a.adrelid OR EXISTS "
    "(SELECT FROM pg_sequence WHERE seqrelid = d.refobjid)))) "
    "UNION SELECT n.refclassid, n.refobjid, s.classid, s.objid, s.member "
    "FROM edge n CROSS JOIN LATERAL ("
    "SELECT d.refclassid AS classid, d.refobjid AS objid, d.deptype = 'e' AS member "
    "FROM pg_depend d WHERE d.classid = n.refclassid AND d.objid = n.refobjid "
    "AND d.refobjid >= 16384 AND (d.deptype = 'e' OR d.deptype = 'n' AND d.refclassid <> 2615 "
    "AND NOT (d.refclassid = 1259 AND (n.refclassid = 1259 OR EXISTS (SELECT FROM pg_sequence "
    "WHERE seqrelid = d.refobjid))) OR d.deptype = 'i' AND n.refclassid = 1247) "
    "UNION ALL SELECT 2606, k.oid, false FROM pg_constraint k WHERE n.refclassid = 1247 "
    "AND k.contypid = n.refobjid AND k.contype = 'c' "
    "UNION ALL SELECT 1259, t.typrelid, false FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid "
    "WHERE n.refclassid = 1247 AND t.oid = n.refobjid AND c.relkind = 'c') s) "
    "SELECT * FROM edge ORDER BY 1, 2, 3, 4";

// kind, schema, name, exists, create, risk; for each of its catalog's objects with a definition.
constexpr std::string_view kFunctionsQuery =
    "SELECT p.oid, CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, n.nspname, "
    "p.proname, format('SELECT to_regprocedure(%L) IS NOT NULL', p.oid::regprocedure), "
    "'SET LOCAL check_function_bodies = off; ' || pg_get_functiondef(p.oid), "
    "CASE WHEN p.prosecdef THEN 'it is SECURITY DEFINER' WHEN NOT r.rolsuper THEN "
    "format('it belongs to %s, who is no superuser', r.rolname) ELSE '' END "
    "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
    "JOIN pg_roles r ON r.oid = p.proowner "
    "WHERE p.prokind IN ('f', 'w', 'p') AND p.oid = ANY ('{}'::oid[])";
constexpr std::string_view kCollationsQuery =
    "SELECT c.oid, 'collation', n.nspname, c.collname, "
    "format('SELECT EXISTS (SELECT FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n "
    "ON n.oid = c.collnamespace WHERE n.nspname = %L AND c.collname = %L)', n.nspname, "
    "c.collname), "
    "format('CREATE COLLATION %I.%I (PROVIDER = %s, %s%s%s)', n.nspname, c.collname, "
    "CASE c.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END, "
    "CASE WHEN c.collprovider = 'c' THEN format('LC_COLLATE = %L, LC_CTYPE = %L', c.collcollate, "
    "c.collctype) ELSE format('LOCALE = %L', coalesce(to_jsonb(c) ->> 'colllocale', "
    "to_jsonb(c) ->> 'colliculocale', c.collcollate)) END, "
    "CASE WHEN NOT c.collisdeterministic THEN ', DETERMINISTIC = false' END, "
    "', RULES = ' || quote_literal(to_jsonb(c) ->> 'collicurules')), '' "
    "FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace "
    "WHERE c.collprovider <> 'd' AND c.oid = ANY ('{}'::oid[])";
constexpr std::string_view kExtensionsQuery =
    "SELECT e.oid, 'extension', '', e.extname, "
    "format('SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = %L)', e.extname), "
    "CASE WHEN n.nspname ~ '^pg_' THEN '' ELSE format('CREATE SCHEMA IF NOT EXISTS %I; ', "
    "n.nspname) "
    "END || format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA %I', e.extname, n.nspname), '' "
    "FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
    "WHERE e.oid = ANY ('{}'::oid[])";
// Tables whose row types are used. Only their columns: no rows come into them.
constexpr std::string_view kRelationsQuery =
    "SELECT c.oid, 'table', n.nspname, c.relname, "
    "format('SELECT to_regclass(%L) IS NOT NULL', format('%I.%I', n.nspname, c.relname)), "
    "format('CREATE TABLE %I.%I (%s)', n.nspname, c.relname, (SELECT string_agg(format('%I %s%s', "
    "a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation <> t.typcollation "
    "THEN (SELECT format(' COLLATE %I.%I', kn.nspname, k.collname) FROM pg_collation k "
    "JOIN pg_namespace kn ON kn.oid = k.collnamespace WHERE k.oid = a.attcollation) END), ', ' "
    "ORDER BY a.attnum) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
    "WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)), '' "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'p') AND c.oid = ANY ('{}'::oid[])";

constexpr std::string_view kRemedy =
    "create it on the target before the first run, or set create_schema: false";

}  // namespace

absl::StatusOr<CatalogObjects> CatalogObjects::Read(Connection& connection,
                                                    std::span<const Oid> chosen,
                                                    std::stop_token stop) {
  CatalogObjects needed;
  needed.roots_.insert(chosen.begin(), chosen.end());
  PGFLOW_RETURN_IF_ERROR(needed.ReadReferences(connection, OidArray(chosen), stop));
  PGFLOW_RETURN_IF_ERROR(needed.ReadObjects(connection, stop));
  return needed;
}

absl::Status CatalogObjects::ReadReferences(Connection& connection, const std::string& chosen,
                                            const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(fmt::format(fmt::runtime(kReferencesQuery), chosen), stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    const Node node{OidAt(rows, row, 0), OidAt(rows, row, 1)};
    const Node other{OidAt(rows, row, 2), OidAt(rows, row, 3)};
    std::vector<Node>& references = references_[node];
    if (rows.boolean(row, 4)) {
      // An extension brings its members with all that they need.
      references = {other};
      members_.insert(node);
    } else if (!members_.contains(node)) {
      references.push_back(other);
    }
    references_.try_emplace(other);
  }
  return absl::OkStatus();
}

bool CatalogObjects::IsRoot(Node node) const {
  return node.first == kRelations && roots_.contains(node.second);
}

std::string CatalogObjects::OidsOf(Oid catalog) const {
  std::vector<Oid> oids;
  for (const auto& [node, references] : references_) {
    if (node.first != catalog || members_.contains(node) || IsRoot(node)) continue;
    oids.push_back(node.second);
  }
  return oids.empty() ? std::string() : OidArray(oids);
}

std::vector<Oid> CatalogObjects::Types() const {
  std::vector<Oid> types;
  for (const auto& [node, references] : references_) {
    if (node.first == kTypes) types.push_back(node.second);
  }
  return types;
}

absl::Status CatalogObjects::ReadObjects(Connection& connection, const std::stop_token& stop) {
  const std::pair<Oid, std::string_view> queries[] = {{kFunctions, kFunctionsQuery},
                                                      {kCollations, kCollationsQuery},
                                                      {kExtensions, kExtensionsQuery},
                                                      {kRelations, kRelationsQuery}};
  for (const auto& [catalog, query] : queries) {
    const std::string oids = OidsOf(catalog);
    if (oids.empty()) continue;
    PGFLOW_ASSIGN_OR_RETURN(const Result rows,
                            connection.Execute(fmt::format(fmt::runtime(query), oids), stop));
    for (int row = 0; row < rows.row_count(); ++row) {
      objects_[{catalog, OidAt(rows, row, 0)}] = {.kind = rows.text(row, 1),
                                                  .name = {rows.text(row, 2), rows.text(row, 3)},
                                                  .exists_sql = rows.text(row, 4),
                                                  .create_sql = rows.text(row, 5),
                                                  .risk = rows.text(row, 6)};
    }
  }
  std::string others;
  for (const auto& [node, references] : references_) {
    const bool passed =
        node.first == kTypes || node.first == kConstraints || node.first == kNamespaces;
    if (passed || IsRoot(node) || members_.contains(node) || objects_.contains(node)) continue;
    others += fmt::format("{}({}, {})", others.empty() ? "" : ", ", node.first, node.second);
  }
  if (others.empty()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const Result rows,
                          connection.Execute(fmt::format("SELECT c, o, pg_describe_object(c, o, 0) "
                                                         "FROM (VALUES {}) t(c, o)",
                                                         others),
                                             stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    others_[{OidAt(rows, row, 0), OidAt(rows, row, 1)}] = rows.text(row, 2);
  }
  return absl::OkStatus();
}

void CatalogObjects::Define(const CatalogTypes& types, const std::map<Oid, TableName>& chosen,
                            DatabaseDefinition& definition, std::vector<CatalogProblem>& problems) {
  types_ = &types;
  chosen_ = &chosen;
  problems_ = &problems;
  definition_ = &definition;
  for (const auto& [oid, name] : chosen) Visit({kRelations, oid});
  std::ranges::move(last_, std::back_inserter(definition.late));
}

CatalogObjects::Place CatalogObjects::VisitAll(const std::vector<Node>& nodes) {
  Place place = Place::kBeforeTables;
  for (const Node& node : nodes) place = std::max(place, Visit(node));
  return place;
}

CatalogObjects::Place CatalogObjects::Visit(Node node) {
  const bool is_chosen = node.first == kRelations && chosen_->contains(node.second);
  if (const auto known = places_.find(node); known != places_.end()) {
    // Whoever refers to a chosen table comes behind it, wherever that one is.
    return is_chosen ? Place::kAmongTables : known->second;
  }
  // A circle: of a table through a function over its own rows, or among objects by themselves.
  if (!under_way_.insert(node).second) {
    return is_chosen ? Place::kAfterTables : Place::kBeforeTables;
  }
  const auto references = references_.find(node);
  Place place = Place::kBeforeTables;
  if (references != references_.end()) place = VisitAll(references->second);
  under_way_.erase(node);
  places_[node] = place;
  if (is_chosen) {
    if (place == Place::kAmongTables) {
      definition_->late.push_back({.table = chosen_->at(node.second)});
    }
    return Place::kAmongTables;
  }
  Emit(node, place);
  return place;
}

void CatalogObjects::Emit(Node node, Place place) {
  if (members_.contains(node)) return;
  std::optional<ObjectDefinition> object;
  if (node.first == kTypes) {
    object = types_->Definition(node.second, *problems_);
  } else if (const auto found = objects_.find(node); found != objects_.end()) {
    object = std::move(found->second);
  } else if (const auto other = others_.find(node); other != others_.end()) {
    // The relation behind a composite type is created with it.
    if (node.first == kRelations && other->second.starts_with("composite type")) return;
    problems_->push_back({.fatal = false,
                          .subject = other->second,
                          .text = "a chosen table needs it, and create_schema does not make it",
                          .remedy = std::string(kRemedy)});
  }
  if (!object.has_value()) return;
  if (place == Place::kBeforeTables) {
    definition_->objects.push_back(*std::move(object));
  } else {
    (place == Place::kAmongTables ? definition_->late : last_)
        .push_back({.object = std::move(object)});
  }
}

}  // namespace pgflow::schemas
