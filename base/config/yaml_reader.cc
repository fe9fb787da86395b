#include "base/config/yaml_reader.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/status.h"

namespace pgflow::config {
namespace {

// A pipeline file is written by hand; what is larger or deeper is an alias bomb or a mistake.
constexpr int kDepthMax = 32;
constexpr int kNodesMax = 100000;

bool IsVariableName(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  for (const char c : name) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!good) return false;
  }
  return true;
}

// Turns one yaml-cpp document into Nodes. Used once.
class Reader {
 public:
  Reader(const std::string& file, Problems& problems, const Environment& environment)
      : file_(std::make_shared<const std::string>(file)),
        problems_(problems),
        environment_(environment) {}

  Node Convert(const YAML::Node& yaml, const std::string& path, YAML::Mark fallback, int depth) {
    auto body = std::make_shared<Node::Body>();
    // yaml-cpp gives no place for a value that is not written (`stdout:`): then its key's is best.
    const YAML::Mark mark = yaml.IsNull() || yaml.Mark().is_null() ? fallback : yaml.Mark();
    body->file = file_;
    body->line = mark.line + 1;
    body->column = mark.column + 1;
    body->path = path;
    if (depth > kDepthMax || ++nodes_ > kNodesMax) {
      if (!too_large_) {
        problems_.Add(Node(body), "the file is nested too deeply or too large");
      }
      too_large_ = true;
      return Node(body);
    }
    switch (yaml.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        break;
      case YAML::NodeType::Scalar:
        ReadScalar(yaml, *body);
        break;
      case YAML::NodeType::Sequence:
        body->kind = Node::Kind::kList;
        for (const YAML::Node& item : yaml) {
          const std::string item_path = fmt::format("{}[{}]", path, body->items.size());
          body->items.push_back(Convert(item, item_path, mark, depth + 1));
        }
        break;
      case YAML::NodeType::Map:
        ReadMap(yaml, *body, depth);
        break;
    }
    return Node(std::move(body));
  }

 private:
  void ReadMap(const YAML::Node& yaml, Node::Body& body, int depth) {
    body.kind = Node::Kind::kMap;
    for (const auto& entry : yaml) {
      auto key = std::make_shared<Node::Body>();
      const YAML::Mark mark = entry.first.Mark();
      key->file = file_;
      key->line = mark.line + 1;
      key->column = mark.column + 1;
      if (!entry.first.IsScalar()) {
        problems_.Add(Node(key), "a key must be a plain text");
        continue;
      }
      key->kind = Node::Kind::kScalar;
      key->text = entry.first.Scalar();
      key->path = body.path.empty() ? key->text : body.path + "." + key->text;
      const std::string path = key->path;
      for (const auto& [other, value] : body.entries) {
        if (other.text() != key->text) continue;
        problems_.Add(Node(key), fmt::format("{} is written twice; the first time in line {}",
                                             Node(key).Quoted(), other.line()));
      }
      body.entries.emplace_back(Node(std::move(key)), Convert(entry.second, path, mark, depth + 1));
    }
  }

  void ReadScalar(const YAML::Node& yaml, Node::Body& body) {
    body.kind = Node::Kind::kScalar;
    body.quoted = yaml.Tag() == "!";
    const std::string& written = yaml.Scalar();
    std::string_view rest = written;
    for (size_t at = rest.find("${"); at != std::string_view::npos; at = rest.find("${")) {
      if (at > 0 && rest[at - 1] == '$') {
        body.text.append(rest.substr(0, at - 1)).append("${");
        rest.remove_prefix(at + 2);
        continue;
      }
      const size_t end = rest.find('}', at);
      if (end == std::string_view::npos) {
        AddProblem(body, "'${' without '}'; write $${ for a plain ${");
        return;
      }
      body.text.append(rest.substr(0, at));
      const std::string reference(rest.substr(at + 2, end - at - 2));
      body.text += Resolve(reference, body);
      // Without a default, which may be a password.
      body.written += fmt::format("${{{}}}", reference.substr(0, reference.find(":-")));
      rest.remove_prefix(end + 1);
    }
    body.text.append(rest);
  }

  // `reference` is what stands between the braces.
  std::string Resolve(const std::string& reference, const Node::Body& body) {
    constexpr std::string_view kFile = "file:";
    if (reference.starts_with(kFile)) {
      absl::StatusOr<std::string> text = ReadTextFile(reference.substr(kFile.size()));
      if (!text.ok()) {
        AddProblem(body, fmt::format("${{{}}}: {}", reference, base::Message(text.status())));
        return "";
      }
      if (text->ends_with('\n')) text->pop_back();
      if (text->ends_with('\r')) text->pop_back();
      return *std::move(text);
    }
    const size_t colon = reference.find(":-");
    const std::string name = reference.substr(0, colon);
    if (!IsVariableName(name)) {
      AddProblem(body,
                 "what stands between '${' and '}' is no reference; write ${NAME}, "
                 "${NAME:-default} or ${file:/path}, and $${ for a plain ${");
      return "";
    }
    std::optional<std::string> value = environment_(name);
    if (colon != std::string::npos) {
      // As in the shell, :- counts an empty variable as not set.
      return value.has_value() && !value->empty() ? *value : reference.substr(colon + 2);
    }
    if (!value.has_value()) {
      AddProblem(body, fmt::format("environment variable {} is not set; set it, or give a default "
                                   "with ${{{}:-default}}",
                                   name, name));
    }
    return std::move(value).value_or("");
  }

  void AddProblem(const Node::Body& body, std::string message) {
    problems_.Add(body.line, body.column, std::move(message));
  }

  std::shared_ptr<const std::string> file_;
  Problems& problems_;
  const Environment& environment_;
  int nodes_ = 0;
  bool too_large_ = false;
};

}  // namespace

std::optional<std::string> ProcessEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

Node ParseYaml(std::string_view text, const std::string& file, Problems& problems,
               const Environment& environment) {
  Problems found(file);
  Node root;
  try {
    const YAML::Node yaml = YAML::Load(std::string(text));
    root = Reader(file, found, environment).Convert(yaml, "", YAML::Mark(), 0);
  } catch (const YAML::Exception& error) {
    const bool placed = !error.mark.is_null();
    // Behind a colon the library names what it found: an anchor may be a password that begins with
    // '*'.
    const std::string what = error.msg.substr(0, error.msg.find(':'));
    found.Add(placed ? error.mark.line + 1 : 0, placed ? error.mark.column + 1 : 0,
              fmt::format("not valid YAML: {}", what));
  }
  for (const Problem& problem : found.Sorted()) {
    auto place = std::make_shared<Node::Body>();
    place->file = std::make_shared<const std::string>(file);
    place->line = problem.line;
    place->column = problem.column;
    problems.Add(Node(std::move(place)), problem.message);
  }
  return root;
}

absl::StatusOr<Node> ParseYaml(std::string_view text, const std::string& file) {
  Problems problems(file);
  Node root = ParseYaml(text, file, problems);
  PGFLOW_RETURN_IF_ERROR(problems.ToStatus());
  return root;
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    const int error = errno;
    const auto code =
        error == EACCES ? absl::StatusCode::kPermissionDenied : absl::StatusCode::kNotFound;
    return base::MakeStatus(code, "cannot read {}: {}", path, std::strerror(error));
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return base::MakeStatus(absl::StatusCode::kNotFound, "cannot read {}: Is a directory", path);
  }
  std::ostringstream contents;
  contents << stream.rdbuf();
  return std::move(contents).str();
}

}  // namespace pgflow::config
