// ConnectionUrl: what may be said of a connection string, and of what libpq and the server say when
// a connection does not come about.
//
// A value. A mistake in a URL (an '@' or a '/' in the password, a lost ':') turns the password into
// a host, a port or a name, and libpq's messages quote those. So nothing of a URL is shown but what
// cannot be a part of the password, and of libpq's words only what comes from the network or the
// server, without any value that is not shown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace pgflow::postgres {

class ConnectionUrl {
 public:
  // kInvalidArgument, with nothing of `text` in it, for what is neither a URI nor a keyword string
  // that libpq takes, and for one whose host or port cannot be one: it is not connected to, because
  // a part of the password would be sent to whoever answers.
  static absl::StatusOr<ConnectionUrl> Parse(const std::string& text);

  // "host:port/database as user"; what may be a part of the password is left out.
  const std::string& shown() const { return shown_; }
  // libpq's message about a connection that failed, on one line.
  std::string Explain(std::string_view message) const;

 private:
  std::string Scrubbed(std::string text) const;

  std::string shown_;
  std::vector<std::string> secrets_;  // Hidden wherever they stand in a text.
  std::vector<std::string> hidden_;   // Hidden as whole words.
};

// As ConnectionUrl::shown, for any text.
std::string ShownUrl(const std::string& url);

}  // namespace pgflow::postgres
