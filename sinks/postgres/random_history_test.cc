// The same random history, row by row and in bulk, in both formats, gives the same tables: over
// several versions of a table, with every replica identity, with columns that only the target has,
// and where the target lacks rows.
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "sinks/postgres/sink_fixture_test.h"

namespace pgflow::sinks {
namespace {

using Part = SinkFixture::Part;
using Windows = std::vector<std::vector<Part>>;

constexpr std::string_view kTarget =
    "CREATE TABLE a (id int PRIMARY KEY, n bigint, name text, large text, own text DEFAULT 'd',"
    " twice bigint GENERATED ALWAYS AS (n * 2) STORED, seen bool NOT NULL DEFAULT false);"
    "CREATE TABLE b (x text, y int, n int, own int DEFAULT 1, PRIMARY KEY (y, x));"
    "CREATE TABLE i (id int PRIMARY KEY, code int NOT NULL UNIQUE, n int, own text DEFAULT 'e');"
    "CREATE TABLE k (n int, name text, own int DEFAULT 3);"
    "CREATE TABLE l (n int, own int DEFAULT 4);";
// What somebody does to the target's own columns between two windows.
constexpr std::string_view kTouch =
    "UPDATE a SET own = 'of ' || id, seen = true WHERE id % 2 = 0; UPDATE b SET own = y + 10;"
    "UPDATE i SET own = 'of ' || id;";
// And how rows come to be missing.
constexpr std::string_view kLose =
    "DELETE FROM a WHERE id % 7 = 3; DELETE FROM b WHERE n % 5 = 0; DELETE FROM i WHERE n < 20;"
    "DELETE FROM k WHERE n = 1;";

constexpr std::string_view kVersionsOfA[] = {
    "a (id int4 key, n int8, name text, large text)",
    "a (id int4, n int8, name text, large text) full",
    "a (id int4 key, name text, n int8)",
};

// Valid changes of tables with a simple key, a key of two columns, an index as the identity, no key
// at all, and no identity.
class RandomHistory {
 public:
  RandomHistory(uint32_t seed, bool changes_versions)
      : random_(seed), changes_versions_(changes_versions) {}

  std::vector<Part> Window() {
    std::vector<Part> parts(1);
    for (int tx = 0, txs = 1 + Pick(8); tx < txs; ++tx) {
      if (changes_versions_ && Pick(6) == 0) {
        version_ = Pick(3);
        parts.push_back({std::string(kVersionsOfA[version_]), "", true});
      }
      parts.back().script += "begin\n";
      const int changes = Pick(20) == 0 ? 600 : 1 + Pick(40);
      for (int i = 0; i < changes; ++i) parts.back().script += Change();
      // A transaction may be larger than a window.
      if (Pick(10) == 0) {
        parts.back().ends_at_commit = false;
        parts.push_back({});
        for (int i = 0; i < 50; ++i) parts.back().script += Change();
      }
      parts.back().script += "commit\n";
    }
    return parts;
  }

 private:
  struct A {
    int n;
    std::string name;
    std::string large;
  };

  int Pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  std::string Change() {
    if (Pick(300) == 0) {
      a_.clear();
      k_.clear();
      return "truncate a, k\n";
    }
    switch (Pick(12)) {
      case 0:
      case 1:
        return ChangeOfB();
      case 2:
      case 3:
        return ChangeOfK();
      case 4:
      case 5:
        return ChangeOfI();
      case 6:
        return fmt::format("insert l {}\n", Pick(9));
      default:
        return ChangeOfA();
    }
  }

  bool IsFull() const { return version_ == 1; }
  std::string Old(int id) const {
    const A& row = a_.at(id);
    return fmt::format("full({} {} {} {})", id, row.n, row.name, row.large);
  }
  // `large` may be "unchanged", then the row keeps its own.
  std::string New(int id, const A& row, const std::string& large) const {
    return version_ == 2 ? fmt::format("{} {} {}", id, row.name, row.n)
                         : fmt::format("{} {} {} {}", id, row.n, row.name, large);
  }

  std::string ChangeOfA() {
    const int id = Pick(changes_versions_ ? 400 : 40);
    if (!a_.contains(id)) {
      A& row = a_[id] = {Pick(1000), fmt::format("n{}", Pick(9)), Pick(3) == 0 ? "null" : "big"};
      if (version_ == 2) row.large = "null";
      return fmt::format("insert a {}\n", New(id, row, row.large));
    }
    const std::string old = IsFull() ? Old(id) + " " : "";
    const int kind = Pick(5);
    if (kind == 0) {
      a_.erase(id);
      return fmt::format("delete a {}\n", IsFull() ? old : std::to_string(id));
    }
    A row = a_.at(id);
    row.n = Pick(1000);
    row.name = fmt::format("m{}", Pick(100));
    const bool leaves = Pick(2) == 0 || version_ == 2;
    if (!leaves) row.large = fmt::format("L{}", Pick(99));
    const int to = kind == 1 ? Pick(60) : id;
    if (to != id && a_.contains(to)) return "";
    a_.erase(id);
    a_[to] = row;
    const std::string key = to != id && !IsFull() ? fmt::format("old({}) ", id) : old;
    return fmt::format("update a {}{}\n", key, New(to, row, leaves ? "unchanged" : row.large));
  }

