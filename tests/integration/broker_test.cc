#include "tests/integration/broker_test.h"

#include <utility>

namespace pgflow::tests {

std::unique_ptr<engine::ScratchKafka> BrokerTest::broker;

void BrokerTest::StartServers(const engine::ScratchKafkaOptions& options) {
  SharedServerTest::SetUpTestSuite();
  auto made = engine::ScratchKafka::Make(options);
  ASSERT_TRUE(made.ok()) << made.status();
  broker = *std::move(made);
}

void BrokerTest::TearDownTestSuite() {
  broker.reset();
  SharedServerTest::TearDownTestSuite();
}

}  // namespace pgflow::tests
