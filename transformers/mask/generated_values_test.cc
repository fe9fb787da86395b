// What the kinds that write values of a form of their own give: valid, the same for the same value,
// and within the column.
#include <arpa/inet.h>

#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <set>

#include <fmt/format.h>

#include "transformers/mask/column_mask_fixture_test.h"
#include "transformers/mask/word_lists.h"

namespace pgflow::transformers {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr int kRounds = 2000;

class GeneratedTest : public ColumnMaskTest {
 protected:
  GeneratedTest() : seed_(std::random_device()()), random_(seed_), trace_(__FILE__, 1, seed_) {}

  uint64_t Below(uint64_t bound) { return random_() % bound; }
  std::string Text(std::string_view symbols, size_t most) {
    std::string text;
    for (size_t size = Below(most + 1); size > 0; --size) text += symbols[Below(symbols.size())];
    return text;
  }
  std::string Number(uint64_t least, uint64_t most) {
    std::string digits;
    for (uint64_t size = least + Below(most - least + 1); size > 0; --size) {
      digits += static_cast<char>('1' + Below(9));
    }
    return digits;
  }
  // Of many values; a value gives the same again, and another key something else.
  void ForEach(const MaskRule& rule, postgres::Oid type, int32_t modifier,
               const std::function<std::string()>& value,
               const std::function<void(const std::string&, const std::string&)>& check) {
    Use(rule, type, modifier);
    const schemas::TableSchema table = Table(type, modifier);
    const config::Secret other_key("another key of many characters");
    const auto same = MakeColumnMask(rule, kKey, table, table.columns[0]);
    const auto other = MakeColumnMask(rule, other_key, table, table.columns[0]);
    ASSERT_TRUE(same.ok() && other.ok());
    int differ = 0;
    for (int i = 0; i < kRounds && !HasFatalFailure(); ++i) {
      const std::string given = value();
      const std::string made = Mask(given);
      ASSERT_EQ(outcome_, MaskOutcome::kWritten) << given << ": " << made;
      std::string repeated;
      std::string with_other_key;
      (*same)->Append(ValueOf(given, ValueKind::kText), scratch_, repeated);
      (*other)->Append(ValueOf(given, ValueKind::kText), scratch_, with_other_key);
      ASSERT_EQ(repeated, made) << given;
      differ += with_other_key != made ? 1 : 0;
      if (type_.characters_max != 0) {
        ASSERT_LE(CountCharacters(made), type_.characters_max) << given;
      }
      check(given, made);
    }
    EXPECT_GT(differ, kRounds / 3);
  }

