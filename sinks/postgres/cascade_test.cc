// Foreign keys with actions on both sides, and a role that cannot switch those of the target off:
// what the source's have done comes as changes, after the target's have done the same.
#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "base/status.h"
#include "sinks/postgres/sink_fixture_test.h"

namespace pgflow::sinks {
namespace {

constexpr std::string_view kTables =
    "CREATE TABLE p (id int PRIMARY KEY, n int); INSERT INTO p VALUES (0, 0);"
    // Its rows go with their parent's, and their keys follow it; so do its own children's.
    "CREATE TABLE c (p int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE, m int, n int,"
    " PRIMARY KEY (p, m));"
    "CREATE TABLE g (p int, m int, z int, PRIMARY KEY (p, m, z),"
    " FOREIGN KEY (p, m) REFERENCES c ON DELETE CASCADE ON UPDATE CASCADE);"
    "CREATE TABLE s (id int PRIMARY KEY, p int REFERENCES p ON DELETE SET NULL ON UPDATE CASCADE);"
    "CREATE TABLE f (p int REFERENCES p ON DELETE SET NULL ON UPDATE CASCADE, n int);"
    "CREATE TABLE d (p int DEFAULT 0 REFERENCES p ON DELETE SET DEFAULT ON UPDATE CASCADE, m int,"
    " PRIMARY KEY (p, m));"
    "CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t ON DELETE CASCADE);";

// What a source with those tables sends.
class CascadingHistory {
 public:
  explicit CascadingHistory(uint32_t seed) : random_(seed) { p_[0] = 0; }

  std::string Window() {
    script_.clear();
    for (int tx = 0, txs = 1 + Pick(5); tx < txs; ++tx) {
      script_ += "begin\n";
      const int statements = Pick(10) == 0 ? 200 : 1 + Pick(10);
      for (int i = 0; i < statements; ++i) Statement();
      script_ += "commit\n";
    }
    return script_;
  }

  std::string Rows() const {
    std::string p, c, g, s, f, d, t;
    for (const auto& [id, n] : p_) p += fmt::format("{},{};", id, n);
    for (const auto& [key, n] : c_) c += fmt::format("{},{},{};", key.first, key.second, n);
    for (const auto& [x, y, z] : g_) g += fmt::format("{},{},{};", x, y, z);
    for (const auto& [id, up] : s_) s += fmt::format("{},{};", id, Shown(up, "-"));
    std::vector<std::pair<int, int>> sorted = f_;
    std::ranges::sort(sorted);
    for (const auto& [up, n] : sorted) f += fmt::format("{},{};", Shown(up, "-"), n);
    for (const auto& [up, m] : d_) d += fmt::format("{},{};", up, m);
    for (const auto& [id, up] : t_) t += fmt::format("{},{};", id, Shown(up, "-"));
    return p + "|" + c + "|" + g + "|" + s + "|" + f + "|" + d + "|" + t;
  }

 private:
  using Key = std::pair<int, int>;

  int Pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }
  static std::string Shown(int up, std::string_view null) {
    return up < 0 ? std::string(null) : std::to_string(up);
  }
  template <typename... Args>
  void Send(fmt::format_string<Args...> format, Args&&... args) {
    script_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }
  int AnyParent() { return std::next(p_.begin(), Pick(static_cast<int>(p_.size())))->first; }

  void Statement() {
    switch (Pick(14)) {
      case 0:
        return DeleteParents();
      case 1:
        return MoveParents();
      case 2:
      case 3:
      case 4:
        return InsertParent();
      case 5:
        return ChangeChild();
      case 6:
        return ChangeTree();
      default:
        return InsertChild();
    }
  }

  void InsertParent() {
    const int id = 1 + Pick(50);
    if (!p_.emplace(id, 1).second) {
      p_[id] = Pick(100);
      return Send("update p {} {}", id, p_[id]);
    }
    Send("insert p {} 1", id);
  }

