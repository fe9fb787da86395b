// Request and Response: what http::Client sends and receives.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgflow::http {

// In the order they are (or were) sent.
using Headers = std::vector<std::pair<std::string, std::string>>;

// The first value under `name`, whatever its case; empty when there is none.
std::string_view FindHeader(const Headers& headers, std::string_view name);

// A token as name, and a value without line breaks and control characters.
bool IsHeader(std::string_view name, std::string_view value);

struct Request {
  enum class Compression : uint8_t { kNone, kGzip };

  std::string method = "GET";
  std::string url;
  Headers headers;
  std::string body;
  Compression compression = Compression::kNone;  // Of the body.
  // How errors call it; empty: the method and the URL without user, password and query.
  std::string name;
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;
  // The rest of the body was not read: it is longer than Client::Options::response_bytes_max.
  bool body_cut = false;

  bool is_success() const { return status >= 200 && status < 300; }
  std::string_view Header(std::string_view header) const { return FindHeader(headers, header); }
};

}  // namespace pgflow::http
