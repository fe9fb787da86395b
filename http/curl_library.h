// The start of libcurl, once in a process; for this room only.
#pragma once

namespace pgflow::http {

// Before the first other call of libcurl. Thread-safe.
void StartCurlLibrary();

}  // namespace pgflow::http
