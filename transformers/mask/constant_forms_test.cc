#include "transformers/mask/constant_forms.h"

#include <set>

#include "base/bytes.h"
#include "transformers/mask/column_mask_fixture_test.h"

namespace pgflow::transformers {
namespace {

using ::testing::HasSubstr;

class ConstantTest : public ColumnMaskTest {
 protected:
  // What any value of the type becomes with such a constant; or what is wrong with it.
  std::string Constant(const std::string& text, postgres::Oid type, const std::string& value,
                       int32_t modifier = -1) {
    MaskRule rule = Rule(MaskKind::kConstant);
    rule.value = text;
    std::string refusal = Refusal(rule, type, modifier);
    if (!refusal.empty()) return refusal;
    Use(rule, type, modifier);
    return Mask(value);
  }
};

TEST_F(ConstantTest, OfAddresses) {
  EXPECT_EQ(Constant("192.0.2.1", kInet, "10.0.0.1"), "192.0.2.1");
  EXPECT_EQ(Constant("192.0.2.1/24", kInet, "10.0.0.1"), "192.0.2.1/24");
  EXPECT_EQ(Constant("2001:DB8:0::1", kInet, "10.0.0.1"), "2001:db8::1");
  EXPECT_EQ(Constant("192.0.2.0/24", kCidr, "10.0.0.0/8"), "192.0.2.0/24");
  EXPECT_EQ(Constant("192.0.2.0", kCidr, "10.0.0.0/8"), "192.0.2.0/32");
  EXPECT_THAT(Constant("192.0.2.1/24", kCidr, ""), HasSubstr("'192.0.2.1/24' is no value"));
  for (const char* wrong : {"192.0.2", "192.0.2.1/33", "x", "", "::1/129", "1.2.3.4/"}) {
    EXPECT_THAT(Constant(wrong, kInet, ""), HasSubstr("is no value of its type")) << wrong;
  }
  EXPECT_EQ(Constant("08-00-2B-01-02-03", kMacaddr, "00:00:00:00:00:00"), "08:00:2b:01:02:03");
  EXPECT_EQ(Constant("08:00:2b:01:02:03:04:05", kMacaddr8, "00:00:00:00:00:00:00:00"),
            "08:00:2b:01:02:03:04:05");
  for (const char* wrong : {"08:00:2b:01:02", "08:00:2b:01:02:03:", "08:00:2b:01:02:0g", ""}) {
    EXPECT_THAT(Constant(wrong, kMacaddr, ""), HasSubstr("is no value of its type")) << wrong;
  }
}

TEST_F(ConstantTest, OfTimes) {
  EXPECT_EQ(Constant("12:30", oid::kTime, "01:02:03"), "12:30:00");
  EXPECT_EQ(Constant("23:59:59.5", oid::kTime, "01:02:03"), "23:59:59.5");
  EXPECT_EQ(Constant("24:00:00", oid::kTime, "01:02:03"), "24:00:00");
  for (const char* wrong : {"24:00:01", "12", "12:60", "12:00+01", "noon", ""}) {
    EXPECT_THAT(Constant(wrong, oid::kTime, ""), HasSubstr("is no value of its type")) << wrong;
  }
  const auto interval = [this](const std::string& text) {
    return Constant(text, oid::kInterval, "1 day");
  };
  EXPECT_EQ(interval("1 day"), "1 day");
  EXPECT_EQ(interval("14 months 2 weeks"), "1 year 2 mons 14 days");
  EXPECT_EQ(interval("90 minutes 1 second"), "01:30:01");
  EXPECT_EQ(interval("-1 year 3 days -100:00:00.25"), "-1 years +3 days -100:00:00.25");
  EXPECT_EQ(interval("00:00:00"), "00:00:00");
  EXPECT_EQ(interval("1 year 2 mons 3 days 04:05:06.789"), "1 year 2 mons 3 days 04:05:06.789");
  for (const char* wrong :
       {"", "1", "day", "1 fortnight", "1.5 days", "--1 day", "1 day x", "99999999999 years"}) {
    EXPECT_THAT(interval(wrong), HasSubstr("is no value of its type")) << wrong;
  }
}

TEST_F(ConstantTest, OfPointsAndBits) {
  EXPECT_EQ(Constant("(1.5,-2)", oid::kPoint, "(0,0)"), "(1.5,-2)");
  EXPECT_EQ(Constant("1, 2", oid::kPoint, "(0,0)"), "(1,2)");
  EXPECT_THAT(Constant("(1)", oid::kPoint, ""), HasSubstr("is no value of its type"));
  EXPECT_EQ(Constant("0101", kBit, "1111", 4), "0101");
  EXPECT_EQ(Constant("010111011", kVarbit, "1", 12), "010111011");
  EXPECT_THAT(Constant("010", kBit, "", 4), HasSubstr("is no value of its type"));
  EXPECT_THAT(Constant("01011", kVarbit, "", 4), HasSubstr("is no value of its type"));
  EXPECT_THAT(Constant("012", kVarbit, ""), HasSubstr("is no value of its type"));
}

// Its text depends on the server's locale, its binary form counts the hundredths.
TEST_F(ConstantTest, OfMoney) {
  MaskRule rule = Rule(MaskKind::kConstant);
  for (const auto& [text, hundredths] : std::vector<std::pair<std::string, int64_t>>{
           {"12.50", 1250}, {"12.5", 1250}, {"-3", -300}, {"0", 0}, {"1234567.89", 123456789}}) {
    rule.value = text;
    Use(rule, kMoney);
    std::string out;
    ASSERT_EQ(mask_->Append(ValueOf("12345678", ValueKind::kBinary), scratch_, out),
              MaskOutcome::kWritten);
    ASSERT_EQ(out.size(), 8U);
    EXPECT_EQ(base::LoadBigEndian<int64_t>(out.data()), hundredths) << text;
  }
  for (const char* wrong : {"$1", "1.234", "1,00", "", "-", ".5", "1.2.3"}) {
    rule.value = wrong;
    EXPECT_THAT(Refusal(rule, kMoney), HasSubstr("is no amount")) << wrong;
  }
  // In the stream as the server prints it, in a snapshot in binary: the same choice.
  rule = Rule(MaskKind::kChoice);
  for (int i = 0; i < 50; ++i) rule.values.emplace_back(std::to_string(i));
  Use(rule, kMoney);
  std::string of_text;
  std::string of_binary;
  ASSERT_EQ(mask_->Append(ValueOf("-$1,234.50", ValueKind::kText), scratch_, of_text),
            MaskOutcome::kWritten);
  std::string binary;
  base::AppendBigEndian(binary, int64_t{-123450});
  mask_->Append(ValueOf(binary, ValueKind::kBinary), scratch_, of_binary);
  EXPECT_EQ(base::LoadBigEndian<int64_t>(of_binary.data()), std::stoi(of_text) * 100);
}

TEST_F(ConstantTest, ChoicesOfThem) {
  MaskRule rule = Rule(MaskKind::kChoice);
  rule.values = {"10.0.0.1", "10.0.0.2/8"};
  Use(rule, kInet);
  std::set<std::string> seen;
  for (int i = 0; i < 60; ++i) seen.insert(Mask("192.168.0." + std::to_string(i)));
  EXPECT_THAT(seen, testing::ElementsAre("10.0.0.1", "10.0.0.2/8"));
  rule.values = {"1 hour", "2 days"};
  Use(rule, oid::kInterval);
  seen.clear();
  for (int i = 0; i < 60; ++i) seen.insert(Mask(std::to_string(i) + " days"));
  EXPECT_THAT(seen, testing::ElementsAre("01:00:00", "2 days"));
  rule.values.push_back("x");
  EXPECT_THAT(Refusal(rule, oid::kInterval), HasSubstr("'x' is no value of its type"));
  EXPECT_THAT(Refusal(rule, 1007), HasSubstr("no value of its type can be written in a rule"));
}

}  // namespace
}  // namespace pgflow::transformers
