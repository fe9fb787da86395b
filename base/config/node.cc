#include "base/config/node.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

namespace pgflow::config {
namespace {

const Node::Body& AbsentBody() {
  static const Node::Body body = [] {
    Node::Body absent;
    absent.kind = Node::Kind::kAbsent;
    absent.file = std::make_shared<const std::string>();
    return absent;
  }();
  return body;
}

// Levenshtein's distance, without regard to case: `Slot` is as near to `slot` as can be.
size_t EditDistance(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

Node::Kind Node::kind() const { return body_ == nullptr ? Kind::kAbsent : body_->kind; }
const std::string& Node::file() const { return *(body_ ? *body_ : AbsentBody()).file; }
int Node::line() const { return body_ ? body_->line : 0; }
int Node::column() const { return body_ ? body_->column : 0; }
const std::string& Node::path() const { return (body_ ? *body_ : AbsentBody()).path; }
const std::string& Node::text() const { return (body_ ? *body_ : AbsentBody()).text; }
bool Node::is_quoted() const { return body_ && body_->quoted; }
bool Node::is_from_reference() const { return body_ && !body_->written.empty(); }

std::string Node::Quoted() const {
  if (is_from_reference()) return fmt::format("the value of {}", body_->written);
  return IsHarmless(text(), " ") ? fmt::format("'{}'", text()) : "what is written there";
}

bool IsHarmless(std::string_view text, std::string_view also) {
  constexpr size_t kLongest = 60;
  return text.size() <= kLongest && std::ranges::all_of(text, [also](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                  std::string_view("_.+-*").find(c) != std::string_view::npos ||
                  also.find(c) != std::string_view::npos;
         });
}

const std::vector<Node>& Node::items() const { return (body_ ? *body_ : AbsentBody()).items; }

const std::vector<std::pair<Node, Node>>& Node::entries() const {
  return (body_ ? *body_ : AbsentBody()).entries;
}

std::vector<std::string> Node::keys() const {
  std::vector<std::string> names;
  names.reserve(entries().size());
  for (const auto& [key, value] : entries()) names.push_back(key.text());
  return names;
}

Node Node::Find(std::string_view key) const {
  for (const auto& [name, value] : entries()) {
    if (name.text() == key) return value;
  }
  return {};
}

Node Node::FindKey(std::string_view key) const {
  for (const auto& [name, value] : entries()) {
    if (name.text() == key) return name;
  }
  return {};
}

std::string Place::ToString() const {
  return line == 0 ? std::string() : fmt::format("{}:{}", file, line);
}

std::string Problem::ToString() const {
  if (line == 0) return file.empty() ? message : fmt::format("{}: {}", file, message);
  return fmt::format("{}:{}:{}: {}", file, line, column, message);
}

void Problems::Add(const Node& node, std::string message) {
  problems_.push_back(
      {node.file().empty() ? file_ : node.file(), node.line(), node.column(), std::move(message)});
}

void Problems::Add(int line, int column, std::string message) {
  problems_.push_back({file_, line, column, std::move(message)});
}

std::vector<Problem> Problems::Sorted() const {
  std::vector<Problem> sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return sorted;
}

std::string Problems::ToString() const {
  std::string text;
  for (const Problem& problem : Sorted()) {
    if (!text.empty()) text += '\n';
    text += problem.ToString();
  }
  return text;
}

absl::Status Problems::ToStatus() const {
  if (empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(ToString());
}

std::string NearestName(std::string_view text, const std::vector<std::string>& names) {
  const std::string* nearest = nullptr;
  size_t best = std::max<size_t>(2, text.size() / 3) + 1;
  for (const std::string& name : names) {
    const size_t distance = EditDistance(text, name);
    // A distance of the whole word would call any short word a misspelling of any other.
    if (distance < best && distance < std::max(text.size(), name.size())) {
      best = distance;
      nearest = &name;
    }
  }
  return nearest == nullptr ? std::string() : *nearest;
}

}  // namespace pgflow::config
