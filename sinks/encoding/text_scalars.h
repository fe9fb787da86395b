// Text output of scalar types from their binary form: numbers, bytes, network addresses.
// Pure functions of bytes (see type_text.h for the contract).
#pragma once

#include <string>
#include <string_view>

#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

bool AppendBool(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendInt2(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendInt4(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendInt8(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendUnsigned4(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendUnsigned8(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendNumeric(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendRawText(std::string_view bytes, const TypeText& type, std::string& out);
// Text behind a version byte: jsonb, jsonpath.
bool AppendVersionedText(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendCharType(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendBytea(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendUuid(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendBits(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendLsn(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendInet(std::string_view bytes, const TypeText& type, std::string& out);
// macaddr and macaddr8.
bool AppendMac(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendTsvector(std::string_view bytes, const TypeText& type, std::string& out);

}  // namespace pgflow::sinks
