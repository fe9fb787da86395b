#include "transformers/enrich/enrich_transformer.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"

namespace pgflow::transformers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EnrichTest : public testing::Test {
 protected:
  EnrichTest() {
    builder_.Table("public.orders (id int4 key, customer int4, note text)");
    builder_.Table("public.full_orders (id int4 key, customer int4, note text) full");
    builder_.Table("public.customers (id int8 key, name text, city text)");
    builder_.Table("audit.log (id int4 key)");
    config_.table = "public.*orders";
    config_.from = "public.customers";
    config_.on = {{"customer", "id"}};
    config_.columns = {{"customer_name", "name"}};
    directory_ = testing::TempDir() + "/enrich_test";
    std::filesystem::remove_all(directory_);
  }
  void Open() {
    auto made = EnrichTransformer::Make(config_);
    ASSERT_TRUE(made.ok()) << made.status();
    enrich_ = *std::move(made);
    ASSERT_TRUE(enrich_->Open({"pipeline", directory_, 0}).ok());
  }
  void Learn(const std::string& rows, uint64_t point,
             engine::CopyFormat format = engine::CopyFormat::kText) {
    const absl::Status learned =
        enrich_->Learn(builder_.FindTable("customers"), postgres::Lsn(point),
                       [&](const std::function<absl::Status(engine::Batch)>& consume) {
                         engine::Batch batch = builder_.Snapshot("customers", rows, format);
                         batch.set_snapshot_lsn(postgres::Lsn(point));
                         return consume(std::move(batch));
                       });
    ASSERT_TRUE(learned.ok()) << learned;
  }
  std::vector<std::string> Stream(const std::string& script) {
    engine::Batch batch = builder_.StreamBatch("begin\n" + script + "\ncommit");
    const absl::Status status = enrich_->Transform(batch);
    culprit_ = base::Payload(status, engine::kCulpritPayload);
    if (!status.ok()) return {std::string(base::Message(status))};
    return engine::Describe(batch);
  }
  std::string Refusal(const std::string& table = "orders") {
    const auto schema = enrich_->TransformSchema(builder_.FindTable(table));
    return std::string(base::Message(schema.status()));
  }

  engine::EventBuilder builder_;
  EnrichConfig config_;
  std::string directory_;
  std::unique_ptr<engine::Transformer> enrich_;
  std::string culprit_;
};

TEST_F(EnrichTest, PipelinesThatShareADirectoryKeepApart) {
  Open();
  Learn("1 ann rome", 0x50);
  auto other = EnrichTransformer::Make(config_);
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE((*other)->Open({"other", directory_, 0}).ok());
  EXPECT_FALSE((*other)->Resume(postgres::Lsn(0x60)).ok());
  ASSERT_TRUE((*other)->Forget({"other", directory_, 0}).ok());
  Open();
  EXPECT_TRUE(enrich_->Resume(postgres::Lsn(0x60)).ok());
  EXPECT_THAT(Stream("insert orders 10 1 n"), ElementsAre("insert public.orders 10 1 n ann"));
}

TEST_F(EnrichTest, ARowGetsWhatTheOtherWasAtItsOwnPlace) {
  Open();
  Learn("1 ann rome\n2 bob oslo", 0x50);
  EXPECT_THAT(
      Stream(R"(
      insert orders 10 1 n
      update customers 1 anna rome
      insert orders 11 1 n
      update orders 10 1 m
      delete customers 2
      insert orders 12 2 n
      insert customers 3 cid nice
      update customers old(3) 4 unchanged nice
      insert orders 13 3 n
      insert orders 14 4 unchanged
      insert orders 15 null n
      update full_orders full(1 1 a) 1 4 b
      delete orders 10
      insert log 1
      truncate customers
      insert orders 16 1 n)"),
      ElementsAre(
          "insert public.orders 10 1 n ann", "update public.customers 1 anna rome",
          "insert public.orders 11 1 n anna", "update public.orders 10 1 m anna",
          "delete public.customers 2", "insert public.orders 12 2 n null",
          "insert public.customers 3 cid nice", "update public.customers old(3) 4 unchanged nice",
          "insert public.orders 13 3 n null", "insert public.orders 14 4 unchanged cid",
          "insert public.orders 15 null n null",
          "update public.full_orders full(1 1 a anna) 1 4 b cid", "delete public.orders 10",
          "insert audit.log 1", "truncate public.customers", "insert public.orders 16 1 n null"));
}

