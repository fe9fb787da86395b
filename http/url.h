// Url: the address of an HTTP endpoint, and how much of it may be shown.
//
// A value. A user, a password or a query may hold a secret and are never part of a message; a path
// may, too, where the endpoint is a webhook (its receiver's choice).
#pragma once

#include <string>

#include <absl/status/statusor.h>

namespace pgflow::http {

struct Url {
  std::string scheme;  // "http" or "https".
  std::string host;    // IPv6 in brackets.
  std::string port;    // Empty: the scheme's own.
  std::string path;    // At least "/".

  // "https://host:port"
  std::string Origin() const;
  // "https://host:port/path", without user, password and query; of a path that may have been meant
  // for those, "/...".
  std::string Shown() const;
};

// kInvalidArgument, without the text itself, for what is no http or https URL, and for one with a
// user or password in it: those belong to the authentication.
absl::StatusOr<Url> ParseUrl(const std::string& text);

}  // namespace pgflow::http
