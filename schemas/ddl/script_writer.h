// ScriptWriter: collects the statements of one script. Internal to this folder.
#pragma once

#include <string>
#include <utility>

#include "schemas/ddl/ddl_script.h"

namespace pgflow::schemas {

// What servers of before `version` do not know: there `sql` is run instead, or nothing when it is
// empty, with a warning that says `loss` unless that is empty.
struct OnOlderServers {
  int version = 180000;
  std::string sql{};
  std::string loss{};
};

// The script must outlive it. One thread.
class ScriptWriter {
 public:
  explicit ScriptWriter(DdlScript& script) : script_(script) {}

  void Add(std::string sql, std::string skip_when = {}) {
    script_.statements.push_back(
        {.sql = std::move(sql), .skip_when = std::move(skip_when), .best_effort = false});
  }
  // Plain Add when both are the same.
  void AddByVersion(std::string sql, OnOlderServers older, std::string skip_when = {}) {
    const bool differs = sql != older.sql;
    Add(std::move(sql), std::move(skip_when));
    if (!differs) return;
    DdlStatement& statement = script_.statements.back();
    statement.since = older.version;
    statement.older_sql = std::move(older.sql);
    statement.loss = std::move(older.loss);
  }
  // Best effort; not at all when `left_out_when` answers true.
  void Try(std::string sql, std::string skip_when = {}, std::string left_out_when = {},
           std::string obstacle = {}) {
    script_.statements.push_back({std::move(sql), std::move(skip_when), true,
                                  std::move(left_out_when), std::move(obstacle)});
  }
  void TryByVersion(std::string sql, OnOlderServers older) {
    AddByVersion(std::move(sql), std::move(older));
    script_.statements.back().best_effort = true;
  }
  // As it is, best effort.
  void Try(DdlStatement statement) {
    statement.best_effort = true;
    script_.statements.push_back(std::move(statement));
  }
  void DeleteRows(const std::string& table) {
    script_.deletes_rows = true;
    Add("DELETE FROM ONLY " + table);
  }
  void Warn(std::string text) { script_.warnings.push_back(std::move(text)); }

 private:
  DdlScript& script_;
};

}  // namespace pgflow::schemas
