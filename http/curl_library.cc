#include "http/curl_library.h"

#include <curl/curl.h>

#include "base/check.h"

namespace pgflow::http {

void StartCurlLibrary() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  PGFLOW_CHECK(started == CURLE_OK, "libcurl starts");
}

}  // namespace pgflow::http
