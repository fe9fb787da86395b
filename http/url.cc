#include "http/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "base/status.h"
#include "http/curl_library.h"

namespace pgflow::http {
namespace {

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::string Part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK || text == nullptr) return "";
  std::string result = text;
  curl_free(text);
  return result;
}

// An '@' behind a part with a ':' in it: the '/', '?' or '#' between the two may stand in a
// password.
bool MayBeCut(const std::string& text) {
  const size_t begin = text.find("//");
  if (begin == std::string::npos) return true;
  const size_t end = std::min(text.find_first_of("/?#", begin + 2), text.size());
  return text.substr(begin, end - begin).find(':') != std::string::npos &&
         text.find('@', end) != std::string::npos;
}

}  // namespace

std::string Url::Origin() const { return scheme + "://" + host + (port.empty() ? "" : ":" + port); }

std::string Url::Shown() const {
  return Origin() + (path.find_first_of("@:") == std::string::npos ? path : "/...");
}

absl::StatusOr<Url> ParseUrl(const std::string& text) {
  StartCurlLibrary();
  const std::unique_ptr<CURLU, FreeUrl> parsed(curl_url());
  if (parsed == nullptr) return absl::ResourceExhaustedError("out of memory");
  const bool good = text.find('\0') == std::string::npos &&
                    curl_url_set(parsed.get(), CURLUPART_URL, text.c_str(), 0) == CURLUE_OK;
  Url url;
  if (good) {
    url.scheme = Part(parsed.get(), CURLUPART_SCHEME);
    url.host = Part(parsed.get(), CURLUPART_HOST);
    url.port = Part(parsed.get(), CURLUPART_PORT);
    url.path = Part(parsed.get(), CURLUPART_PATH);
  }
  if ((url.scheme != "http" && url.scheme != "https") || url.host.empty()) {
    return absl::InvalidArgumentError("not an http:// or https:// URL");
  }
  if (!Part(parsed.get(), CURLUPART_USER).empty() ||
      !Part(parsed.get(), CURLUPART_PASSWORD).empty()) {
    return absl::InvalidArgumentError(
        "a user or password in the URL: write them under connection.auth");
  }
  if (MayBeCut(text)) {
    return absl::InvalidArgumentError(
        "an '@' behind the host: write it as %40, and user and password under connection.auth");
  }
  return url;
}

}  // namespace pgflow::http
