// CaseFile: one file of cases/: what it shows, and the SQL that shows it.
//
//   -- What it is about, in a line or several: docs/conformance.md has them.
//   --- needs: server 14, extension hstore
//   --- needs: text              some of its types have no binary form, so that the whole stream
//                                is text
//   --- needs: alone             no other case in its database
//   --- both        on both databases, before anything else
//   --- schema      on the source: tables that pgflow creates on the target
//   --- rows        on the source: copied by the snapshot in one run, streamed in another
//   --- change      on the source, after that; each such section is one transaction
//
// Sections may be left out; `rows` and `change` may be repeated. Cases share a database: an object
// has the same name in no two of them. (Those of ddl_cases/ have a schema each.)
#pragma once

#include <string>
#include <vector>

namespace pgflow::tests {

struct CaseFile {
  std::string name;  // The file's, without .sql.
  std::string about;
  int server_min = 13;
  std::vector<std::string> extensions;
  bool text = false;
  bool alone = false;
  std::string both;
  std::string schema;
  std::vector<std::string> rows;
  std::vector<std::string> changes;
};

// Every case of a directory, by name. A file that cannot be understood ends the program with a
// message: it would otherwise be a test that never runs.
std::vector<CaseFile> ReadCases(const std::string& directory);

}  // namespace pgflow::tests
