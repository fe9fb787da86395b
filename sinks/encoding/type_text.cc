#include "sinks/encoding/type_text.h"

#include <algorithm>
#include <array>

#include "schemas/type_name.h"
#include "sinks/encoding/text_containers.h"
#include "sinks/encoding/text_extensions.h"
#include "sinks/encoding/text_floats.h"
#include "sinks/encoding/text_geometry.h"
#include "sinks/encoding/text_scalars.h"
#include "sinks/encoding/text_times.h"

namespace pgflow::sinks {
namespace {

namespace oid = postgres::oid;

// OIDs are those of catalog/pg_type.dat; the array behind each is its typarray. Sorted at compile
// time, so that the order here can be the order of reading.
struct Entry {
  TypeText text;
  postgres::Oid array = 0;
};

constexpr JsonForm kNumber = JsonForm::kNumber;
constexpr JsonForm kPlain = JsonForm::kPlainString;
constexpr JsonForm kString = JsonForm::kString;

constexpr Entry kEntries[] = {
    {{oid::kBool, JsonForm::kBool, AppendBool}, 1000},
    {{oid::kInt2, kNumber, AppendInt2}, 1005},
    {{oid::kInt4, kNumber, AppendInt4}, 1007},
    {{oid::kInt8, kNumber, AppendInt8}, 1016},
    {{oid::kOid, kNumber, AppendUnsigned4}, 1028},
    {{oid::kFloat4, kNumber, AppendFloat4}, 1021},
    {{oid::kFloat8, kNumber, AppendFloat8}, 1022},
    {{oid::kNumeric, kNumber, AppendNumeric}, 1231},
    {{oid::kBytea, kString, AppendBytea}, 1001},
    {{oid::kChar, kString, AppendCharType}, 1002},
    {{oid::kName, kString, AppendRawText}, 1003},
    {{oid::kText, kString, AppendRawText}, 1009},
    {{oid::kBpchar, kString, AppendRawText}, 1014},
    {{oid::kVarchar, kString, AppendRawText}, 1015},
    {{oid::kUnknown, kString, AppendRawText}, 0},
    {{oid::kXml, kString, AppendRawText}, 143},
    {{oid::kJson, JsonForm::kJson, AppendRawText}, 199},
    {{oid::kJsonb, JsonForm::kJson, AppendVersionedText}, 3807},
    {{4072 /* jsonpath */, kString, AppendVersionedText}, 4073},
    {{oid::kUuid, kPlain, AppendUuid}, 2951},
    {{oid::kDate, kPlain, AppendDate}, 1182},
    {{oid::kTime, kPlain, AppendTime}, 1183},
    {{oid::kTimetz, kPlain, AppendTimetz}, 1270},
    {{oid::kTimestamp, kPlain, AppendTimestamp}, 1115},
    {{oid::kTimestamptz, kPlain, AppendTimestamptz}, 1185},
    {{oid::kInterval, kPlain, AppendInterval}, 1187},
    {{28 /* xid */, kPlain, AppendUnsigned4}, 1011},
    {{29 /* cid */, kPlain, AppendUnsigned4}, 1012},
    {{oid::kXid8, kPlain, AppendUnsigned8}, 271},
    {{oid::kPgLsn, kPlain, AppendLsn}, 3221},
    {{869 /* inet */, kPlain, AppendInet}, 1041},
    {{650 /* cidr */, kPlain, AppendInet}, 651},
    {{829 /* macaddr */, kPlain, AppendMac}, 1040},
    {{774 /* macaddr8 */, kPlain, AppendMac}, 775},
    {{1560 /* bit */, kPlain, AppendBits}, 1561},
    {{1562 /* varbit */, kPlain, AppendBits}, 1563},
    {{3614 /* tsvector */, kString, AppendTsvector}, 3643},
    {{oid::kPoint, kPlain, AppendPoint}, 1017},
    {{601 /* lseg */, kPlain, AppendLseg}, 1018},
    {{602 /* path */, kPlain, AppendPath}, 1019},
    {{603 /* box */, kPlain, AppendBox}, 1020},
    {{604 /* polygon */, kPlain, AppendPolygon}, 1027},
    {{628 /* line */, kPlain, AppendLine}, 629},
    {{718 /* circle */, kPlain, AppendCircle}, 719},
    {{3904 /* int4range */, kString, AppendRange, oid::kInt4}, 3905},
    {{3906 /* numrange */, kString, AppendRange, oid::kNumeric}, 3907},
    {{3908 /* tsrange */, kString, AppendRange, oid::kTimestamp}, 3909},
    {{3910 /* tstzrange */, kString, AppendRange, oid::kTimestamptz}, 3911},
    {{3912 /* daterange */, kString, AppendRange, oid::kDate}, 3913},
    {{3926 /* int8range */, kString, AppendRange, oid::kInt8}, 3927},
    {{4451 /* int4multirange */, kString, AppendMultirange, 3904}, 6150},
    {{4532 /* nummultirange */, kString, AppendMultirange, 3906}, 6151},
    {{4533 /* tsmultirange */, kString, AppendMultirange, 3908}, 6152},
    {{4534 /* tstzmultirange */, kString, AppendMultirange, 3910}, 6153},
    {{4535 /* datemultirange */, kString, AppendMultirange, 3912}, 6155},
    {{4536 /* int8multirange */, kString, AppendMultirange, 3926}, 6157},
};

constexpr size_t kTypeCount = 2 * std::size(kEntries);

constexpr std::array<TypeText, kTypeCount> SortedTypes() {
  std::array<TypeText, kTypeCount> types{};
  size_t count = 0;
  for (const Entry& entry : kEntries) {
    types[count++] = entry.text;
    // An entry of type 0 (no array) is never found: FindTypeText refuses 0.
    types[count++] = {entry.array, kString, AppendArray, entry.text.type};
  }
  std::sort(types.begin(), types.end(),
            [](const TypeText& a, const TypeText& b) { return a.type < b.type; });
  return types;
}

constexpr std::array<TypeText, kTypeCount> kTypes = SortedTypes();

}  // namespace

const TypeText* FindTypeText(postgres::Oid type) {
  if (type == 0) return nullptr;
  const auto found =
      std::lower_bound(kTypes.begin(), kTypes.end(), type,
                       [](const TypeText& a, postgres::Oid wanted) { return a.type < wanted; });
  return found == kTypes.end() || found->type != type ? nullptr : &*found;
}

const TypeText* FindTypeText(const schemas::Column& column) {
  if (column.wire_type != 0) return FindTypeText(column.wire_type);
  if (column.type < postgres::kFirstUserOid) return FindTypeText(column.type);
  // Types of extensions have no OID of their own.
  return FindExtensionType(schemas::BareTypeName(column.type_name));
}

}  // namespace pgflow::sinks
