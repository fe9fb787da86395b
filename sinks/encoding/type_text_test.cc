// Malformed bytes must be refused, never read past their end (ASan watches) and never guessed.
#include "sinks/encoding/type_text.h"

#include <random>

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace pgflow::sinks {
namespace {

std::string Text(postgres::Oid type, std::string_view bytes) {
  const TypeText* text = FindTypeText(type);
  std::string out;
  if (text == nullptr || !text->append(bytes, *text, out)) return "refused";
  return out;
}

template <typename... Parts>
std::string Bytes(Parts... parts) {
  std::string bytes;
  (base::AppendBigEndian(bytes, parts), ...);
  return bytes;
}

TEST(TypeText, KnowsTypesByOid) {
  EXPECT_EQ(FindTypeText(postgres::Oid{0}), nullptr);
  EXPECT_EQ(FindTypeText(790), nullptr);  // money: its text depends on the server's locale.
  EXPECT_EQ(FindTypeText(99'999), nullptr);
  EXPECT_EQ(FindTypeText(23)->form, JsonForm::kNumber);
  EXPECT_EQ(FindTypeText(1007)->element, 23U);
}

TEST(TypeText, ADomainIsReadAsItsBaseType) {
  schemas::Column column;
  column.type = 20'000;
  EXPECT_EQ(FindTypeText(column), nullptr);
  column.wire_type = 1700;
  EXPECT_EQ(FindTypeText(column)->type, 1700U);
}

TEST(TypeText, AnEnumArrayIsReadByItsColumnsElementType) {
  std::string array = Bytes(int32_t{1}, int32_t{0}, uint32_t{20'001}, int32_t{2}, int32_t{1});
  array += Bytes(int32_t{2}) + "no" + Bytes(int32_t{3}) + "yes";
  EXPECT_EQ(Text(1009, array), "{no,yes}");
}

TEST(TypeText, RefusesWrongSizes) {
  for (const postgres::Oid type :
       {16U,   21U,   23U,  20U,  700U,  701U, 1700U, 2950U, 1082U, 1083U, 1114U, 1184U,
        1186U, 1266U, 869U, 829U, 1560U, 600U, 3904U, 1007U, 4451U, 3220U, 3802U}) {
    EXPECT_EQ(Text(type, "123"), "refused") << type;
    EXPECT_EQ(Text(type, ""), "refused") << type;
  }
  EXPECT_EQ(Text(1700, Bytes(int16_t{1}, int16_t{0}, int16_t{0}, int16_t{0}, int16_t{10'000})),
            "refused");
  EXPECT_EQ(Text(3802, "\x02{}"), "refused");
}

TEST(TypeText, ReadsTheEndsOfTime) {
  EXPECT_EQ(Text(1114, Bytes(INT64_MAX)), "infinity");
  EXPECT_EQ(Text(1184, Bytes(INT64_MIN)), "-infinity");
  EXPECT_EQ(Text(1082, Bytes(INT32_MAX)), "infinity");
  EXPECT_EQ(Text(1186, Bytes(INT64_MAX, INT32_MAX, INT32_MAX)), "infinity");
  EXPECT_EQ(Text(1186, Bytes(INT64_MIN, INT32_MIN, INT32_MIN)), "-infinity");
  EXPECT_EQ(Text(1186, Bytes(INT64_MIN, int32_t{0}, int32_t{0})), "-2562047788:00:54.775808");
}

TEST(TypeText, SurvivesRandomBytes) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 200'000; ++i) {
    const TypeText* type = FindTypeText(static_cast<postgres::Oid>(random() % 7000));
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % (random() % 2 == 0 ? 4 : 256));
    std::string out;
    if (type != nullptr) static_cast<void>(type->append(bytes, *type, out));
  }
}

}  // namespace
}  // namespace pgflow::sinks
