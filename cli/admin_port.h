// AdminPort: the admin server of a run, started as soon as its address is free.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "engine/observe/admin_server.h"

namespace pgflow::cli {

// A hot standby on the machine of the running one finds the address taken; it must wait, not fail,
// and take the address over with everything else. So this keeps trying, in a thread of its own.
class AdminPort {
 public:
  AdminPort(std::string listen, engine::StatusFunction status, engine::AdminTap tap);
  ~AdminPort();
  AdminPort(const AdminPort&) = delete;
  AdminPort& operator=(const AdminPort&) = delete;

 private:
  void KeepTrying(const std::stop_token& stop);

  const std::string listen_;
  const engine::StatusFunction status_;
  const engine::AdminTap tap_;
  std::unique_ptr<engine::AdminServer> server_;
  std::jthread thread_;  // Last: it uses the others.
};

}  // namespace pgflow::cli
