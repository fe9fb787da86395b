// BrokerTest: a SharedServerTest with a Kafka broker, which the whole program shares as well.
#pragma once

#include <memory>

#include "engine/testing/scratch_kafka.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {

class BrokerTest : public SharedServerTest {
 protected:
  static void SetUpTestSuite() { StartServers({}); }
  static void TearDownTestSuite();
  static void StartServers(const engine::ScratchKafkaOptions& options);

  static std::unique_ptr<engine::ScratchKafka> broker;
};

}  // namespace pgflow::tests
