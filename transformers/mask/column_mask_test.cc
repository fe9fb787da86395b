#include "transformers/mask/column_mask.h"

#include <openssl/evp.h>

#include <map>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto/digest.h"
#include "transformers/mask/column_mask_fixture_test.h"
#include "transformers/mask/document_edit.h"

namespace pgflow::transformers {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(KeyedHashTest, IsSipHashOf128Bits) {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "SIPHASH", nullptr);
  ASSERT_NE(mac, nullptr);
  std::mt19937_64 random(7);
  for (size_t size = 0; size < 70; ++size) {
    uint64_t key[2] = {random(), random()};
    std::string bytes;
    for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(random()));
    EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
    uint64_t expected[2] = {0, 0};
    size_t written = 0;
    ASSERT_EQ(EVP_MAC_init(context, reinterpret_cast<unsigned char*>(key), 16, nullptr), 1);
    EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(bytes.data()), size);
    EVP_MAC_final(context, reinterpret_cast<unsigned char*>(expected), &written, 16);
    EVP_MAC_CTX_free(context);
    ASSERT_EQ(written, 16U);
    EXPECT_EQ(KeyedHash(key[0], key[1]).Hash(bytes), (HashBits{expected[0], expected[1]})) << size;
  }
  EVP_MAC_free(mac);
}

