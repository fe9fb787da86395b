// DdlScript: the statements that bring another database through one captured DDL command.
//
// The capture on the source (sources/postgres/ddl_capture/) sends the state of one object before
// and after the command. The difference between the two becomes statements here: canonical, schema-
// qualified, and the same whether the command stood alone, in a function or beside others. Pure: no
// I/O; values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "postgres/types/oid.h"
#include "schemas/table_schema.h"

namespace pgflow::schemas {

struct DdlStatement {
  std::string sql;
  // A query that answers true when there is nothing to do (the object is there already, or gone);
  // empty: always run.
  std::string skip_when;
  // Rights and comments: when the target refuses (a role is missing there), it goes on with a
  // warning. The rows do not depend on it.
  bool best_effort = false;
  // A query that answers true when it must not be run: it is left out with a warning that says
  // `obstacle`.
  std::string left_out_when{};
  std::string obstacle{};
  // The first version of the server that knows `sql`. On an older one `older_sql` is run instead,
  // or nothing when that is empty, with a warning that says `loss` unless that is empty.
  int since = 0;
  std::string older_sql{};
  std::string loss{};
};

// With whose rights programs of the source's users may run on the target.
struct DdlTrust {
  bool everybody = false;         // Also with those of the role that applies the script.
  bool fires_as_replica = false;  // Ordinary triggers and rules do not fire for that role.
};

struct DdlScript {
  std::string tag;      // The command: "ALTER TABLE".
  std::string subject;  // "table public.orders".
  std::string object;   // What it is: "table".
  TableName name;       // Its own, after the command; the schema is empty for one in no schema.
  // Where functions that the statements run look for what they name, behind pg_catalog: a list for
  // search_path; empty: nowhere.
  std::string search_path;
  std::vector<DdlStatement> statements;
  // The rows of some tables are deleted, because all of them come anew. That must not set off
  // triggers and foreign keys of the target.
  bool deletes_rows = false;
  std::string refused;  // Not empty: it must not be applied, and why.
  // Parts that are not carried over, each with its reason.
  std::vector<std::string> warnings;
};

// What the message is about, without the statements. kDataLoss: it is malformed.
struct DdlSubject {
  std::string tag;
  std::string object;  // "table", "function", ...
  TableName name;      // Schema empty for what is in none.
  TableName name_before;
  bool is_table = false;
  postgres::Oid oid = 0;           // Of a relation.
  std::vector<TableName> parents;  // Of a table: what it is a partition or an heir of.
  // Publications for which the table is new, with all of its rows.
  std::vector<std::string> new_for;
  std::vector<std::string> published_by;  // Publications that bring its rows.
  bool captured = true;  // False: the capture failed, and nobody knows what changed.
};
absl::StatusOr<DdlSubject> ReadDdlSubject(std::string_view message);

// The message for somebody for whom the object is new.
absl::StatusOr<std::string> WithoutBefore(std::string_view message);

// kDataLoss: the message is malformed. kFailedPrecondition: the capture itself failed on the source
// and says why.
absl::StatusOr<DdlScript> PlanDdl(std::string_view message, const DdlTrust& trust = {});

}  // namespace pgflow::schemas
