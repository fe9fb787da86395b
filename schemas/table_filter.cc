#include "schemas/table_filter.h"

#include <algorithm>
#include <cctype>

#include "base/status.h"

namespace pgflow::schemas {
namespace {

// Compiled wildcards. Names can hold every byte but zero, so a name with these is matched loosely;
// nobody has one.
constexpr char kAnyCharacters = '\x01';
constexpr char kAnyCharacter = '\x02';

// Greedy with one backtrack point: linear in practice, never exponential.
bool GlobMatches(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == kAnyCharacters) {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == text[t] || pattern[p] == kAnyCharacter)) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == kAnyCharacters) ++p;
  return p == pattern.size();
}

}  // namespace

absl::StatusOr<TableFilter::Pattern> TableFilter::Compile(const std::string& written) {
  Pattern pattern{.written = written, .schema = {}, .name = {}};
  std::string* part = &pattern.schema;
  bool quoted = false;
  for (size_t i = 0; i < written.size(); ++i) {
    const char c = written[i];
    if (c == '"') {
      const bool doubled = quoted && i + 1 < written.size() && written[i + 1] == '"';
      if (doubled) {
        part->push_back('"');
        ++i;
      } else {
        quoted = !quoted;
      }
    } else if (!quoted && c == '.' && part == &pattern.schema) {
      part = &pattern.name;
    } else if (!quoted && c == '*') {
      part->push_back(kAnyCharacters);
    } else if (!quoted && c == '?') {
      part->push_back(kAnyCharacter);
    } else {
      part->push_back(c);
    }
  }
  if (quoted) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "table pattern '{}' has an open quote", written);
  }
  if (pattern.schema.empty() || pattern.name.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "table pattern '{}' is not of the form schema.table; write public.{} "
                            "for a table of the schema public",
                            written, written);
  }
  return pattern;
}

absl::StatusOr<TableFilter> TableFilter::Make(const std::vector<std::string>& include,
                                              const std::vector<std::string>& exclude) {
  TableFilter filter;
  for (const std::string& written : include) {
    PGFLOW_ASSIGN_OR_RETURN(Pattern pattern, Compile(written));
    filter.include_.push_back(std::move(pattern));
  }
  for (const std::string& written : exclude) {
    PGFLOW_ASSIGN_OR_RETURN(Pattern pattern, Compile(written));
    filter.exclude_.push_back(std::move(pattern));
  }
  return filter;
}

bool TableFilter::Pattern::Matches(const TableName& table) const {
  return GlobMatches(schema, table.schema) && GlobMatches(name, table.name);
}

std::string TableFilter::Pattern::Expression() const {
  std::string expression = "^";
  for (const char c : schema + '\x1f' + name) {
    if (c == kAnyCharacters) {
      expression += "[^\x1f]*";
    } else if (c == kAnyCharacter) {
      expression += "[^\x1f]";
    } else {
      // Of the ASCII characters only these may stand for themselves after a backslash.
      if (std::ispunct(static_cast<unsigned char>(c)) != 0) expression.push_back('\\');
      expression.push_back(c);
    }
  }
  return expression + "$";
}

bool TableFilter::MayChooseIn(std::string_view schema) const {
  const bool excluded = std::ranges::any_of(exclude_, [&](const Pattern& pattern) {
    return pattern.name == std::string(1, kAnyCharacters) && GlobMatches(pattern.schema, schema);
  });
  if (excluded) return false;
  return include_.empty() || std::ranges::any_of(include_, [&](const Pattern& pattern) {
           return GlobMatches(pattern.schema, schema);
         });
}

std::vector<std::string> TableFilter::IncludeExpressions() const {
  std::vector<std::string> expressions;
  for (const Pattern& pattern : include_) expressions.push_back(pattern.Expression());
  return expressions;
}

std::vector<std::string> TableFilter::ExcludeExpressions() const {
  std::vector<std::string> expressions;
  for (const Pattern& pattern : exclude_) expressions.push_back(pattern.Expression());
  return expressions;
}

bool TableFilter::Includes(const TableName& table) const {
  return include_.empty() || std::ranges::any_of(include_, [&](const Pattern& pattern) {
           return pattern.Matches(table);
         });
}

bool TableFilter::Excludes(const TableName& table) const {
  return std::ranges::any_of(exclude_,
                             [&](const Pattern& pattern) { return pattern.Matches(table); });
}

std::vector<std::string> TableFilter::PatternsWithout(const std::vector<TableName>& tables) const {
  std::vector<std::string> unmatched;
  for (const Pattern& pattern : include_) {
    const bool matched =
        std::ranges::any_of(tables, [&](const TableName& table) { return pattern.Matches(table); });
    if (!matched) unmatched.push_back(pattern.written);
  }
  return unmatched;
}

}  // namespace pgflow::schemas