  const unsigned seed_;
  std::mt19937_64 random_;
  testing::ScopedTrace trace_;
};

bool IsLuhn(const std::string& text) {
  int sum = 0;
  int place = 0;
  const std::string turned(text.rbegin(), text.rend());
  for (const char c : turned) {
    if (c < '0' || c > '9') continue;
    const int digit = c - '0';
    const int twice = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
    sum += place++ % 2 == 0 ? digit : twice;
  }
  return sum % 10 == 0;
}

TEST_F(GeneratedTest, CreditCardsAreValidAndKeepTheirForm) {
  ASSERT_TRUE(IsLuhn("4111 1111 1111 1111"));
  ASSERT_FALSE(IsLuhn("4111 1111 1111 1112"));
  MaskRule rule = Rule(MaskKind::kCreditCard);
  ForEach(
      rule, oid::kText, -1, [this] { return Number(8, 22); },
      [](const std::string& given, const std::string& made) {
        ASSERT_TRUE(IsLuhn(made)) << made;
        const bool card = given.size() >= 12 && given.size() <= 19;
        ASSERT_EQ(made.size(), card ? given.size() : 16U) << given;
        ASSERT_EQ(made[0], '4');
      });
  rule.prefix = "5299";
  ForEach(
      rule, oid::kInt8, -1, [this] { return Number(1, 18); },
      [](const std::string&, const std::string& made) {
        ASSERT_TRUE(IsLuhn(made) && made.starts_with("5299")) << made;
      });
  ForEach(
      rule, oid::kNumeric, -1, [this] { return Number(1, 30); },
      [](const std::string&, const std::string& made) { ASSERT_TRUE(IsLuhn(made)) << made; });
  const std::string number = Mask("4111111111111111");
  Use(rule, oid::kText);
  EXPECT_EQ(Mask("4111111111111111"), number);
  const std::string grouped = Mask("4111 1111-1111 1111");
  EXPECT_THAT(grouped, MatchesRegex("5299 [0-9]{4}-[0-9]{4} [0-9]{4}"));
  EXPECT_EQ(Mask("4111-1111-1111-1111").substr(15), grouped.substr(15));
  Use(rule, oid::kVarchar, 4 + 16);
  EXPECT_EQ(Mask("none of your business").size(), 16U);
  EXPECT_THAT(Refusal(rule, oid::kVarchar, 4 + 15), HasSubstr("needs 16 characters, the column"));
  EXPECT_THAT(Refusal(rule, oid::kInt4), HasSubstr("a number has 16 digits, the type holds 9"));
  EXPECT_THAT(Refusal(rule, oid::kNumeric, (15 << 16) + 4), HasSubstr("the type holds 15"));
  rule.prefix = "x";
  EXPECT_THAT(Refusal(rule, oid::kText), HasSubstr("`prefix` must be digits"));
}

TEST_F(GeneratedTest, SocialSecurityNumbersAreOfRangesGivenOut) {
  const auto good = [](const std::string& made) {
    const std::string digits =
        made.size() == 11 ? made.substr(0, 3) + made.substr(4, 2) + made.substr(7) : made;
    const int area = std::stoi(digits.substr(0, 3));
    return digits.size() == 9 && area > 0 && area < 900 && area != 666 &&
           digits.substr(3, 2) != "00" && digits.substr(5) != "0000";
  };
  const MaskRule rule = Rule(MaskKind::kSsn);
  ForEach(
      rule, oid::kText, -1, [this] { return Text("0123456789-", 12); },
      [&](const std::string& given, const std::string& made) {
        ASSERT_TRUE(good(made)) << made;
        const bool plain = given.size() == 9 && given.find('-') == std::string::npos;
        ASSERT_EQ(made.size(), plain ? 9U : 11U) << given;
      });
  ForEach(
      rule, oid::kInt4, -1, [this] { return Number(1, 9); },
      [&](const std::string&, const std::string& made) {
        ASSERT_TRUE(good(fmt::format("{:09}", std::stoi(made)))) << made;
      });
  Use(rule, oid::kVarchar, 4 + 9);
  EXPECT_EQ(Mask("123-45-6789").size(), 9U);
  EXPECT_THAT(Refusal(rule, oid::kInt2), HasSubstr("holds 4"));
}

// As ISO 13616 says it: the first four characters to the end, letters as numbers, modulo 97 is 1.
unsigned IbanRemainder(const std::string& iban) {
  unsigned remainder = 0;
  const std::string turned = iban.substr(4) + iban.substr(0, 4);
  for (const char c : turned) {
    const std::string part = c <= '9' ? std::string(1, c) : std::to_string(c - 'A' + 10);
    for (const char digit : part)
      remainder = (remainder * 10 + static_cast<unsigned>(digit - '0')) % 97;
  }
  return remainder;
}

TEST_F(GeneratedTest, IbansHaveRightCheckDigits) {
  ASSERT_EQ(IbanRemainder("DE89370400440532013000"), 1U);
  MaskRule rule = Rule(MaskKind::kIban);
  const std::map<std::string, size_t> sizes = {
      {"AT", 20}, {"BE", 16}, {"CH", 21}, {"CZ", 24}, {"DE", 22}, {"DK", 18},
      {"ES", 24}, {"FI", 18}, {"FR", 27}, {"GB", 22}, {"IE", 22}, {"IT", 27},
      {"LU", 20}, {"NL", 18}, {"NO", 15}, {"PL", 28}, {"PT", 25}, {"SE", 24}};
  for (const auto& [country, size] : sizes) {
    rule.prefix = country;
    Use(rule, oid::kText);
    for (int i = 0; i < 300; ++i) {
      const std::string made = Mask(std::to_string(i));
      ASSERT_EQ(IbanRemainder(made), 1U) << made;
      ASSERT_EQ(made.size(), size) << made;
      ASSERT_TRUE(made.starts_with(country));
    }
  }
  rule.prefix.reset();
  for (const auto& [locale, begin] : std::map<Locale, std::string>{
           {Locale::kEnglish, "GB"}, {Locale::kGerman, "DE"}, {Locale::kSpanish, "ES"}}) {
    rule.locale = locale;
    ForEach(
        rule, oid::kText, -1, [this] { return "DE" + Number(20, 20); },
        [&begin = begin](const std::string&, const std::string& made) {
          ASSERT_TRUE(made.starts_with(begin) && IbanRemainder(made) == 1) << made;
        });
  }
  rule.locale = Locale::kGerman;
  Use(rule, oid::kText);
  EXPECT_THAT(Mask("DE89 3704 0044 0532 0130 00"),
              MatchesRegex("DE[0-9]{2}( [0-9]{4}){4} [0-9]{2}"));
  const std::string plain = Mask("DE89370400440532013000");
  Use(rule, oid::kVarchar, 4 + 22);
  EXPECT_EQ(Mask("de89 3704 0044 0532 0130 00"), plain);
  EXPECT_THAT(Refusal(rule, oid::kVarchar, 4 + 21), HasSubstr("needs 22 characters"));
  rule.prefix = "XX";
  EXPECT_THAT(Refusal(rule, oid::kText), HasSubstr("must be one of AT BE"));
}

TEST_F(GeneratedTest, PlacesComeFromTheListsOfTheirLocale) {
  const std::array kinds = {MaskKind::kCity,     MaskKind::kStreet,   MaskKind::kState,
                            MaskKind::kCountry,  MaskKind::kAddress,  MaskKind::kCompany,
                            MaskKind::kLastName, MaskKind::kFirstName};
  for (const Locale locale : {Locale::kEnglish, Locale::kGerman, Locale::kSpanish}) {
    const LocaleWords& words = WordsOf(locale);
    for (const MaskKind kind : kinds) {
      SCOPED_TRACE(MaskKindName(kind));
      MaskRule rule = Rule(kind);
      rule.locale = locale;
      std::set<std::string> seen;
      ForEach(
          rule, oid::kVarchar, 4 + 80, [this] { return Text("abcde", 20); },
          [&](const std::string&, const std::string& made) { seen.insert(made); });
      EXPECT_GT(seen.size(), 15U);
      const auto all_in = [&](WordList list) {
        return std::ranges::all_of(seen, [&](const std::string& each) {
          return std::ranges::find(list, each) != list.end();
        });
      };
      EXPECT_TRUE(kind != MaskKind::kCity || all_in(words.cities));
      EXPECT_TRUE(kind != MaskKind::kState || all_in(words.states));
      EXPECT_TRUE(kind != MaskKind::kCountry || all_in(words.countries));
      EXPECT_TRUE(kind != MaskKind::kLastName || all_in(words.last_names));
      Use(rule, oid::kVarchar, 4 + 3);
      EXPECT_LE(CountCharacters(Mask("somewhere")), 3U);
    }
  }
  MaskRule rule = Rule(MaskKind::kAddress);
  Use(rule, oid::kText);
  EXPECT_THAT(Mask("x"), MatchesRegex("[0-9]+ [A-Z].*, [A-Z].*, [A-Z].* [0-9]{5}"));
  rule.locale = Locale::kGerman;
  Use(rule, oid::kText);
  EXPECT_THAT(Mask("x"), MatchesRegex("[A-Z].* [0-9]+, [0-9]{5} .*"));
}

TEST_F(GeneratedTest, WordListsAreWellFormed) {
  for (const Locale locale : {Locale::kEnglish, Locale::kGerman, Locale::kSpanish}) {
    const LocaleWords& words = WordsOf(locale);
    for (const WordList list : {words.first_names, words.last_names, words.cities, words.streets,
                                words.states, words.countries, words.trades, words.legal_forms}) {
      EXPECT_EQ(std::set<std::string_view>(list.begin(), list.end()).size(), list.size())
          << list.front();
    }
    for (const std::string_view street : words.streets) {
      EXPECT_EQ(street.find("{}"), street.rfind("{}")) << street;
      EXPECT_NE(street.find("{}"), std::string_view::npos) << street;
    }
  }
}

TEST_F(GeneratedTest, PostcodesAreOfTheCountry) {
  MaskRule rule = Rule(MaskKind::kPostcode);
  const std::map<Locale, std::pair<int, int>> ranges = {{Locale::kEnglish, {501, 99950}},
                                                        {Locale::kGerman, {1067, 99998}},
                                                        {Locale::kSpanish, {1000, 52999}}};
  for (const auto& [locale, range] : ranges) {
    rule.locale = locale;
    const auto check = [&range = range](const std::string&, const std::string& made) {
      ASSERT_GE(std::stoi(made), range.first);
      ASSERT_LE(std::stoi(made), range.second);
    };
    ForEach(
        rule, oid::kText, -1, [this] { return Number(4, 6); },
        [&](const std::string& given, const std::string& made) {
          ASSERT_EQ(made.size(), 5U);
          check(given, made);
        });
    ForEach(
        rule, oid::kInt4, -1, [this] { return Number(4, 6); }, check);
    ForEach(
        rule, oid::kNumeric, (5 << 16) + 4, [this] { return Number(4, 5); }, check);
  }
  EXPECT_THAT(Refusal(rule, oid::kInt2), HasSubstr("holds 4"));
}

TEST_F(GeneratedTest, UserNamesAndPasswords) {
  MaskRule rule = Rule(MaskKind::kUserName);
  ForEach(
      rule, oid::kText, -1, [this] { return Text("abcdef", 12); },
      [](const std::string&, const std::string& made) {
        ASSERT_THAT(made, MatchesRegex("[a-z]+[a-z2-7]{4}"));
      });
  rule.locale = Locale::kSpanish;
  rule.length = 16;
  std::set<std::string> seen;
  Use(rule, oid::kVarchar, 4 + 18);
  for (int i = 0; i < 5000; ++i) seen.insert(Mask(std::to_string(i)));
  EXPECT_EQ(seen.size(), 5000U);
  for (const std::string& each : seen) ASSERT_THAT(each, MatchesRegex("[a-z]{2}[a-z2-7]{16}"));
  EXPECT_EQ(Refusal(rule, oid::kText, -1, true), "");
  rule.length = 15;
  EXPECT_THAT(Refusal(rule, oid::kText, -1, true), HasSubstr("the table's key"));
  rule.length = 17;
  EXPECT_THAT(Refusal(rule, oid::kText), HasSubstr("`length` is 16 at most"));

  rule = Rule(MaskKind::kPassword);
  for (const int64_t length : {8, 16, 40}) {
    rule.length = length;
    ForEach(
        rule, oid::kText, -1, [this] { return Text("abcdef", 12); },
        [&](const std::string&, const std::string& made) {
          ASSERT_EQ(made.size(), static_cast<size_t>(length));
          ASSERT_NE(made.find_first_of("abcdefghijklmnopqrstuvwxyz"), std::string::npos);
          ASSERT_NE(made.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), std::string::npos);
          ASSERT_NE(made.find_first_of("23456789"), std::string::npos) << made;
          ASSERT_NE(made.find_first_of("!#%+-=?@_"), std::string::npos) << made;
        });
  }
  EXPECT_THAT(Refusal(rule, oid::kVarchar, 4 + 39), HasSubstr("needs 40 characters"));
  rule.length = 7;
  EXPECT_THAT(Refusal(rule, oid::kText), HasSubstr("`length` is 8 at least"));
}

