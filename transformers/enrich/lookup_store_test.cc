#include "transformers/enrich/lookup_store.h"

#include <filesystem>

#include <gtest/gtest.h>

namespace pgflow::transformers {
namespace {

using postgres::Lsn;

LookupRowPtr Row(const std::string& text) {
  auto row = std::make_shared<LookupRow>();
  row->fields.push_back({schemas::ValueKind::kText, text});
  return row;
}

class LookupStoreTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/lookup_store";
    std::filesystem::remove_all(directory_);
    Open();
  }
  void Open(const std::string& fingerprint = "f", uint64_t memory = 1 << 20) {
    store_ = nullptr;
    auto opened = LookupStore::Open(GetParam() ? directory_ : "", "l.db", fingerprint, memory);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }
  void Put(const std::string& key, uint64_t lsn, uint64_t ordinal, LookupRowPtr row) {
    ASSERT_TRUE(store_
                    ->Write([&](LookupStore::Writer& writer) {
                      return writer.Put(key, {Lsn(lsn), ordinal}, row);
                    })
                    .ok());
  }
  void Learn(uint64_t point, const std::vector<std::string>& keys) {
    ASSERT_TRUE(store_
                    ->Learn(Lsn(point),
                            [&](LookupStore::Writer& writer) -> absl::Status {
                              for (const std::string& key : keys) {
                                absl::Status put = writer.Put(key, LookupStore::PlaceOf(Lsn(point)),
                                                              Row(key + std::to_string(point)));
                                if (!put.ok()) return put;
                              }
                              return absl::OkStatus();
                            })
                    .ok());
  }
  std::string Find(const std::string& key, uint64_t lsn, uint64_t ordinal = 0) {
    const auto row = store_->Find(key, {Lsn(lsn), ordinal});
    if (!row.ok()) return row.status().ToString();
    return *row == nullptr ? "-" : (*row)->fields[0].bytes;
  }

  std::string directory_;
  std::unique_ptr<LookupStore> store_;
};

TEST_P(LookupStoreTest, KnowsARowAtEveryPlace) {
  Learn(100, {"a", "b"});
  Put("a", 110, 2, Row("second"));
  Put("a", 120, 0, nullptr);
  Put("a", 130, 0, Row(std::string("th\0ird", 6)));
  EXPECT_EQ(Find("a", 100), "a100");
  EXPECT_EQ(Find("a", 110, 1), "a100");
  EXPECT_EQ(Find("a", 110, 2), "second");
  EXPECT_EQ(Find("a", 119), "second");
  EXPECT_EQ(Find("a", 120), "-");
  EXPECT_EQ(Find("a", 130), std::string("th\0ird", 6));
  EXPECT_EQ(Find("c", 130), "-");
  EXPECT_EQ(Find("b", 50), "b100") << "the first one known";
  Put("a", 110, 2, Row("second"));  // Comes again.
  EXPECT_EQ(Find("a", 119), "second");
}

TEST_P(LookupStoreTest, ALaterSnapshotEndsWhatIsGone) {
  Learn(100, {"a", "b"});
  Put("c", 150, 0, Row("late"));
  Learn(200, {"b", "d"});
  EXPECT_EQ(Find("a", 150), "a100");
  EXPECT_EQ(Find("a", 200), "-");
  EXPECT_EQ(Find("c", 199), "late");
  EXPECT_EQ(Find("c", 200), "-");
  EXPECT_EQ(Find("b", 200), "b200");
  EXPECT_EQ(Find("d", 150), "-") << "it was not there";
  EXPECT_EQ(*store_->learned(), Lsn(100));
}

TEST_P(LookupStoreTest, ClearsAll) {
  Learn(100, {"a", "b"});
  ASSERT_TRUE(store_
                  ->Write([](LookupStore::Writer& writer) -> absl::Status {
                    absl::Status cleared = writer.Clear({Lsn(110), 0});
                    if (!cleared.ok()) return cleared;
                    return writer.Put("b", {Lsn(110), 1}, Row("again"));
                  })
                  .ok());
  EXPECT_EQ(Find("a", 109), "a100");
  EXPECT_EQ(Find("a", 110), "-");
  EXPECT_EQ(Find("b", 110, 1), "again");
}

INSTANTIATE_TEST_SUITE_P(All, LookupStoreTest, testing::Bool());

class LookupFileTest : public LookupStoreTest {};

TEST_P(LookupFileTest, OutlivesTheProcessAndForgetsNothingThatMayBeAsked) {
  Learn(100, {"a", "b"});
  ASSERT_TRUE(store_->Describe("columns").ok());
  Put("a", 110, 0, Row("x"));
  Open();
  EXPECT_EQ(Find("a", 109), "a100");
  EXPECT_EQ(Find("a", 111), "x");
  EXPECT_EQ(*store_->learned(), Lsn(100));
  EXPECT_EQ(store_->description(), "columns");
  // What fails is not there.
  EXPECT_FALSE(store_
                   ->Write([](LookupStore::Writer& writer) -> absl::Status {
                     EXPECT_TRUE(writer.Put("a", {Lsn(112), 0}, Row("never")).ok());
                     return absl::InternalError("no");
                   })
                   .ok());
  EXPECT_EQ(Find("a", 113), "x");
  Open("other columns");
  EXPECT_FALSE(store_->learned().has_value());
  EXPECT_EQ(Find("a", 111), "-");
}

TEST_P(LookupFileTest, DropsVersionsThatNobodyAsksForWithinItsMemory) {
  Open("f", 4096);
  Learn(100, {"a"});
  constexpr uint64_t kKeys = 2'000;
  ASSERT_TRUE(store_
                  ->Write([](LookupStore::Writer& writer) -> absl::Status {
                    for (uint64_t i = 0; i < kKeys; ++i) {
                      const std::string key = "k" + std::to_string(i);
                      absl::Status one = writer.Put(key, {Lsn(200), i}, Row("old"));
                      if (!one.ok()) return one;
                      absl::Status two = writer.Put(key, {Lsn(300), i}, Row("new"));
                      if (!two.ok()) return two;
                    }
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(Find("k7", 250, 0), "old");
  store_->Settle(Lsn(400));
  Put("b", 400, 0, Row("b"));
  EXPECT_EQ(Find("k7", 250, 0), "-") << "dropped";
  EXPECT_EQ(Find("k7", 400, 0), "new");
}

INSTANTIATE_TEST_SUITE_P(File, LookupFileTest, testing::Values(true));

}  // namespace
}  // namespace pgflow::transformers
