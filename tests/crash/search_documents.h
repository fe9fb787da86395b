// SearchDocuments: what a search server holds of the tables of a database, against what the
// database says. Tests only; one thread.
#pragma once

#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/testing/scratch_opensearch.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {

class SearchDocuments {
 public:
  // Indices are called `prefix` and the table's name. The server outlives this.
  SearchDocuments(const engine::ScratchOpenSearch& server, Database source, std::string prefix)
      : server_(server), source_(std::move(source)), prefix_(std::move(prefix)) {}

  using ById = std::map<std::string, nlohmann::json>;
  // A field without a value is the same as one that is not there: rows that are older than a column
  // have no field for it. Empty when there is no such index, or no server.
  ById Documents(const std::string& table) const;
  // Of a query for an id and a row as JSON.
  ById Rows(const std::string& query) const;
  static std::string Plain(const std::string& table);  // Such a query.

  // "" when the documents are those of `query`, and the mapping is that of the table's columns.
  std::string Difference(const std::string& table, const std::string& query) const;
  std::string Difference(const std::string& table) const { return Difference(table, Plain(table)); }

  // All indices of the prefix.
  void Remove() const;

 private:
  using Fields = std::map<std::string, std::string>;  // Types by name.
  Fields FieldsWanted(const std::string& table) const;
  // Of those columns that the index says it has.
  Fields FieldsMapped(const std::string& table) const;

  const engine::ScratchOpenSearch& server_;
  const Database source_;
  const std::string prefix_;
};

}  // namespace pgflow::tests