TEST_F(GeneratedTest, ParagraphsEndWithASentence) {
  MaskRule rule = Rule(MaskKind::kParagraph);
  rule.sentences = 2;
  const auto two = "[A-Z][a-z ,]+[.] [A-Z][a-z ,]+[.]";
  ForEach(
      rule, oid::kText, -1, [this] { return Text("abcdef", 12); },
      [&](const std::string&, const std::string& made) { ASSERT_THAT(made, MatchesRegex(two)); });
  for (const int most : {1, 2, 10, 40, 100}) {
    ForEach(
        rule, oid::kVarchar, 4 + most, [this] { return Text("abcdef", 12); },
        [&](const std::string&, const std::string& made) {
          ASSERT_TRUE(most < 10 || (made.ends_with('.') && !made.ends_with(",."))) << made;
        });
  }
}

TEST_F(GeneratedTest, AddressesStayInTheirSubnet) {
  constexpr postgres::Oid kText = oid::kText;
  const auto v4 = [this] {
    return fmt::format("{}.{}.{}.{}", Below(256), Below(256), Below(256), Below(256));
  };
  const auto v6 = [this] {
    return fmt::format("{:x}:{:x}::{:x}", 1 + Below(65535), Below(65536), Below(65536));
  };
  MaskRule rule = Rule(MaskKind::kIp);
  for (const postgres::Oid type : {kText, kInet}) {
    ForEach(rule, type, -1, v4, [](const std::string&, const std::string& made) {
      NetworkAddress address;
      ASSERT_TRUE(ParseNetwork(made, address) && made.starts_with("10.")) << made;
      ASSERT_EQ(address.bits, 32U);
    });
    ForEach(rule, type, -1, v6, [](const std::string&, const std::string& made) {
      NetworkAddress address;
      ASSERT_TRUE(ParseNetwork(made, address) && made.starts_with("fd")) << made;
    });
  }
  const std::string of_inet = Mask("192.168.0.17");
  Use(rule, kText);
  EXPECT_EQ(Mask("192.168.0.17"), of_inet);
  EXPECT_THAT(Mask("unknown"), MatchesRegex("10[.][0-9.]+"));
  rule.subnet = "192.0.2.7/24";
  ForEach(
      rule, kInet, -1, [&] { return v4() + "/" + std::to_string(Below(32)); },
      [](const std::string& given, const std::string& made) {
        ASSERT_TRUE(made.starts_with("192.0.2.")) << made;
        ASSERT_EQ(made.substr(made.find('/')), given.substr(given.find('/')));
      });
  Use(rule, kCidr);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(Mask(fmt::format("{}.{}.0.0/16", Below(256), Below(256))), "192.0.0.0/16");
  }
  rule.subnet = "2001:db8::/32";
  Use(rule, kInet);
  EXPECT_THAT(Mask("::1"), testing::StartsWith("2001:db8:"));
  Use(rule, oid::kVarchar, 4 + 15);
  EXPECT_THAT(Mask("::1"), MatchesRegex("10[.][0-9.]+"));
  EXPECT_THAT(Refusal(rule, oid::kVarchar, 4 + 14), HasSubstr("needs 15 characters"));
  rule.subnet = "300.0.0.0/8";
  EXPECT_THAT(Refusal(rule, kInet), HasSubstr("no address with a prefix length"));
  EXPECT_THAT(Refusal(Rule(MaskKind::kIp), oid::kInt4), HasSubstr("no values of this type"));
  EXPECT_THAT(Refusal(Rule(MaskKind::kIp), kInet, -1, true), HasSubstr("the table's key"));
}

