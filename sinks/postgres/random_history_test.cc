// The same random history, row by row and in bulk, in both formats, gives the same tables.
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

// Valid changes of three tables: a simple key, a key of two columns, no key at all.
class RandomHistory {
 public:
  explicit RandomHistory(uint32_t seed) : random_(seed) {}

  std::string Window() {
    std::string script;
    for (int tx = 0, txs = 1 + Pick(8); tx < txs; ++tx) {
      script += "begin\n";
      for (int i = 0, changes = 1 + Pick(30); i < changes; ++i) script += Change();
      script += "commit\n";
    }
    return script;
  }

 private:
  int Pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  std::string Change() {
    if (Pick(300) == 0) {
      a_.clear();
      k_.clear();
      return "truncate a, k\n";
    }
    const int kind = Pick(10);
    if (kind < 5) return ChangeOfA();
    return kind < 8 ? ChangeOfB() : ChangeOfK();
  }

  std::string ChangeOfA() {
    const int id = Pick(40);
    if (!a_.contains(id)) {
      a_.insert(id);
      return fmt::format("insert a {} {} n{} {}\n", id, Pick(1000), Pick(9),
                         Pick(3) == 0 ? "null" : "big");
    }
    const int to = Pick(40);
    switch (Pick(5)) {
      case 0:
        a_.erase(id);
        return fmt::format("delete a {}\n", id);
      case 1:
        if (a_.contains(to)) return "";
        a_.erase(id);
        a_.insert(to);
        return fmt::format("update a old({}) {} 5 moved {}\n", id, to,
                           Pick(6) == 0 ? "unchanged" : "m");
      default:
        return fmt::format("update a {} {} 'name {}' {}\n", id, Pick(1000), Pick(100),
                           Pick(2) == 0 ? "unchanged" : fmt::format("L{}", Pick(99)));
    }
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
  std::set<int> a_;
  std::set<std::pair<int, int>> b_;
  std::vector<std::pair<int, int>> k_;
};

class RandomHistoryTest : public SinkFixture {
 protected:
  // What the tables hold in the end.
  std::string Play(const std::vector<std::string>& windows, uint64_t threshold, bool binary) {
    const std::string database = fmt::format("{}_{}{}", database_, threshold, binary ? "b" : "t");
    EXPECT_TRUE(Server().CreateDatabase(database).ok());
    EXPECT_TRUE(Server()
                    .Execute("CREATE TABLE a (id int PRIMARY KEY, n bigint, name text, large text);"
                             "CREATE TABLE b (x text, y int, n int, PRIMARY KEY (y, x));"
                             "CREATE TABLE k (n int, name text)",
                             database)
                    .ok());
    config_.url = config::Secret(Server().url(database));
    config_.bulk_threshold = threshold;
    binary_ = binary;
    Start();
    for (const std::string& window : windows) {
      const absl::Status status = Apply(window);
      EXPECT_TRUE(status.ok()) << status << "\n" << window;
    }
    sink_.reset();
    return Rows("SELECT * FROM a ORDER BY id", database) + "|" +
           Rows("SELECT * FROM b ORDER BY x, y", database) + "|" +
           Rows("SELECT * FROM k ORDER BY n, name", database);
  }
};

TEST_F(RandomHistoryTest, BulkEqualsRowByRow) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  fmt::print("seed {}\n", seed);
  builder_.Table("a (id int4 key, n int8, name text, large text)");
  builder_.Table("b (x text key, y int4 key, n int4)");
  builder_.Table("k (n int4, name text) full");
  RandomHistory history(seed);
  std::vector<std::string> windows;
  for (int i = 0; i < 12; ++i) windows.push_back(history.Window());
  const std::string expected = Play(windows, 1000000, false);
  EXPECT_EQ(Play(windows, 1000000, true), expected);
  EXPECT_EQ(Play(windows, 1, false), expected);
  EXPECT_EQ(Play(windows, 1, true), expected);
  EXPECT_GT(expected.size(), 100U);
}

}  // namespace
}  // namespace pgflow::sinks