  void InsertChild() {
    const int up = AnyParent();
    switch (Pick(5)) {
      case 0:
        c_[{up, ++last_}] = 5;
        Send("insert c {} {} 5", up, last_);
        for (int z = 0; z < Pick(3); ++z) {
          g_.emplace(up, last_, z);
          Send("insert g {} {} {}", up, last_, z);
        }
        return;
      case 1:
        s_[++last_] = up;
        return Send("insert s {} {}", last_, up);
      case 2:
        f_.emplace_back(up, Pick(3));
        return Send("insert f {} {}", up, f_.back().second);
      case 3:
        d_.emplace(up, ++last_);
        return Send("insert d {} {}", up, last_);
      default:
        c_[{up, ++last_}] = 6;
        return Send("insert c {} {} 6", up, last_);
    }
  }

  void ChangeChild() {
    if (c_.empty()) return;
    const auto row = std::next(c_.begin(), Pick(static_cast<int>(c_.size())));
    const auto [up, m] = row->first;
    if (Pick(2) == 0) {
      row->second = Pick(100);
      return Send("update c {} {} {}", up, m, row->second);
    }
    DeleteChild(row->first);
  }

  void DeleteChild(Key key) {
    Send("delete c {} {}", key.first, key.second);
    c_.erase(key);
    std::erase_if(g_, [&](const auto& row) {
      const auto [x, y, z] = row;
      if (Key(x, y) != key) return false;
      Send("delete g {} {} {}", x, y, z);
      return true;
    });
  }

  void ChangeTree() {
    if (t_.empty() || Pick(4) > 0) {
      const int up = t_.empty() || Pick(4) == 0
                         ? -1
                         : std::next(t_.begin(), Pick(static_cast<int>(t_.size())))->first;
      t_[++last_] = up;
      return Send("insert t {} {}", last_, Shown(up, "null"));
    }
    std::vector<int> level = {std::next(t_.begin(), Pick(static_cast<int>(t_.size())))->first};
    while (!level.empty()) {
      std::vector<int> below;
      for (int id : level) {
        Send("delete t {}", id);
        t_.erase(id);
      }
      for (int id : level) {
        for (const auto& [child, up] : t_) {
          if (up == id) below.push_back(child);
        }
      }
      level = below;
    }
  }

  // One statement for some rows: their children's changes come behind all of them.
  void DeleteParents() {
    std::vector<int> gone;
    const int count = Pick(6) == 0 ? 40 : 1;
    for (const auto& [id, n] : p_) {
      if (id != 0 && std::ssize(gone) < count && (count > 1 || Pick(5) == 0)) gone.push_back(id);
    }
    for (int id : gone) {
      Send("delete p {}", id);
      p_.erase(id);
    }
    for (int id : gone) Follow(id, -1);
  }

  void MoveParents() {
    // Each takes the key of the one before it, as UPDATE p SET id = id + ... may.
    std::vector<std::pair<int, int>> moves;
    int to = 51 + Pick(100);
    if (p_.contains(to)) return;
    for (int id : {AnyParent(), AnyParent(), AnyParent()}) {
      // Which of two equal rows without a key was moved in a chain cannot be told.
      const bool in_f = std::ranges::any_of(f_, [&](const auto& row) { return row.first == id; });
      if (id == 0 || id == to || !p_.contains(id) || (in_f && !moves.empty())) break;
      if (std::ranges::any_of(moves, [&](auto& move) { return move.first == id; })) break;
      moves.emplace_back(id, to);
      if (in_f) break;
      to = id;
    }
    for (const auto& [from, into] : moves) {
      Send("update p old({}) {} {}", from, into, p_.at(from));
      p_[into] = p_.at(from);
      p_.erase(from);
    }
    for (const auto& [from, into] : moves) Follow(from, into);
  }