TEST_F(GeneratedTest, MacAddressesAreNobodys) {
  const MaskRule rule = Rule(MaskKind::kMac);
  const auto mac = [this] {
    std::string text;
    for (int i = 0; i < 6; ++i) text += fmt::format("{}{:02x}", i > 0 ? ":" : "", Below(256));
    return text;
  };
  for (const postgres::Oid type : {postgres::Oid{oid::kText}, kMacaddr}) {
    ForEach(rule, type, -1, mac, [](const std::string&, const std::string& made) {
      ASSERT_THAT(made, MatchesRegex("[0-9a-f][26ae](:[0-9a-f]{2}){5}"));
    });
  }
  const std::string of_macaddr = Mask("08:00:2b:01:02:03");
  Use(rule, oid::kText);
  EXPECT_EQ(Mask("08:00:2b:01:02:03"), of_macaddr);
  EXPECT_EQ(Mask("08-00-2B-01-02-03").substr(15), of_macaddr.substr(15));
  EXPECT_THAT(Mask("08-00-2B-01-02-03"), MatchesRegex("[0-9a-f]{2}(-[0-9a-f]{2}){5}"));
  Use(rule, kMacaddr8);
  EXPECT_THAT(Mask("08:00:2b:01:02:03:04:05"), MatchesRegex("[0-9a-f]{2}(:[0-9a-f]{2}){7}"));
}