TEST(KeyedHashTest, DrawsEvenly) {
  BitStream bits({1, 2});
  std::map<uint64_t, int> seen;
  for (int i = 0; i < 30'000; ++i) ++seen[bits.Below(3)];
  ASSERT_EQ(seen.size(), 3U);
  for (const auto& [number, count] : seen) EXPECT_NEAR(count, 10'000, 400) << number;
}

TEST_F(ColumnMaskTest, NamesComeFromTheValue) {
  Use(Rule(MaskKind::kFullName), oid::kText);
  const std::string first = Mask("Otto Normal");
  EXPECT_THAT(first, MatchesRegex("[A-Z][a-z]+ [A-Z][a-z]+"));
  EXPECT_EQ(Mask("Otto Normal"), first);
  std::set<std::string> names;
  for (int i = 0; i < 1000; ++i) names.insert(Mask(std::to_string(i)));
  EXPECT_GT(names.size(), 950U);
  Use(Rule(MaskKind::kFirstName), oid::kVarchar, 4 + 3);
  EXPECT_LE(Mask("Maximiliana").size(), 3U);
  Use(Rule(MaskKind::kLastName), oid::kBpchar, 4 + 20);
  EXPECT_EQ(Mask("Normal    "), Mask("Normal"));
}

TEST_F(ColumnMaskTest, EveryEmailIsItsOwn) {
  MaskRule rule = Rule(MaskKind::kEmail);
  Use(rule, oid::kText);
  std::set<std::string> seen;
  for (int i = 0; i < 20'000; ++i) seen.insert(Mask("user" + std::to_string(i) + "@host.net"));
  EXPECT_EQ(seen.size(), 20'000U);
  EXPECT_THAT(Mask("a@b.c"), MatchesRegex("[a-z]+[.][a-z2-7]+@example[.]com"));
  rule.preserve_domain = true;
  rule.excluded_domains = {"ours.com"};
  Use(rule, oid::kVarchar, 4 + 40);
  EXPECT_THAT(Mask("a@b.c"), MatchesRegex("[a-z]+[.][a-z2-7]+@b.c"));
  EXPECT_THAT(Mask("a@ours.com"), MatchesRegex("[a-z.]+[a-z2-7]+@example.com"));
  EXPECT_THAT(Mask("a@a-very-long-domain-of-38-characters.com"), HasSubstr("@example.com"));
  EXPECT_THAT(Mask("no address"), HasSubstr("@example.com"));
}

TEST_F(ColumnMaskTest, PhonesKeepTheirForm) {
  MaskRule rule = Rule(MaskKind::kPhone);
  Use(rule, oid::kText);
  const std::string masked = Mask("(030) 123-4567");
  EXPECT_THAT(masked, MatchesRegex("[(][0-9]{3}[)] [0-9]{3}-[0-9]{4}"));
  EXPECT_NE(masked, "(030) 123-4567");
  EXPECT_THAT(Mask("call me"), MatchesRegex("[0-9]{10}"));
  EXPECT_THAT(Mask("12345 ask for Eve"), Not(HasSubstr("Eve")));
  rule.prefix = "+49";
  Use(rule, oid::kText);
  EXPECT_THAT(Mask("+43 660 1234567"), MatchesRegex("[+]49 [0-9]{3} [0-9]{7}"));
}

TEST_F(ColumnMaskTest, UuidsAreOfVersion4) {
  const std::string uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
  Use(Rule(MaskKind::kUuid), oid::kUuid);
  EXPECT_THAT(Mask(uuid), MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                                       "[0-9a-f]{12}"));
  EXPECT_NE(Mask(uuid), uuid);
  Use(Rule(MaskKind::kUuid), oid::kText);
  EXPECT_EQ(Mask("anything").size(), 36U);
}

TEST_F(ColumnMaskTest, PermuteIsAPermutation) {
  MaskRule rule = Rule(MaskKind::kPermute);
  for (const auto& [least, most] : std::vector<std::pair<int, int>>{
           {0, 0}, {0, 1}, {1, 3}, {-5, 5}, {0, 999}, {1, 1024}, {-1000, 3096}}) {
    rule.min = std::to_string(least);
    rule.max = std::to_string(most);
    Use(rule, oid::kInt4);
    std::set<int> seen;
    for (int i = least; i <= most; ++i) seen.insert(std::stoi(Mask(std::to_string(i))));
    EXPECT_EQ(seen.size(), static_cast<size_t>(most - least + 1)) << most;
    EXPECT_EQ(*seen.begin(), least);
    EXPECT_EQ(*seen.rbegin(), most);
  }
  EXPECT_THAT(Mask("3097"), HasSubstr("outside"));
  EXPECT_EQ(outcome_, MaskOutcome::kRefused);
  Use(Rule(MaskKind::kPermute), oid::kInt8);
  const std::string wide = Mask("4711");
  Use(Rule(MaskKind::kPermute), oid::kInt4);
  EXPECT_EQ(Mask("4711"), wide);
  EXPECT_NE(wide, "4711");
}

TEST_F(ColumnMaskTest, NumbersStayInTheirRange) {
  MaskRule rule = Rule(MaskKind::kInteger);
  rule.min = "-3";
  rule.max = "5";
  for (const postgres::Oid type : {oid::kInt2, oid::kInt4, oid::kInt8, oid::kNumeric}) {
    Use(rule, type);
    std::set<int> seen;
    for (int i = 0; i < 1000; ++i) seen.insert(std::stoi(Mask(std::to_string(i))));
    EXPECT_EQ(seen.size(), 9U) << type;
    EXPECT_EQ(*seen.begin(), -3);
  }
  rule.with = MaskKind::kFloat;
  rule.min = "-0.5";
  rule.max = "0.5";
  rule.precision = 3;
  Use(rule, oid::kNumeric);
  for (int i = 0; i < 300; ++i) {
    EXPECT_THAT(Mask(std::to_string(i)), MatchesRegex("-?0[.][0-9]{3}"));
  }
  EXPECT_EQ(Mask("1.50"), Mask("1.5"));
  Use(rule, oid::kFloat8);
  std::string out;
  ASSERT_EQ(mask_->Append(ValueOf("0.25", ValueKind::kText), scratch_, out), MaskOutcome::kWritten);
  EXPECT_LE(std::abs(std::stod(out)), 0.5);
}

TEST_F(ColumnMaskTest, DatesAreDrawnOrMoved) {
  MaskRule rule = Rule(MaskKind::kDate);
  rule.min = "2001-02-03";
  rule.max = "2001-02-05";
  Use(rule, oid::kDate);
  std::set<std::string> seen;
  for (int i = 10; i < 99; ++i) seen.insert(Mask("19" + std::to_string(i) + "-01-01"));
  EXPECT_THAT(seen, testing::ElementsAre("2001-02-03", "2001-02-04", "2001-02-05"));
  Use(rule, oid::kTimestamptz);
  EXPECT_THAT(Mask("2020-01-01 12:34:56+00"), MatchesRegex("2001-02-0[345] 00:00:00[+]00"));
  rule.with = MaskKind::kTimestamp;
  rule.min = "4713-01-01 BC";
  rule.max = "294276-12-31";
  Use(rule, oid::kTimestamp);
  EXPECT_NE(Mask("2020-06-15 12:00:00"), Mask("2020-06-15 12:00:01"));
  rule = Rule(MaskKind::kTimestamp);
  rule.shift = absl::Hours(24);
  Use(rule, oid::kTimestamp);
  EXPECT_THAT(Mask("2020-06-15 12:00:00"), MatchesRegex("2020-06-1[456] .*[.][0-9]+"));
  std::string out;
  EXPECT_EQ(mask_->Append(ValueOf("infinity", ValueKind::kText), scratch_, out),
            MaskOutcome::kKept);
  rule.with = MaskKind::kDate;
  Use(rule, oid::kDate);
  EXPECT_THAT(Mask("2020-06-15"), MatchesRegex("2020-06-1[456]"));
  EXPECT_THAT(Mask("5874897-12-31"), Not(HasSubstr("5874897")));
}

TEST_F(ColumnMaskTest, ShortKinds) {
  MaskRule rule = Rule(MaskKind::kConstant);
  rule.value = "true";
  Use(rule, oid::kBool);
  EXPECT_EQ(Mask("f"), "t");
  rule.value = "12.50";
  Use(rule, oid::kNumeric);
  EXPECT_EQ(Mask("1"), "12.50");
  rule = Rule(MaskKind::kChoice);
  rule.values = {"2", "30"};
  Use(rule, oid::kInt4);
  std::set<std::string> seen;
  for (int i = 0; i < 50; ++i) seen.insert(Mask(std::to_string(i)));
  EXPECT_THAT(seen, testing::ElementsAre("2", "30"));
  rule = Rule(MaskKind::kString);
  rule.length = 3;
  rule.length_max = 5;
  rule.symbols = "xyz";
  Use(rule, oid::kText);
  EXPECT_THAT(Mask("secret"), MatchesRegex("[xyz]{3,5}"));
  rule = Rule(MaskKind::kPartial);
  rule.keep_first = 1;
  rule.keep_last = 2;
  Use(rule, oid::kText);
  EXPECT_EQ(Mask("käsebrot"), "k*****ot");
  EXPECT_EQ(Mask("üöä"), "***");
  EXPECT_EQ(Mask(""), "");
  rule.character = "•";
  Use(rule, oid::kText);
  EXPECT_EQ(Mask("abcd"), "a•cd");
  Use(Rule(MaskKind::kNull), 1007);
  EXPECT_EQ(mask_->Append(ValueOf("{1}", ValueKind::kText), scratch_, scratch_.work),
            MaskOutcome::kNull);
}

TEST_F(ColumnMaskTest, HashIsWhatSqlComputes) {
  Use(Rule(MaskKind::kHash), oid::kText);
  const base::Digest derived = base::HmacSha256(kKey.value(), "pgflow mask hash");
  const base::Digest digest = base::HmacSha256(
      {reinterpret_cast<const char*>(derived.data()), derived.size()}, "some value");
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  EXPECT_EQ(Mask("some value"), hex);
}

// The vector of RFC 5297's deterministic example has a key of 256 bits; OpenSSL itself is trusted
// with the cipher, and this test with the order of tag and text.
TEST_F(ColumnMaskTest, AesSivCanBeDecrypted) {
  MaskRule rule = Rule(MaskKind::kAesSiv);
  std::string hex;
  std::string key;
  for (int i = 0; i < 64; ++i) {
    hex += fmt::format("{:02x}", i);
    key.push_back(static_cast<char>(i));
  }
  rule.key_hex = config::Secret(hex);
  rule.associated_data = "shop";
  Use(rule, oid::kBytea);
  const std::string masked = Mask("\\x736563726574");
  std::string bytes;
  ASSERT_TRUE(sinks::AppendBinaryOfText(masked, oid::kBytea, bytes));
  ASSERT_EQ(bytes.size(), 16U + 6U);
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, "AES-256-SIV", nullptr);
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  const auto* in = reinterpret_cast<const unsigned char*>(bytes.data());
  unsigned char plain[16];
  int size = 0;
  EVP_DecryptInit_ex2(context, cipher, reinterpret_cast<const unsigned char*>(key.data()), nullptr,
                      nullptr);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, bytes.data());
  EVP_DecryptUpdate(context, nullptr, &size, reinterpret_cast<const unsigned char*>("shop"), 4);
  EXPECT_EQ(EVP_DecryptUpdate(context, plain, &size, in + 16, 6), 1);
  EXPECT_EQ(std::string(reinterpret_cast<char*>(plain), 6), "secret");
  EVP_CIPHER_CTX_free(context);
  EVP_CIPHER_free(cipher);
  Use(rule, oid::kText);
  EXPECT_THAT(Mask("secret"), MatchesRegex("[-_A-Za-z0-9]{30}"));
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(Mask(std::to_string(i)));
  EXPECT_EQ(seen.size(), 1000U);
}

TEST_F(ColumnMaskTest, EditsJsonWhereItIs) {
  MaskRule rule = Rule(MaskKind::kJson);
  rule.set = {{"card.number", "\"0000\""}, {"tags.*", "null"}};
  rule.remove = {"ssn", "phones.0"};
  const std::string json =
      R"({"ssn": "1", "n": 12345678901234567890.10, "card": {"number": [1, {"a": 2}], "to": 1},)"
      R"( "phones": ["1", "2"], "tags": [1, "x"], "deep": {"ssn": 5}})";
  const std::string edited =
      R"({ "n": 12345678901234567890.10, "card": {"number": "0000", "to": 1},)"
      R"( "phones": [ "2"], "tags": [null, null], "deep": {"ssn": 5}})";
  for (const postgres::Oid type : {oid::kJson, oid::kJsonb}) {
    Use(rule, type);
    EXPECT_EQ(Mask(json), edited);
    EXPECT_EQ(Mask(R"({"\u0073sn":1})"), "{}");
    EXPECT_EQ(Mask("[1]"), "[1]");
  }
  std::string out;
  EXPECT_EQ(mask_->Append(ValueOf("{\"a\"", ValueKind::kText), scratch_, out),
            MaskOutcome::kRefused);
  for (const char* wrong : {"", "{", "[1,]", "{\"a\":}", "01", "nul", "\"\x01\"", "1 2", "{1:2}"}) {
    EXPECT_FALSE(IsJson(wrong)) << wrong;
  }
  EXPECT_FALSE(IsJson(std::string(2000, '[')));
}

TEST_F(ColumnMaskTest, EditsHstore) {
  std::string out;
  const std::vector<HstoreEdit> edits = {{"a", "x\"y"}, {"b", {}}};
  ASSERT_TRUE(AppendEditedHstoreText(R"("a"=>"1", "b"=>"2", "c\"d"=>NULL)", edits, out));
  EXPECT_EQ(out, R"("a"=>"x\"y", "c\"d"=>NULL)");
  const std::string binary("\0\0\0\2\0\0\0\1a\0\0\0\0011\0\0\0\1b\xff\xff\xff\xff", 23);
  out.clear();
  ASSERT_TRUE(AppendEditedHstoreBinary(binary, edits, out));
  EXPECT_EQ(out, std::string("\0\0\0\1\0\0\0\1a\0\0\0\3x\"y", 16));
  EXPECT_FALSE(AppendEditedHstoreBinary(binary.substr(0, 20), edits, out));
  EXPECT_FALSE(AppendEditedHstoreText("\"a\"=>", edits, out));
}

TEST(MaskRuleTest, RefusesWhatDoesNotFit) {
  const auto made = [](const MaskRule& rule, postgres::Oid type, int32_t modifier, bool identity) {
    const schemas::TableSchema table = Table(type, modifier, identity);
    return std::string(base::Message(MakeColumnMask(rule, kKey, table, table.columns[0]).status()));
  };
  EXPECT_THAT(made(Rule(MaskKind::kFirstName), oid::kInt4, -1, false),
              HasSubstr("table public.t, column 'c' of type 23: first_name gives no values"));
  EXPECT_THAT(made(Rule(MaskKind::kFirstName), oid::kText, -1, true), HasSubstr("the table's key"));
  schemas::TableSchema full = Table(oid::kText, -1, true);
  full.replica_identity = schemas::ReplicaIdentity::kFull;
  const auto lossy = [&full] {
    return MakeColumnMask(Rule(MaskKind::kFirstName), kKey, full, full.columns[0]).ok();
  };
  EXPECT_TRUE(lossy());  // Whole rows are the identity; equal ones are no trouble.
  full.columns[0].primary_key = 1;
  EXPECT_FALSE(lossy());
  EXPECT_THAT(made(Rule(MaskKind::kEmail), oid::kVarchar, 4 + 27, false),
              HasSubstr("an address needs 28 characters, it has 27"));
  EXPECT_EQ(made(Rule(MaskKind::kEmail), oid::kVarchar, 4 + 28, true), "");
  EXPECT_THAT(made(Rule(MaskKind::kPermute), oid::kInt2, -1, false), HasSubstr("does not fit"));
  EXPECT_THAT(made(Rule(MaskKind::kHash), oid::kVarchar, 4 + 63, false), HasSubstr("64 charact"));
  MaskRule shorter = Rule(MaskKind::kHash);
  shorter.length = 19;
  EXPECT_THAT(made(shorter, oid::kText, -1, true), HasSubstr("the table's key"));
  shorter.length = 20;
  EXPECT_EQ(made(shorter, oid::kText, -1, true), "");
  MaskRule constant = Rule(MaskKind::kConstant);
  constant.value = "x";
  EXPECT_THAT(made(constant, oid::kInt4, -1, false), HasSubstr("'x' is no value of its type"));

  const auto checked = [](const MaskRule& rule, const config::Secret& key) {
    return std::string(base::Message(CheckMaskRule(rule, key)));
  };
  EXPECT_THAT(checked(Rule(MaskKind::kEmail), {}), HasSubstr("email needs the mask's `key`"));
  EXPECT_THAT(checked(Rule(MaskKind::kEmail), config::Secret("short")), HasSubstr("16 characters"));
  EXPECT_THAT(checked(Rule(MaskKind::kUnset), kKey), HasSubstr("needs `table`, `column`"));
  EXPECT_THAT(checked(constant, {}), "");
  constant.prefix = "+49";
  EXPECT_THAT(checked(constant, {}), HasSubstr("constant does not take prefix"));
  EXPECT_THAT(checked(Rule(MaskKind::kInteger), kKey), HasSubstr("integer needs min and max"));
  EXPECT_THAT(checked(Rule(MaskKind::kDate), kKey), HasSubstr("either `min` and `max`, or"));
}

}  // namespace
}  // namespace pgflow::transformers