  // `to` < 0: the parent was deleted.
  void Follow(int from, int to) {
    std::vector<std::pair<Key, int>> children;
    for (const auto& [key, n] : c_) {
      if (key.first == from) children.emplace_back(key, n);
    }
    for (const auto& [key, n] : children) {
      if (to < 0) {
        DeleteChild(key);
        continue;
      }
      Send("update c old({} {}) {} {} {}", from, key.second, to, key.second, n);
      c_.erase(key);
      c_[{to, key.second}] = n;
      std::set<std::tuple<int, int, int>> grandchildren;
      for (const auto& [x, y, z] : g_) {
        if (x == from && y == key.second) grandchildren.emplace(x, y, z);
      }
      for (const auto& [x, y, z] : grandchildren) {
        Send("update g old({} {} {}) {} {} {}", x, y, z, to, y, z);
        g_.erase({x, y, z});
        g_.emplace(to, y, z);
      }
    }
    for (auto& [id, up] : s_) {
      if (up != from) continue;
      up = to;
      Send("update s {} {}", id, Shown(up, "null"));
    }
    for (auto& [up, n] : f_) {
      if (up != from) continue;
      up = to;
      Send("update f full({} {}) {} {}", from, n, Shown(up, "null"), n);
    }
    const std::set<Key> before = d_;
    for (const auto& [up, m] : before) {
      if (up != from) continue;
      d_.erase({up, m});
      d_.emplace(std::max(to, 0), m);
      Send("update d old({} {}) {} {}", up, m, std::max(to, 0), m);
    }
  }

  std::mt19937 random_;
  std::string script_;
  int last_ = 0;
  std::map<int, int> p_;
  std::map<Key, int> c_;
  std::set<std::tuple<int, int, int>> g_;
  std::map<int, int> s_;  // -1: NULL.
  std::vector<std::pair<int, int>> f_;
  std::set<Key> d_;
  std::map<int, int> t_;
};

class CascadeTest : public SinkFixture {
 protected:
  void Declare() {
    builder_.Table("p (id int4 key, n int4)");
    builder_.Table("c (p int4 key, m int4 key, n int4)");
    builder_.Table("g (p int4 key, m int4 key, z int4 key)");
    builder_.Table("s (id int4 key, p int4)");
    builder_.Table("f (p int4, n int4) full");
    builder_.Table("d (p int4 key, m int4 key)");
    builder_.Table("t (id int4 key, up int4)");
  }
  // A database with the tables, and the sink as a role for which their keys act.
  void Prepare(const std::string& database) {
    ASSERT_TRUE(Server().CreateDatabase(database).ok());
    const std::string role = database + "_app";
    const absl::Status made = Server().Execute(
        fmt::format("{0}CREATE ROLE {1} LOGIN; GRANT CREATE ON DATABASE {2} TO {1};"
                    "GRANT ALL ON ALL TABLES IN SCHEMA public TO {1}",
                    kTables, role, database),
        database);
    ASSERT_TRUE(made.ok()) << made;
    config_.url = config::Secret(Server().url(database, role));
    Start();
  }
  std::string Tables(const std::string& database) {
    std::string all;
    for (const std::string sql : {"SELECT * FROM p ORDER BY 1", "SELECT * FROM c ORDER BY 1, 2",
                                  "SELECT * FROM g ORDER BY 1, 2, 3", "SELECT * FROM s ORDER BY 1",
                                  "SELECT * FROM f ORDER BY 1 NULLS FIRST, 2",
                                  "SELECT * FROM d ORDER BY 1, 2", "SELECT * FROM t ORDER BY 1"}) {
      const std::string rows = Rows(sql, database);
      all += (all.empty() ? "" : "|") + rows + (rows.empty() ? "" : ";");
    }
    return all;
  }
};

TEST_F(CascadeTest, ARandomHistoryArrives) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  fmt::print("seed {}\n", seed);
  Declare();
  CascadingHistory history(seed);
  std::vector<std::string> windows;
  for (int i = 0; i < 12; ++i) windows.push_back(history.Window());
  for (const uint64_t threshold : {1000000, 1}) {
    for (const bool binary : {false, true}) {
      config_.bulk_threshold = threshold;
      binary_ = binary;
      const std::string database = fmt::format("{}_{}{}", database_, threshold, binary ? "b" : "t");
      Prepare(database);
      for (const std::string& window : windows) {
        const absl::Status status = Apply(window);
        ASSERT_TRUE(status.ok()) << status << "\n" << window;
      }
      EXPECT_EQ(Tables(database), history.Rows()) << database;
    }
  }
}