  std::string ChangeOfB() {
    const std::pair<int, int> key(Pick(5), Pick(5));
    if (b_.insert(key).second) {
      return fmt::format("insert b x{} {} {}\n", key.first, key.second, Pick(100));
    }
    if (Pick(3) > 0) return fmt::format("update b x{} {} {}\n", key.first, key.second, Pick(100));
    b_.erase(key);
    return fmt::format("delete b x{} {}\n", key.first, key.second);
  }

  // The identity is `code`, the primary key `id`.
  std::string ChangeOfI() {
    const int code = Pick(30);
    if (!i_.contains(code)) {
      i_[code] = ++last_id_;
      return fmt::format("insert i {} {} {}\n", last_id_, code, Pick(100));
    }
    const int id = i_.at(code);
    switch (Pick(4)) {
      case 0:
        i_.erase(code);
        return fmt::format("delete i {}\n", code);
      case 1: {
        const int to = Pick(30);
        if (i_.contains(to)) return "";
        i_.erase(code);
        i_[to] = id;
        return fmt::format("update i old({}) {} {} {}\n", code, id, to, Pick(100));
      }
      case 2:
        i_[code] = ++last_id_;
        return fmt::format("update i {} {} {}\n", last_id_, code, Pick(100));
      default:
        return fmt::format("update i {} {} {}\n", id, code, Pick(100));
    }
  }

  std::string ChangeOfK() {
    const std::pair<int, int> row(Pick(3), Pick(2));
    if (k_.empty() || Pick(2) == 0) {
      k_.push_back(row);
      return fmt::format("insert k {} s{}\n", row.first, row.second);
    }
    const auto at = k_.begin() + Pick(static_cast<int>(k_.size()));
    const std::pair<int, int> old = *at;
    k_.erase(at);
    if (Pick(2) == 0) return fmt::format("delete k full({} s{})\n", old.first, old.second);
    k_.push_back(row);
    return fmt::format("update k full({} s{}) {} s{}\n", old.first, old.second, row.first,
                       row.second);
  }

  std::mt19937 random_;
  const bool changes_versions_;
  int version_ = 0;
  int last_id_ = 0;
  std::map<int, A> a_;
  std::set<std::pair<int, int>> b_;
  std::map<int, int> i_;
  std::vector<std::pair<int, int>> k_;
};

class RandomHistoryTest : public SinkFixture {
 protected:
  // What the tables hold in the end.
  std::string Play(const Windows& windows, uint64_t threshold, bool binary) {
    const std::string database = fmt::format("{}_{}{}", database_, threshold, binary ? "b" : "t");
    EXPECT_TRUE(Server().CreateDatabase(database).ok());
    EXPECT_TRUE(Server().Execute(std::string(kTarget), database).ok());
    config_.url = config::Secret(Server().url(database));
    config_.bulk_threshold = threshold;
    binary_ = binary;
    builder_.Table(kVersionsOfA[0]);
    Start();
    const bool loses = config_.on_missing_row == MissingRow::kIgnore;
    for (const std::vector<Part>& window : windows) {
      const absl::Status status = ApplyParts(window);
      EXPECT_TRUE(status.ok()) << status;
      const std::string between = fmt::format("{}{}", kTouch, loses ? kLose : "");
      EXPECT_TRUE(Server().Execute(between, database).ok());
    }
    sink_.reset();
    return Rows("SELECT * FROM a ORDER BY id", database) + "|" +
           Rows("SELECT * FROM b ORDER BY x, y", database) + "|" +
           Rows("SELECT * FROM i ORDER BY id", database) + "|" +
           Rows("SELECT * FROM k ORDER BY n, name", database) + "|" +
           Rows("SELECT * FROM l ORDER BY n", database);
  }

  void BulkEqualsRowByRow(bool changes_versions, MissingRow on_missing_row) {
    const uint32_t seed = std::random_device()();
    SCOPED_TRACE(fmt::format("seed {}", seed));
    fmt::print("seed {}\n", seed);
    config_.on_missing_row = on_missing_row;
    builder_.Table("b (x text key, y int4 key, n int4)");
    builder_.Table("i (id int4, code int4 key, n int4)");
    builder_.Table("k (n int4, name text) full");
    builder_.Table("l (n int4) nothing");
    RandomHistory history(seed, changes_versions);
    Windows windows;
    for (int i = 0; i < 12; ++i) windows.push_back(history.Window());
    const std::string expected = Play(windows, 1000000, false);
    EXPECT_EQ(Play(windows, 1000000, true), expected);
    EXPECT_EQ(Play(windows, 1, false), expected);
    EXPECT_EQ(Play(windows, 1, true), expected);
    EXPECT_GT(expected.size(), 100U);
  }
};

TEST_F(RandomHistoryTest, BulkEqualsRowByRow) { BulkEqualsRowByRow(false, MissingRow::kError); }

TEST_F(RandomHistoryTest, BulkEqualsRowByRowOverVersions) {
  BulkEqualsRowByRow(true, MissingRow::kError);
}

TEST_F(RandomHistoryTest, BulkEqualsRowByRowWhereRowsAreMissing) {
  BulkEqualsRowByRow(true, MissingRow::kIgnore);
}

}  // namespace
}  // namespace pgflow::sinks
