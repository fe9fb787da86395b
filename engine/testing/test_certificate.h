// TestCertificate: a certificate of 127.0.0.1 and localhost and its key, made on the spot.
#pragma once

#include <string>

namespace pgflow::engine {

// In PEM, signed by itself: also the authority to trust. Valid for a day.
struct TestCertificate {
  std::string certificate;
  std::string key;

  // Ends the process where libcrypto cannot.
  static TestCertificate Make();
};

}  // namespace pgflow::engine