// The one transaction and the tables above it excuse a missing row, and nothing else does.
TEST_F(CascadeTest, StaysStrictWhereNoCascadeExplainsIt) {
  Declare();
  for (const uint64_t threshold : {1000000, 1}) {
    config_.bulk_threshold = threshold;
    const std::string database = fmt::format("{}_{}", database_, threshold);
    Prepare(database);
    ASSERT_EQ(ApplyOne("insert p 1 1\ninsert p 2 2\ninsert c 1 1 0\ninsert c 2 1 0\ninsert s 1 2"),
              absl::OkStatus());
    for (const std::string script :
         {"begin\ndelete c 1 9\ncommit",                             // Nobody's child.
          "begin\ndelete p 1\ncommit\nbegin\ndelete c 1 1\ncommit",  // Another transaction.
          "begin\nupdate p 1 5\ndelete c 1 9\ncommit",               // An UPDATE deletes nothing.
          "begin\ndelete s 1\ndelete c 1 9\ncommit",                 // No parent.
          "begin\ndelete p 2\ndelete s 9\ncommit",                   // SET NULL deletes nothing.
          "begin\ndelete p 1\nupdate c 1 1 7\ncommit",               // Its row should be there.
          "begin\nupdate p old(1) 3 1\nupdate c old(1 9) 3 9 0\ncommit"}) {
      const absl::Status status = Apply(script);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status << "\n" << script;
      EXPECT_NE(base::Message(status).find("diverged"), std::string_view::npos) << status;
      Reopen();
    }
    EXPECT_EQ(Tables(database), "0,0;1,1;2,2;|1,1,0;2,1,0;||1,2;|||");
  }
}

// A transaction whose parent and children come in different windows.
TEST_F(CascadeTest, RemembersTheTransactionFromWindowToWindow) {
  Declare();
  Prepare(database_ + "_w");
  ASSERT_EQ(ApplyOne("insert p 1 1\ninsert c 1 1 0\ninsert c 1 2 0"), absl::OkStatus());
  ASSERT_EQ(Apply("begin\ndelete p 1\ndelete c 1 1", false), absl::OkStatus());
  ASSERT_EQ(Apply("delete c 1 2\ncommit"), absl::OkStatus());
  EXPECT_EQ(Tables(database_ + "_w"), "0,0;||||||");
}

// Keys from and to partitioned tables, whose changes come leaf by leaf.
TEST_F(CascadeTest, FindsTheKeysOfPartitions) {
  builder_.Table("p1 (id int4 key)");
  builder_.Table("c1 (id int4 key, p int4)");
  const std::string role = MakeRole();
  Sql("CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);"
      "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE)"
      " PARTITION BY RANGE (id);"
      "CREATE TABLE c1 PARTITION OF c FOR VALUES FROM (0) TO (100);"
      "GRANT ALL ON ALL TABLES IN SCHEMA public TO " +
      role);
  config_.url = config::Secret(Server().url(database_, role));
  Start();
  ASSERT_EQ(ApplyOne("insert p1 1\ninsert c1 1 1\ninsert c1 2 1"), absl::OkStatus());
  ASSERT_EQ(ApplyOne("delete p1 1\ndelete c1 1\ndelete c1 2"), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c)"), "0,0");
}

}  // namespace
}  // namespace pgflow::sinks
