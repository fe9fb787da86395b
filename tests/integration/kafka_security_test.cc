// Brokers that ask who comes: what they accept, and what pgflow says when they refuse.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "engine/testing/test_certificate.h"
#include "tests/integration/broker_test.h"
#include "tests/integration/topic_reader.h"

namespace pgflow::tests {
namespace {

using testing::HasSubstr;
using testing::Not;

class KafkaSecurityTest : public BrokerTest {
 protected:
  static void SetUpTestSuite() {
    engine::ScratchKafkaOptions options;
    options.security.emplace().certificate = engine::TestCertificate::Make();
    certificate = options.security->certificate.certificate;
    for (const char* name : {"writer", "topicless", "idless", "groupless"}) {
      options.security->users[name] = fmt::format("{}-secret", name);
    }
    StartServers(options);
    ASSERT_NE(broker, nullptr);
    const absl::Status allowed = broker->Allow(
        {"writer TOPIC * ALL", "writer TRANSACTIONAL_ID pgflow- ALL", "writer GROUP pgflow_ ALL",
         "writer CLUSTER - CREATE", "topicless TRANSACTIONAL_ID pgflow- ALL",
         "topicless TOPIC pgflow_checkpoints ALL", "topicless CLUSTER - CREATE",
         "topicless TOPIC a_topic DESCRIBE", "idless TOPIC * ALL", "idless CLUSTER - CREATE",
         "groupless TOPIC * ALL"});
    ASSERT_TRUE(allowed.ok()) << allowed;
  }
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
    Trust(certificate);
  }

  void Trust(const std::string& authority) const { WriteFile(directory_ / "ca.pem", authority); }
  std::string Tls() const { return fmt::format("tls: {{ca_file: \"{}\"}}", directory_ / "ca.pem"); }
  std::string As(const std::string& user, const std::string& mechanism = "PLAIN",
                 const std::string& password = "") const {
    return fmt::format("{}, sasl: {{mechanism: {}, username: {}, password: \"{}\"}}", Tls(),
                       mechanism, user, password.empty() ? user + "-secret" : password);
  }
  void WriteAs(const std::string& brokers, const std::string& security,
               const std::string& more = "") {
    pipeline_.sinks = {
        fmt::format("kafka: {{brokers: [\"{}\"], prefix: {}, partitions: 1, timeout: 10s, {}{}}}",
                    brokers, pipeline_.name, security, more)};
  }
  size_t MessageCount() const {
    return ReadTopic(broker->bootstrap(), pipeline_.name + ".public.t").size();
  }
  // What `pgflow run` says before it ends by itself.
  std::string Refused() {
    std::string output = Expect(1, "run", {"--until-current"});
    EXPECT_THAT(output, Not(HasSubstr("-secret")));
    return output;
  }

  static std::string certificate;
};

std::string KafkaSecurityTest::certificate;

TEST_F(KafkaSecurityTest, TlsAlone) {
  WriteAs(broker->tls_bootstrap(), Tls());
  RunToCurrent();
  EXPECT_EQ(MessageCount(), 2U);
}

TEST_F(KafkaSecurityTest, APasswordByEitherMechanism) {
  WriteAs(broker->sasl_bootstrap(), As("writer", "PLAIN"));
  RunToCurrent();
  EXPECT_EQ(MessageCount(), 2U);
  source_.Execute("INSERT INTO t VALUES (3)");
  WriteAs(broker->sasl_bootstrap(), As("writer", "SCRAM-SHA-256"));
  const auto process = Run({"--until-current"});
  // librdkafka before 2.6.1 cannot do it with these brokers, and says so.
  if (process->WaitForExit() == 0) {
    EXPECT_EQ(MessageCount(), 3U);
  } else {
    EXPECT_THAT(process->Output(), HasSubstr("needs librdkafka 2.6.1"));
  }
}

TEST_F(KafkaSecurityTest, AWrongPassword) {
  for (const char* mechanism : {"SCRAM-SHA-256", "PLAIN"}) {
    WriteAs(broker->sasl_bootstrap(), As("writer", mechanism, "not-the-secret"));
    const std::string output = Refused();
    EXPECT_THAT(output, HasSubstr("uthentication failed"));
    EXPECT_THAT(output, HasSubstr("look at sasl"));
  }
}

TEST_F(KafkaSecurityTest, AMechanismThatTheBrokersDoNotHave) {
  WriteAs(broker->sasl_bootstrap(), As("writer", "SCRAM-SHA-512"));
  const std::string output = Refused();
  EXPECT_THAT(output, HasSubstr("SCRAM-SHA-512"));
  EXPECT_THAT(output, HasSubstr("look at sasl"));
}

TEST_F(KafkaSecurityTest, AnAuthorityThatIsNotTrusted) {
  Trust(engine::TestCertificate::Make().certificate);
  WriteAs(broker->tls_bootstrap(), Tls());
  const std::string output = Refused();
  EXPECT_THAT(output, HasSubstr("certificate verify failed"));
  EXPECT_THAT(output, HasSubstr("look at tls"));
}

TEST_F(KafkaSecurityTest, ATopicThatMayNotBeWritten) {
  WriteAs(broker->sasl_bootstrap(), As("topicless"), ", topic: a_topic");
  const std::string output = Refused();
  EXPECT_THAT(output, HasSubstr("topic a_topic"));
  EXPECT_THAT(output, HasSubstr("allow this principal Write"));
}

TEST_F(KafkaSecurityTest, ATransactionalIdThatMayNotBeUsed) {
  WriteAs(broker->sasl_bootstrap(), As("idless"));
  const std::string output = Refused();
  EXPECT_THAT(output, HasSubstr("transactional id pgflow-"));
  EXPECT_THAT(output, HasSubstr("transactional: false"));
  // Which is the way out.
  WriteAs(broker->sasl_bootstrap(), As("idless"), ", transactional: false");
  RunToCurrent();
  EXPECT_EQ(MessageCount(), 2U);
}

TEST_F(KafkaSecurityTest, AGroupThatMayNotBeJoined) {
  WriteAs(broker->sasl_bootstrap(), As("writer"), ", encoding: {relations: true}");
  RunToCurrent();
  target_.Execute("CREATE TABLE t (id int PRIMARY KEY)");
  const auto apply = [&](const std::string& user) {
    const std::string file = directory_ / "apply.yaml";
    WriteFile(file, fmt::format("name: apply_as\nsource: {{kafka: {{brokers: [\"{}\"], topics: "
                                "[{}.public.t], timeout: 10s, {}}}}}\n"
                                "sinks: [{{postgres: {{url: \"{}\"}}}}]\n"
                                "state: {{directory: \"{}\"}}\n",
                                broker->sasl_bootstrap(), pipeline_.name, As(user), target_.url(),
                                directory_ / "applier"));
    return PgflowProcess::Start({.arguments = {"run", file, "--until-current"},
                                 .output_file = directory_ / "applier.log",
                                 .file_bytes_max = 0});
  };
  auto applier = apply("groupless");
  EXPECT_EQ(applier->WaitForExit(), 1) << applier->Output();
  EXPECT_THAT(applier->Output(), HasSubstr("group pgflow_apply_as"));
  applier = apply("writer");
  EXPECT_EQ(applier->WaitForExit(), 0) << applier->Output();
  EXPECT_EQ(target_.Value("SELECT count(*) FROM t"), "2");
}

}  // namespace
}  // namespace pgflow::tests
