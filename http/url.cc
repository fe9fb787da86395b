#include "http/url.h"

#include <curl/curl.h>

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

}  // namespace

std::string Url::Origin() const { return scheme + "://" + host + (port.empty() ? "" : ":" + port); }

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
  return url;
}

}  // namespace pgflow::http
