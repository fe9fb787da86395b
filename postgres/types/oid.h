// Oid and Xid: names for Postgres's 32-bit identifiers, and the OIDs that the code must know.
#pragma once

#include <cstdint>

namespace pgflow::postgres {

using Oid = uint32_t;
using Xid = uint32_t;

// Below this, OIDs are assigned by hand or by initdb and are the same in every database of one
// major version (access/transam.h, FirstNormalObjectId).
inline constexpr Oid kFirstUserOid = 16384;

namespace oid {  // catalog/pg_type.dat
inline constexpr Oid kBool = 16, kBytea = 17, kChar = 18, kName = 19, kInt8 = 20, kInt2 = 21,
                     kInt4 = 23, kText = 25, kOid = 26, kJson = 114, kXml = 142, kPoint = 600,
                     kFloat4 = 700, kFloat8 = 701, kUnknown = 705, kBpchar = 1042, kVarchar = 1043,
                     kDate = 1082, kTime = 1083, kTimestamp = 1114, kTimestamptz = 1184,
                     kInterval = 1186, kTimetz = 1266, kNumeric = 1700, kUuid = 2950, kPgLsn = 3220,
                     kJsonb = 3802, kXid8 = 5069;
}  // namespace oid

}  // namespace pgflow::postgres
