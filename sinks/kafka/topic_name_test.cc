#include "sinks/kafka/topic_name.h"

#include <gtest/gtest.h>

namespace pgflow::sinks {
namespace {

std::string Expand(std::string_view text, const TopicName::Values& values) {
  const auto name = TopicName::Parse(text);
  if (!name.ok()) return std::string(name.status().message());
  const auto expanded = name->Expand(values);
  return expanded.ok() ? *expanded : std::string(expanded.status().message());
}

const TopicName::Values kValues = {.prefix = "shop",
                                   .pipeline = "p",
                                   .sink = "kafka+join",
                                   .schema = "public",
                                   .table = "orders",
                                   .column = "paid"};

TEST(TopicName, PutsPartsIntoTheirPlaces) {
  EXPECT_EQ(Expand("{prefix}.{schema}.{table}", kValues), "shop.public.orders");
  EXPECT_EQ(Expand("cdc-{table}", kValues), "cdc-orders");
  EXPECT_EQ(Expand("{pipeline}_{column}", kValues), "p_paid");
  EXPECT_EQ(Expand("everything", kValues), "everything");
  EXPECT_EQ(Expand("x.{sink}", kValues), "x.kafka_join");
}

TEST(TopicName, ReplacesWhatKafkaDoesNotAllow) {
  TopicName::Values odd = kValues;
  odd.table = "Größe & so";
  EXPECT_EQ(Expand("{table}", odd), "Gr____e___so");
  const std::string endless(300, 'x');
  odd.table = endless;
  EXPECT_NE(Expand("{table}", odd).find("1 to 249"), std::string::npos);
  odd.table = ".";
  EXPECT_NE(Expand("{table}", odd).find("1 to 249"), std::string::npos);
}

TEST(TopicName, RefusesMistakes) {
  for (const char* text : {"", "{tabel}", "{table", "a b", "a/{table}"}) {
    EXPECT_FALSE(TopicName::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace pgflow::sinks
