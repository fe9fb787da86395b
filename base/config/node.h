// Node: one value of a configuration file, with the place it was written at. Problems: everything
// that is wrong with a configuration, collected so that it can be shown at once.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/status/status.h>

namespace pgflow::config {

// Where something was written, for messages that come later than the parser's.
struct Place {
  std::string file;
  int line = 0;  // From 1; 0: it was not written.

  // "pipeline.yaml:12"; empty when it was not written.
  std::string ToString() const;
};

// A cheap handle to an immutable tree. A default-made Node is absent: no value was written there.
// Thread-safe (immutable).
class Node {
 public:
  enum class Kind { kAbsent, kNull, kScalar, kList, kMap };
  struct Body;

  Node() = default;
  explicit Node(std::shared_ptr<const Body> body) : body_(std::move(body)) {}

  Kind kind() const;
  bool is_absent() const { return kind() == Kind::kAbsent; }
  // Written without a value (`stdout:`), or as `null` or `~`.
  bool is_null() const { return kind() == Kind::kNull; }
  bool is_scalar() const { return kind() == Kind::kScalar; }
  bool is_list() const { return kind() == Kind::kList; }
  bool is_map() const { return kind() == Kind::kMap; }

  // Where it was written. Lines and columns count from 1; 0 for an absent node.
  const std::string& file() const;
  int line() const;
  int column() const;
  Place place() const { return {file(), line()}; }
  // "source.postgres.url", "sinks[1]"; empty for the root.
  const std::string& path() const;

  // A scalar's text, references resolved; empty for everything else.
  const std::string& text() const;
  // A scalar that was written in quotes.
  bool is_quoted() const;
  // True when a reference gave (part of) the text: then messages must not repeat it.
  bool is_from_reference() const;
  // How a message may name the value: 'text', "the value of ${NAME}", or not at all where it may be
  // a secret in the wrong place.
  std::string Quoted() const;

  // A list's items; empty for everything else.
  const std::vector<Node>& items() const;
  // A map's keys (scalar nodes, for their places) and values, as written.
  const std::vector<std::pair<Node, Node>>& entries() const;
  std::vector<std::string> keys() const;
  // The value under `key`; absent when there is none.
  Node Find(std::string_view key) const;
  // The key itself, for messages about it; absent when there is none.
  Node FindKey(std::string_view key) const;

 private:
  std::shared_ptr<const Body> body_;
};

struct Node::Body {
  Kind kind = Kind::kNull;
  std::shared_ptr<const std::string> file;
  int line = 0;
  int column = 0;
  std::string path;
  std::string text;
  std::string written;  // The references in it, without their defaults; empty when none.
  bool quoted = false;
  std::vector<Node> items;
  std::vector<std::pair<Node, Node>> entries;
};

struct Problem {
  std::string file;
  int line = 0;
  int column = 0;
  std::string message;

  // "pipeline.yaml:12:5: message".
  std::string ToString() const;
};

// Not thread-safe.
class Problems {
 public:
  // `file` names the file in problems that are added by line and column.
  explicit Problems(std::string file = {}) : file_(std::move(file)) {}

  void Add(const Node& node, std::string message);
  void Add(int line, int column, std::string message);

  bool empty() const { return problems_.empty(); }
  size_t size() const { return problems_.size(); }
  // By line, then column; those of one place in the order they were found.
  std::vector<Problem> Sorted() const;
  // A line each, sorted; no newline behind the last.
  std::string ToString() const;
  // kInvalidArgument with ToString(), OK when there is none.
  absl::Status ToStatus() const;

 private:
  std::string file_;
  std::vector<Problem> problems_;
};

// Letters, digits, what stands in names and numbers, and `also`: neither a URL nor an assignment,
// which may have a secret in them, nor a long text.
bool IsHarmless(std::string_view text, std::string_view also = {});

// The one of `names` that `text` is most likely a misspelling of; empty when none is near.
std::string NearestName(std::string_view text, const std::vector<std::string>& names);

}  // namespace pgflow::config
