#include "engine/testing/event_script.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"

namespace pgflow::engine {
namespace {

namespace oid = postgres::oid;
using schemas::RowView;
using schemas::Value;
using schemas::ValueKind;

bool IsPunctuation(char c) { return c == '(' || c == ')' || c == ','; }
bool IsSpace(char c) { return c == ' ' || c == '\t'; }

// A binary value as text, where the type is one that tests use.
std::string BinaryAsText(postgres::Oid type, std::string_view bytes) {
  if (type == oid::kInt4 && bytes.size() == 4) {
    return fmt::format("{}", base::LoadBigEndian<int32_t>(bytes.data()));
  }
  if (type == oid::kInt8 && bytes.size() == 8) {
    return fmt::format("{}", base::LoadBigEndian<int64_t>(bytes.data()));
  }
  if (type == oid::kInt2 && bytes.size() == 2) {
    return fmt::format("{}", base::LoadBigEndian<int16_t>(bytes.data()));
  }
  if (type == oid::kFloat8 && bytes.size() == 8) {
    return fmt::format("{}", std::bit_cast<double>(base::LoadBigEndian<uint64_t>(bytes.data())));
  }
  if (type == oid::kBool && bytes.size() == 1) return bytes[0] != 0 ? "t" : "f";
  if (type == oid::kText || type == oid::kVarchar) return std::string(bytes);
  std::string hex = "\\x";
  for (char c : bytes) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return hex;
}

std::string Quoted(std::string_view text) {
  const bool plain = !text.empty() && text != "null" && text != "unchanged" &&
                     std::ranges::none_of(text, [](char c) {
                       return IsSpace(c) || IsPunctuation(c) || c == '\'' || c == '\n';
                     });
  if (plain) return std::string(text);
  std::string quoted = "'";
  for (char c : text) {
    if (c == '\'') quoted.push_back('\'');
    quoted.push_back(c);
  }
  quoted.push_back('\'');
  return quoted;
}

std::string ValueAsText(const schemas::TableSchema& schema, size_t column, const Value& value) {
  switch (value.kind) {
    case ValueKind::kNull:
      return "null";
    case ValueKind::kUnchanged:
      return "unchanged";
    case ValueKind::kText:
      return Quoted(value.view());
    case ValueKind::kBinary:
      break;
  }
  const postgres::Oid type = column < schema.columns.size() ? schema.columns[column].type : 0;
  return Quoted(BinaryAsText(type, value.view()));
}

// With `key_only`, the identity columns.
std::string RowAsText(const schemas::TableSchema& schema, const RowView& row, bool key_only) {
  std::vector<Value> values;
  row.Decode(values);
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    if (key_only && !(i < schema.columns.size() && schema.columns[i].identity)) continue;
    if (!text.empty()) text.push_back(' ');
    text += ValueAsText(schema, i, values[i]);
  }
  return text;
}

}  // namespace

void ScriptError(std::string_view why, std::string_view where) {
  base::CheckFailed("event script", 0, where, why);
}

std::vector<ScriptToken> Tokenize(std::string_view line) {
  std::vector<ScriptToken> tokens;
  size_t at = 0;
  while (at < line.size()) {
    const char c = line[at];
    if (IsSpace(c) || c == '\n') {
      ++at;
    } else if (IsPunctuation(c)) {
      tokens.push_back({std::string(1, c), false});
      ++at;
    } else if (c == '\'') {
      std::string text;
      for (++at; at < line.size(); ++at) {
        if (line[at] != '\'') {
          text.push_back(line[at]);
        } else if (at + 1 < line.size() && line[at + 1] == '\'') {
          text.push_back(line[++at]);
        } else {
          break;
        }
      }
      if (at == line.size()) ScriptError("a quote is not closed", line);
      ++at;
      tokens.push_back({std::move(text), true});
    } else {
      const size_t begin = at;
      while (at < line.size() && !IsSpace(line[at]) && line[at] != '\n' &&
             !IsPunctuation(line[at])) {
        ++at;
      }
      tokens.push_back({std::string(line.substr(begin, at - begin)), false});
    }
  }
  return tokens;
}

std::vector<std::vector<ScriptToken>> TokenizeLines(std::string_view script) {
  std::vector<std::vector<ScriptToken>> lines;
  bool quoted = false;
  size_t begin = 0;
  for (size_t at = 0; at <= script.size(); ++at) {
    if (at < script.size() && script[at] == '\'') quoted = !quoted;
    if (at < script.size() && (quoted || script[at] != '\n')) continue;
    std::vector<ScriptToken> line = Tokenize(script.substr(begin, at - begin));
    if (!line.empty()) lines.push_back(std::move(line));
    begin = at + 1;
  }
  return lines;
}

std::string Describe(const ChangeEvent& event) {
  std::string text(OperationName(event.operation));
  text += " " + event.schema->table.ToString();
  if (event.operation == Operation::kTruncate) {
    if (event.truncate_cascade) text += " cascade";
    if (event.truncate_restart_identity) text += " restart";
    return text;
  }
  if (event.before.exists()) {
    const bool key = event.before_image == BeforeImage::kKey;
    const std::string before = RowAsText(*event.schema, event.before, key);
    if (event.operation == Operation::kDelete && key) {
      text += " " + before;
    } else {
      text += (key ? " old(" : " full(") + before + ")";
    }
  }
  if (event.after.exists()) text += " " + RowAsText(*event.schema, event.after, false);
  return text;
}

std::vector<std::string> Describe(Batch& batch) {
  const absl::StatusOr<std::span<const ChangeEvent>> events = batch.Events();
  if (!events.ok()) return {"error: " + std::string(base::Message(events.status()))};
  std::vector<std::string> lines;
  for (const ChangeEvent& event : *events) lines.push_back(Describe(event));
  return lines;
}

}  // namespace pgflow::engine
