#include "tests/crash/search_documents.h"

#include <fmt/format.h>

#include "tests/crash/random_ddl.h"

namespace pgflow::tests {

using nlohmann::json;

namespace {

json Comparable(json value) {
  if (value.is_array()) {
    for (json& element : value) element = Comparable(std::move(element));
  }
  if (!value.is_object()) return value;
  json kept = json::object();
  for (auto& [key, member] : value.items()) {
    // The other is the sink's own, for a join.
    if (member.is_null() || key.starts_with("_join_")) continue;
    kept[key] = Comparable(std::move(member));
  }
  return kept;
}

std::string Short(const json& value) { return value.dump().substr(0, 300); }

}  // namespace

SearchDocuments::ById SearchDocuments::Documents(const std::string& table) const {
  ById found;
  const std::string index = "/" + prefix_ + table;
  if (!server_.Request("POST", index + "/_refresh").ok()) return found;
  const auto answer = server_.Request("GET", index + "/_search?size=10000");
  if (!answer.ok()) return found;
  const json parsed = json::parse(*answer);
  for (const json& hit : parsed["hits"]["hits"]) {
    found[hit["_id"].get<std::string>()] = Comparable(hit["_source"]);
  }
  return found;
}

SearchDocuments::ById SearchDocuments::Rows(const std::string& query) const {
  ById found;
  const auto rows = source_.server->Query(query, source_.name);
  EXPECT_TRUE(rows.ok()) << rows.status();
  if (!rows.ok()) return found;
  for (const auto& row : *rows) found[*row[0]] = Comparable(json::parse(*row[1]));
  return found;
}

std::string SearchDocuments::Plain(const std::string& table) {
  return fmt::format("SELECT id::text, row_to_json(t)::text FROM {} t", table);
}

std::string SearchDocuments::Difference(const std::string& table, const std::string& query) const {
  const ById rows = Rows(query);
  const ById documents = Documents(table);
  std::string difference;
  for (const auto& [id, row] : rows) {
    const auto found = documents.find(id);
    if (found == documents.end()) {
      difference += fmt::format("  {} has no document\n", id);
    } else if (found->second != row) {
      difference +=
          fmt::format("  {} is {}\n    and not {}\n", id, Short(found->second), Short(row));
    }
  }
  for (const auto& [id, document] : documents) {
    if (!rows.contains(id)) difference += fmt::format("  {} has no row\n", id);
  }
  const Fields mapped = FieldsMapped(table);
  const Fields wanted = FieldsWanted(table);
  if (mapped != wanted) {
    difference +=
        fmt::format("  the mapping is {}\n    and not {}\n", Short(mapped), Short(wanted));
  }
  return difference.empty() ? "" : table + ":\n" + difference;
}

SearchDocuments::Fields SearchDocuments::FieldsWanted(const std::string& table) const {
  static const Fields kTypes = {{"text", "text"}, {"integer", "long"}, {"date", "date"}};
  Fields fields;
  for (const Column& column : ColumnsOf(source_, table, 0)) {
    fields[column.name] = kTypes.at(column.type);
  }
  return fields;
}

SearchDocuments::Fields SearchDocuments::FieldsMapped(const std::string& table) const {
  Fields fields;
  const auto answer = server_.Request("GET", "/" + prefix_ + table + "/_mapping");
  if (!answer.ok()) return fields;
  const json mapping = json::parse(*answer).begin().value()["mappings"];
  for (const json& column : mapping["_meta"]["pgflow"]["columns"]) {
    const std::string field = column["field"].get<std::string>();
    fields[field] = mapping["properties"][field].value("type", "none");
  }
  return fields;
}

void SearchDocuments::Remove() const {
  const auto answer = server_.Request("GET", "/" + prefix_ + "*/_alias");
  if (!answer.ok()) return;
  const json parsed = json::parse(*answer);
  for (const auto& [index, body] : parsed.items()) {
    static_cast<void>(server_.Request("DELETE", "/" + index));
  }
}

}  // namespace pgflow::tests
