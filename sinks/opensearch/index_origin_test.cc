#include "sinks/opensearch/index_origin.h"

#include <gtest/gtest.h>

#include "sinks/opensearch/index_meta.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;

json Origin(const json& settings) { return {{"strings", "text"}, {"settings", settings}}; }

TEST(IndexOriginTest, IsTheSameForTheSameOptionsOnly) {
  const schemas::TableName table{"public", "items"};
  OpenSearchSinkConfig config;
  const json before = OriginOf(config, table);
  EXPECT_EQ(OriginOf(config, table), before);
  config.strings = StringMapping::kKeyword;
  config.json = JsonMapping::kStored;
  config.numerics = NumericMapping::kKeyword;
  const json origin = OriginOf(config, table);
  EXPECT_TRUE(HasOtherMapping(before, origin));
  EXPECT_EQ(ChangedSettings(before, origin), json::object());
  const MappingChoices choices = ChoicesOf(origin);
  EXPECT_EQ(choices.strings, StringMapping::kKeyword);
  EXPECT_EQ(choices.numerics, NumericMapping::kKeyword);
  EXPECT_EQ(choices.json, JsonMapping::kStored);
  config = {};
  config.deletes_remembered = absl::Hours(1);
  EXPECT_FALSE(HasOtherMapping(before, OriginOf(config, table)));
  EXPECT_EQ(ChangedSettings(before, OriginOf(config, table)),
            (json{{"index.gc_deletes", "3600s"}}));
}

TEST(IndexOriginTest, SettingsAreTheSameHoweverTheyAreWritten) {
  EXPECT_EQ(ChangedSettings(Origin({{"index", {{"codec", "best"}}}}), Origin({{"codec", "best"}})),
            json::object());
  EXPECT_EQ(ChangedSettings(Origin({{"index.number_of_shards", 1}, {"codec", "best"}}),
                            Origin({{"number_of_shards", 2}})),
            (json{{"index.number_of_shards", 2}, {"index.codec", nullptr}}));
}

TEST(IndexOriginTest, IsRememberedWithTheSources) {
  IndexMeta meta;
  meta.table = "shop.items";
  meta.origin = Origin({{"codec", "best"}});
  meta.made_for = "items";
  meta.sources = {{{"sh.op", "it\"ems"}, postgres::Lsn(0x500)}, {{"shop", "more"}, {}}};
  const auto read = IndexMeta::FromMapping({{"_meta", meta.ToJson()}});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->origin, meta.origin);
  EXPECT_EQ(read->sources, meta.sources);
  EXPECT_EQ(read->made_for, "items");
}

}  // namespace
}  // namespace pgflow::sinks
