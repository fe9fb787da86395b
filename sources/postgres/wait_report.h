// WaitReport: says in the log for which transactions a session waits, while it does.
//
// The owner makes one before the statement that may wait and destroys it afterwards. Its own thread
// asks through its own connection, and only when the wait lasts: after kPatience, then each
// kInterval. What goes wrong there is not the statement's trouble: nothing is said then.
#pragma once

#include <string>
#include <thread>

#include <absl/time/time.h>

#include "postgres/client/connection.h"

namespace pgflow::sources {

class WaitReport {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(5);
  static constexpr absl::Duration kInterval = absl::Minutes(1);

  // `what` waits, in the session with this process id on the server of `options`.
  WaitReport(postgres::ConnectOptions options, int backend_pid, std::string what);

 private:
  std::jthread thread_;  // Ends with the object.
};

}  // namespace pgflow::sources
