#include "sinks/kafka/sink_config.h"

#include <gtest/gtest.h>

#include "sinks/kafka/kafka_sink.h"

namespace pgflow::sinks {
namespace {

KafkaSinkConfig Valid() {
  KafkaSinkConfig config;
  config.brokers = {"one:9092", "two:9092"};
  return config;
}

// The message of the mistake that `change` makes; empty when there is none.
std::string Mistake(void (*change)(KafkaSinkConfig&)) {
  KafkaSinkConfig config = Valid();
  change(config);
  const auto made = KafkaSink::Make(std::move(config));
  return std::string(made.status().message());
}

TEST(KafkaSinkConfig, TheDefaultIsExactlyOnce) {
  const KafkaSinkConfig config = Valid();
  EXPECT_TRUE(config.transactional);
  EXPECT_EQ(Mistake([](KafkaSinkConfig&) {}), "");
  const auto settings = KafkaSettings(config);
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->at("bootstrap.servers"), "one:9092,two:9092");
  EXPECT_EQ(settings->count("security.protocol"), 0U);
  // Only where a commit tells when.
  EXPECT_EQ(settings->at("linger.ms"), "20");
  KafkaSinkConfig prompt = Valid();
  prompt.transactional = false;
  EXPECT_EQ(KafkaSettings(prompt)->at("linger.ms"), "0");
}

TEST(KafkaSinkConfig, TakesSettingsOfLibrdkafkaThatAreNotOurs) {
  EXPECT_EQ(Mistake([](KafkaSinkConfig& c) { c.librdkafka["socket.timeout.ms"] = "5000"; }), "");
  const std::string unknown =
      Mistake([](KafkaSinkConfig& c) { c.librdkafka["socket.timeuot.ms"] = "5000"; });
  EXPECT_NE(unknown.find("socket.timeuot.ms"), std::string::npos) << unknown;
  const std::string promise = Mistake([](KafkaSinkConfig& c) { c.librdkafka["acks"] = "1"; });
  EXPECT_NE(promise.find("acks"), std::string::npos) << promise;
  const std::string own = Mistake([](KafkaSinkConfig& c) { c.librdkafka["linger.ms"] = "5"; });
  EXPECT_NE(own.find("option of its own"), std::string::npos) << own;
}

TEST(KafkaSinkConfig, NamesTheOptionThatIsWrong) {
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) { c.topic = "{tabel}"; }).find("topic"),
            std::string::npos);
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) { c.topic_by_column = "kind"; }).find("{column}"),
            std::string::npos);
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) { c.ddl_topic = "{table}"; }).find("ddl_topic"),
            std::string::npos);
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) { c.checkpoint_topic = "shared"; }).find("checkpoint"),
            std::string::npos);
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) { c.tables = {"orders"}; }).find("tables"),
            std::string::npos);
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) { c.timeout = absl::Hours(1); }).find("timeout"),
            std::string::npos);
}

TEST(KafkaSinkConfig, SecurityFollowsFromItsSections) {
  KafkaSinkConfig config = Valid();
  config.sasl.emplace();
  config.sasl->username = "me";
  config.sasl->password = config::Secret("secret");
  EXPECT_EQ(KafkaSettings(config)->at("security.protocol"), "sasl_plaintext");
  EXPECT_EQ(KafkaSettings(config)->at("sasl.mechanisms"), "SCRAM-SHA-512");
  config.tls.emplace();
  EXPECT_EQ(KafkaSettings(config)->at("security.protocol"), "sasl_ssl");
  config.sasl.reset();
  EXPECT_EQ(KafkaSettings(config)->at("security.protocol"), "ssl");
}

TEST(KafkaSinkConfig, TransactionsAreToldAsDebeziumDoes) {
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) { c.transaction_metadata = true; }), "");
  EXPECT_EQ(Mistake([](KafkaSinkConfig& c) {
              c.transaction_metadata = true;
              c.encoding.format = Encoding::kDebezium;
            }),
            "");
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) { c.transaction_topic = "{table}"; }), "");
}

TEST(KafkaSinkConfig, AvroAndARegistryGoTogether) {
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) { c.encoding.format = Encoding::kAvro; }), "");
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) { c.schema_registry.emplace().url = "http://r"; }), "");
  EXPECT_EQ(Mistake([](KafkaSinkConfig& c) {
              c.encoding.format = Encoding::kAvro;
              c.schema_registry.emplace().url = "http://r:8081/api";
            }),
            "");
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) {
              c.encoding.format = Encoding::kAvro;
              c.encoding.avro.envelope = AvroEnvelope::kRow;
              c.tombstones = false;
              c.schema_registry.emplace().url = "http://r:8081";
            }),
            "");
  EXPECT_NE(Mistake([](KafkaSinkConfig& c) {
              c.encoding.format = Encoding::kAvro;
              c.schema_registry.emplace().url = "registry";
            }),
            "");
}

}  // namespace
}  // namespace pgflow::sinks
