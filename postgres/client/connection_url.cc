#include "postgres/client/connection_url.h"

#include <algorithm>
#include <map>
#include <memory>

#include <absl/strings/str_split.h>
#include <fmt/ranges.h>
#include <libpq-fe.h>

#include "base/status.h"

namespace pgflow::postgres {
namespace {

constexpr char kExpected[] =
    "expected postgres://user:password@host:port/database with special characters "
    "percent-encoded (@ is %40, / is %2F), or host=... user=... password='...'";
// The server cuts names of roles and databases, so its messages may quote the beginning only.
constexpr size_t kNameBytesMax = 63;
// A shorter piece of a text says nothing.
constexpr size_t kHiddenBytesMin = 3;

using Options = std::map<std::string, std::string>;

absl::Status Malformed(std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "the connection url {}; {}", why,
                          kExpected);
}

bool IsWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool IsPlain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return IsWord(c) || c == '.' || c == '-'; });
}

bool IsHostList(std::string_view text) {
  const bool socket = text.starts_with('/') || text.starts_with('@');
  if (socket) text.remove_prefix(1);
  return std::ranges::all_of(text, [socket](char c) {
    const bool letter = IsWord(c) || static_cast<unsigned char>(c) >= 0x80;
    return letter || std::string_view(socket ? ".,-/" : ".,-:%/").find(c) != std::string_view::npos;
  });
}

bool IsPortList(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || c == ','; });
}

// What a URI's text tells before libpq takes it apart, which it does at the first '@' or '/'.
struct Shape {
  bool uri = false;
  bool credentials = false;  // It has a user and an '@'.
  bool stray_at = false;     // Another '@', in front of the query.
};

Shape ShapeOf(std::string_view text) {
  Shape shape;
  for (const std::string_view scheme : {"postgres://", "postgresql://"}) {
    if (!text.starts_with(scheme)) continue;
    shape.uri = true;
    text.remove_prefix(scheme.size());
    break;
  }
  if (!shape.uri) return shape;
  const size_t end = text.find_first_of("@/");
  shape.credentials = end != std::string_view::npos && text[end] == '@';
  if (shape.credentials) text.remove_prefix(end + 1);
  shape.stray_at = text.substr(0, text.find('?')).find('@') != std::string_view::npos;
  return shape;
}

absl::StatusOr<Options> ReadOptions(const std::string& text) {
  char* error = nullptr;
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> parsed(
      PQconninfoParse(text.c_str(), &error), &PQconninfoFree);
  PQfreemem(error);  // It quotes the text.
  if (parsed == nullptr || text.find('\0') != std::string::npos) {
    return Malformed("cannot be parsed");
  }
  Options options;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) options[option->keyword] = option->val;
  }
  return options;
}

std::string ValueOf(const Options& options, const char* keyword) {
  const auto found = options.find(keyword);
  return found == options.end() ? std::string() : found->second;
}

void ReplaceAll(std::string& text, std::string_view part, bool whole_word) {
  constexpr std::string_view kHidden = "***";
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) {
    const size_t end = at + part.size();
    const bool inside =
        (at > 0 && IsWord(text[at - 1])) || (end < text.size() && IsWord(text[end]));
    if (whole_word && inside) {
      ++at;
      continue;
    }
    text.replace(at, part.size(), kHidden);
    at += kHidden.size();
  }
}

// The part of one line of libpq's that is not about the URL: what the network or the server said.
std::string_view ReasonIn(std::string_view line) {
  constexpr std::string_view kFailed = " failed: ";
  constexpr std::string_view kFatal = "FATAL: ";
  if (line.starts_with("connection to server ")) {
    const size_t at = line.find(kFailed);
    if (at != std::string_view::npos) return line.substr(at + kFailed.size());
  }
  if (const size_t at = line.find(kFatal); at != std::string_view::npos) return line.substr(at);
  if (line.starts_with("could not connect to server: ")) return line.substr(line.find(": ") + 2);
  if (line.starts_with("could not translate host name")) return "the host's name is not known";
  if (line.starts_with("DETAIL: ") || line.starts_with("HINT: ")) return line;
  return {};
}

}  // namespace

absl::StatusOr<ConnectionUrl> ConnectionUrl::Parse(const std::string& text) {
  PGFLOW_ASSIGN_OR_RETURN(const Options options, ReadOptions(text));
  const Shape shape = ShapeOf(text);
  if (shape.stray_at) return Malformed("has an '@' too many");
  for (const char* keyword : {"host", "hostaddr"}) {
    if (!IsHostList(ValueOf(options, keyword))) return Malformed("has no host where one belongs");
  }
  if (!IsPortList(ValueOf(options, "port"))) return Malformed("has no port where one belongs");

  ConnectionUrl url;
  const bool has_password = options.contains("password");
  // Of a URI without a password, what stands in front of an '@', or behind a ':', may be it.
  std::map<std::string, bool> may_show = {
      {"host", true},
      {"port", !shape.uri || shape.credentials || !ValueOf(options, "user").empty()},
      {"dbname", IsPlain(ValueOf(options, "dbname"))},
      {"user", IsPlain(ValueOf(options, "user")) && (!shape.credentials || has_password)},
  };
  for (const auto& [keyword, value] : options) {
    if (may_show[keyword] || value.size() < kHiddenBytesMin) continue;
    std::vector<std::string>& list = keyword == "password" ? url.secrets_ : url.hidden_;
    list.push_back(value);
    list.push_back(value.substr(0, kNameBytesMax));
    // Some settings are lists, of which libpq names the item that it does not take.
    for (const absl::string_view item : absl::StrSplit(value, ',')) list.emplace_back(item);
  }
  for (std::vector<std::string>* list : {&url.secrets_, &url.hidden_}) {
    std::erase_if(*list, [](const std::string& part) { return part.size() < kHiddenBytesMin; });
    std::ranges::stable_sort(*list, std::greater<>(), &std::string::size);
  }
  const auto part = [&](std::string_view before, const char* keyword) {
    const std::string value = may_show[keyword] ? ValueOf(options, keyword) : "";
    return value.empty() ? std::string() : std::string(before) + value;
  };
  url.shown_ = part("", "host") + part(":", "port") + part("/", "dbname") + part(" as ", "user");
  if (url.shown_.empty()) url.shown_ = "the server of the connection url";
  return url;
}

std::string ConnectionUrl::Scrubbed(std::string text) const {
  for (const std::string& secret : secrets_) ReplaceAll(text, secret, false);
  for (const std::string& value : hidden_) ReplaceAll(text, value, true);
  return text;
}

std::string ConnectionUrl::Explain(std::string_view message) const {
  // Before it is taken apart: a value may have a line break in it.
  const std::string scrubbed = Scrubbed(std::string(message));
  std::vector<std::string> reasons;
  for (const absl::string_view line : absl::StrSplit(scrubbed, '\n')) {
    std::string reason(ReasonIn({line.data(), line.size()}));
    while (reason.ends_with(' ')) reason.pop_back();
    if (reason.empty() || std::ranges::find(reasons, reason) != reasons.end()) continue;
    reasons.push_back(std::move(reason));
  }
  if (reasons.empty()) return "one of the url's settings cannot be used";
  return fmt::format("{}", fmt::join(reasons, "; "));
}

std::string ShownUrl(const std::string& url) {
  const absl::StatusOr<ConnectionUrl> parsed = ConnectionUrl::Parse(url);
  return parsed.ok() ? parsed->shown() : "a malformed connection url";
}

}  // namespace pgflow::postgres