TEST_F(GeneratedTest, UrlsAreUnique) {
  MaskRule rule = Rule(MaskKind::kUrl);
  rule.domain = "pages.test";
  Use(rule, oid::kVarchar, 4 + 35);
  std::set<std::string> seen;
  for (int i = 0; i < 5000; ++i) seen.insert(Mask("http://host/" + std::to_string(i)));
  EXPECT_EQ(seen.size(), 5000U);
  EXPECT_EQ(Mask("x").substr(0, 19), "https://pages.test/");
  EXPECT_EQ(Refusal(rule, oid::kText, -1, true), "");
  EXPECT_THAT(Refusal(rule, oid::kVarchar, 4 + 34), HasSubstr("needs 35 characters"));
}

TEST_F(GeneratedTest, PositionsAreOnEarth) {
  for (const auto& [kind, most] :
       std::map<MaskKind, double>{{MaskKind::kLatitude, 90}, {MaskKind::kLongitude, 180}}) {
    MaskRule rule = Rule(kind);
    for (const postgres::Oid type : {oid::kNumeric, oid::kText}) {
      double greatest = 0;
      ForEach(
          rule, type, -1, [this] { return Number(1, 5); },
          [&, most = most](const std::string&, const std::string& made) {
            ASSERT_THAT(made, MatchesRegex("-?[0-9]+[.][0-9]{6}"));
            ASSERT_LE(std::abs(std::stod(made)), most);
            greatest = std::max(greatest, std::abs(std::stod(made)));
          });
      EXPECT_GT(greatest, most * 0.99);
    }
    Use(rule, oid::kFloat8);
    std::string out;
    ASSERT_EQ(mask_->Append(ValueOf("1.5", ValueKind::kText), scratch_, out),
              MaskOutcome::kWritten);
    EXPECT_LE(std::abs(std::stod(out)), most);
  }
  MaskRule rule = Rule(MaskKind::kLongitude);
  EXPECT_THAT(Refusal(rule, oid::kNumeric, (8 << 16 | 6) + 4), HasSubstr("the type holds 2"));
  rule = Rule(MaskKind::kCoordinates);
  rule.precision = 3;
  ForEach(
      rule, oid::kPoint, -1, [this] { return fmt::format("({},{})", Below(90), Below(90)); },
      [](const std::string&, const std::string& made) {
        const double x = std::stod(made.substr(1));
        const double y = std::stod(made.substr(made.find(',') + 1));
        ASSERT_LE(std::abs(x), 180) << made;
        ASSERT_LE(std::abs(y), 90) << made;
      });
  ForEach(
      rule, oid::kVarchar, 4 + 17, [this] { return Number(1, 5); },
      [](const std::string&, const std::string& made) {
        ASSERT_THAT(made, MatchesRegex("-?[0-9]{1,2}[.][0-9]{3}, -?[0-9]{1,3}[.][0-9]{3}"));
      });
  EXPECT_THAT(Refusal(rule, oid::kVarchar, 4 + 16), HasSubstr("needs 17 characters"));
}

}  // namespace
}  // namespace pgflow::transformers
