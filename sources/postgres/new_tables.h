// NewTables: what was seen of tables that the stream does not carry, until somebody deals with it.
//
// Note is called by one thread at a time, Take by any.
#pragma once

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <utility>

namespace pgflow::sources {

class NewTables {
 public:
  // Such tables as they are now, with what the role may do with each: whoever looked at one in
  // vain looks again when that has changed.
  void Note(std::set<std::string> tables) {
    const bool news = std::ranges::any_of(
        tables, [this](const std::string& table) { return !noted_.contains(table); });
    noted_ = std::move(tables);
    if (news) found_ = true;
  }
  // Something new was noted since the last call.
  bool Take() { return found_.exchange(false); }

 private:
  std::set<std::string> noted_;
  std::atomic<bool> found_{false};
};

}  // namespace pgflow::sources