TEST_F(EnrichTest, TheSameComesAgainAfterARestart) {
  Open();
  Learn("1 ann rome", 0x50);
  const std::string script =
      "insert orders 10 1 n\n update customers 1 anna rome\n"
      " insert orders 11 1 n";
  engine::EventBuilder again = builder_;
  const std::vector<std::string> first = Stream(script);
  Stream("update customers 1 later rome");
  Open();  // Killed; the sink's checkpoint is before all of it.
  builder_ = again;
  ASSERT_TRUE(enrich_->Resume(postgres::Lsn(0x60)).ok());
  EXPECT_EQ(Stream(script), first);
}

TEST_F(EnrichTest, SnapshotRowsGetWhatTheSnapshotSaw) {
  Open();
  for (const engine::CopyFormat format : {engine::CopyFormat::kText, engine::CopyFormat::kBinary}) {
    Learn("1 ann rome", 0x50, format);
    Stream("update customers 1 anna rome");
    for (const engine::CopyFormat rows : {engine::CopyFormat::kText, engine::CopyFormat::kBinary}) {
      engine::Batch batch = builder_.Snapshot("orders", "7 1 n\n8 2 n", rows);
      batch.set_snapshot_lsn(postgres::Lsn(0x50));
      ASSERT_TRUE(enrich_->Transform(batch).ok());
      EXPECT_THAT(engine::Describe(batch),
                  ElementsAre("read public.orders 7 1 n ann", "read public.orders 8 2 n null"));
    }
  }
}

TEST_F(EnrichTest, StopsWithoutAMatchWhereThatIsConfigured) {
  config_.no_match = NoMatch::kStop;
  Open();
  Learn("1 ann rome", 0x50);
  EXPECT_THAT(Stream("insert orders 10 null n"),
              ElementsAre("insert public.orders 10 null n null"));
  EXPECT_THAT(Stream("insert orders 11 2 n"), ElementsAre(HasSubstr("no such row")));
  EXPECT_THAT(culprit_, HasSubstr(":0"));
}

TEST_F(EnrichTest, GivesTheNewColumnsTheTypesOfTheOther) {
  Open();
  EXPECT_THAT(Refusal(), HasSubstr("none of the tables that come here"));
  enrich_->Introduce(builder_.FindTable("customers"));
  const auto schema = enrich_->TransformSchema(builder_.FindTable("orders"));
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_EQ((*schema)->columns.back().name, "customer_name");
  EXPECT_EQ((*schema)->columns.back().type, postgres::oid::kText);
  EXPECT_FALSE((*schema)->columns.back().identity);
  EXPECT_EQ(*enrich_->TransformSchema(builder_.FindTable("log")), builder_.FindTable("log"));
}

TEST_F(EnrichTest, SaysWhatDoesNotFit) {
  const auto refusal = [this] {
    Open();
    enrich_->Introduce(builder_.FindTable("customers"));
    const std::string lookup = Refusal("customers");
    return lookup.empty() ? Refusal() : lookup;
  };
  config_.on = {{"customer", "name"}};
  EXPECT_THAT(refusal(), HasSubstr("its key"));
  config_.on = {{"client", "id"}};
  EXPECT_THAT(refusal(), HasSubstr("no column 'client'"));
  config_.on = {{"note", "id"}};
  EXPECT_THAT(refusal(), HasSubstr("cannot be compared"));
  config_.on = {{"customer", "id"}};
  config_.columns = {{"note", "name"}};
  EXPECT_THAT(refusal(), HasSubstr("already"));
  config_.columns = {{"town", "town"}};
  EXPECT_THAT(refusal(), HasSubstr("no column 'town'"));
  config_.from = "customers";
  EXPECT_FALSE(EnrichTransformer::Make(config_).ok());
}

TEST_F(EnrichTest, KnowsWhenItHasToLearn) {
  Open();
  EXPECT_EQ(enrich_->Resume(postgres::Lsn(1)).code(), absl::StatusCode::kFailedPrecondition);
  Learn("1 ann rome", 0x5000);
  EXPECT_TRUE(enrich_->Resume(postgres::Lsn(1)).ok());
  // What waited before it was learnt gets the first row known.
  EXPECT_THAT(Stream("insert orders 10 1 n"), ElementsAre("insert public.orders 10 1 n ann"));
}

TEST_F(EnrichTest, StopsWhenALookedUpColumnGetsAnotherType) {
  Open();
  Learn("1 ann rome", 0x50);
  builder_.Table("public.customers (id int8 key, name int4, city text)");
  EXPECT_THAT(Stream("update customers 1 7 rome"), ElementsAre(HasSubstr("has changed")));
  EXPECT_THAT(Stream("update customers 1 7 rome"), ElementsAre("update public.customers 1 7 rome"));
}

}  // namespace
}  // namespace pgflow::transformers
