// What the differs share: reading the captured states, naming things, adding statements. Internal
// to this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "schemas/ddl/ddl_script.h"
#include "schemas/ddl/script_writer.h"

namespace pgflow::schemas {

using Json = nlohmann::json;

// Members of a state; absent ones read as empty, false, or an empty list. Wrong types throw
// nlohmann's exception, which PlanDdl turns into kDataLoss.
std::string TextOf(const Json& state, const char* key);
bool FlagOf(const Json& state, const char* key);
const Json& ListOf(const Json& state, const char* key);
bool Differs(const Json& before, const Json& after, const char* key);

// `"schema"."name"` of the object, or `"name"` when it is in no schema.
std::string QualifiedName(const Json& state);
// The same of ["schema", "name"].
std::string QualifiedPair(const Json& pair);
// Of an object_state::options list ["fillfactor=70"]: "fillfactor='70'".
std::string OptionList(const Json& options);

// The element with the same oid; null when there is none.
const Json* FindByOid(const Json& list, const Json& element);
const Json* FindByName(const Json& list, std::string_view name);
// The column or attribute with the same number: it may have another name by now.
const Json* FindByNumber(const Json& list, const Json& element);
// What is still the same index, constraint or other part: the same oid, or, where a rewrite made it
// anew, the same name and definition.
const Json* FindPart(const Json& list, const Json& part);

// Which rows come behind the statements, in the same transaction.
enum class DdlPhase {
  kWhole,       // None: the statements are all there is.
  kBeforeRows,  // The values that a rewrite made follow as changes,
  kAfterRows,   // and after them what must not be there earlier: constraints, indexes, defaults.
};

// A captured change: `before` null for a new object, `after` null for a dropped one.
struct ObjectChange {
  const Json& before;
  const Json& after;
  const Json& replaced;                // Tables all of whose rows follow: [schema, name] each.
  const Json& kept_by_heirs;           // Names of columns that are dropped here, and kept by heirs.
  const Json& not_null_kept_by_heirs;  // Of those that lose NOT NULL here alone.
  std::string tag;
  bool cascade = false;
  DdlPhase phase = DdlPhase::kWhole;

  const Json& any() const { return after.is_null() ? before : after; }
};

// A query that says whether the relation, the attached partition, type or routine exists.
std::string RelationExists(const std::string& quoted_name);
std::string PartitionExists(const std::string& quoted_name);
std::string ColumnIsNotNull(const std::string& quoted_table, const Json& column);
std::string TypeExists(const Json& type);
std::string RoutineExists(const Json& routine, const std::string& more = {});
std::string RoleMissing(const std::string& role);
// `DO` with the block in a literal: names in it may hold what ends a dollar quote.
std::string BlockSql(const std::string& block);

// DROP, when that is what happened; true: there is no more to say. `name`: what behind the kind.
bool WriteDrop(const ObjectChange& change, std::string_view kind, const std::string& name,
               ScriptWriter& out);
// Owner, privileges and comment; `target` as ALTER and COMMENT name it: "TABLE public.orders".
void WriteRights(const ObjectChange& change, const std::string& target, ScriptWriter& out);
void WriteComment(const Json& before, const Json& after, const std::string& target,
                  ScriptWriter& out);
// GRANT and REVOKE for the lists of privileges; `on`: "TABLE x", `columns`: "" or "(c)", `owner`:
// of the object.
void WriteGrants(const Json& before, const Json& after, const std::string& on,
                 const std::string& columns, const std::string& owner, ScriptWriter& out);
void WriteColumnGrants(const ObjectChange& change, ScriptWriter& out);
// SET and RESET of "options"; `target` as ALTER names it.
void WriteOptions(const Json& before, const Json& after, const std::string& target,
                  ScriptWriter& out);
// RENAME TO and SET SCHEMA; `kind`: "TABLE".
void WriteRename(const ObjectChange& change, const std::string& kind, ScriptWriter& out);

void WriteTable(const ObjectChange& change, ScriptWriter& out);
void WriteView(const ObjectChange& change, ScriptWriter& out);
void WriteSequence(const ObjectChange& change, ScriptWriter& out);
void WriteEnum(const ObjectChange& change, ScriptWriter& out);
void WriteDomain(const ObjectChange& change, ScriptWriter& out);
void WriteComposite(const ObjectChange& change, ScriptWriter& out);
void WriteRange(const ObjectChange& change, ScriptWriter& out);
void WriteRoutine(const ObjectChange& change, ScriptWriter& out);
void WriteSchema(const ObjectChange& change, ScriptWriter& out);
void WriteExtension(const ObjectChange& change, ScriptWriter& out);
void WriteDefaultPrivileges(const ObjectChange& change, ScriptWriter& out);

// Whether its CREATE statement is part of the state.
bool IsDefinedObject(const Json& state);
void WriteDefinedObject(const ObjectChange& change, ScriptWriter& out);
// " OPTIONS (...)" of a foreign data wrapper, server or table, for CREATE.
std::string ForeignOptionsSql(const Json& state);
void WriteForeignOptions(const ObjectChange& change, const std::string& target, ScriptWriter& out);
void WriteForeignColumnOptions(const ObjectChange& change, ScriptWriter& out);
// A query that is true when the target has it, of another role. Empty: nobody owns it.
std::string DefinedObjectIsOfAnother(const Json& state);

// Parts of a relation: indexes, triggers, policies, rules, statistics. First what goes, then what
// comes.
void DropRelationParts(const ObjectChange& change, ScriptWriter& out);
void AddRelationParts(const ObjectChange& change, ScriptWriter& out);
// Table constraints; foreign keys last.
void DropConstraints(const ObjectChange& change, ScriptWriter& out);
void AddConstraints(const ObjectChange& change, ScriptWriter& out);
// Columns of a table that is there.
void WriteColumns(const ObjectChange& change, ScriptWriter& out);
void FinishColumns(const ObjectChange& change, ScriptWriter& out);
void WriteColumnDetails(const ObjectChange& change, ScriptWriter& out);
// `"name" type COLLATE ...`, of a column or attribute.
std::string FieldSql(const Json& column);
// What servers of before version 18 cannot say is left out, or said in their way.
enum class Dialect { kNewest, kBefore18 };
// The same with GENERATED ... DEFAULT ... NOT NULL, for CREATE TABLE.
std::string ColumnSql(const Json& column, Dialect dialect);
// Of that what stands behind the type.
std::string ColumnOptionsSql(const Json& column, Dialect dialect);
// What is lost before version 18; empty: nothing.
std::string LossBefore18(const Json& column);
// Whether the NOT NULL that the column has is the table's own, and not a parent's alone.
bool OwnsNotNull(const Json& column);
// NOT NULL for rows to come alone (18).
bool IsNotNullNotValid(const Json& column);
std::string IdentitySql(const Json& column);

}  // namespace pgflow::schemas
