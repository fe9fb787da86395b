#include "sinks/encoding/debezium_type.h"

#include <utility>

#include <fmt/ranges.h>

#include "schemas/type_name.h"
#include "sinks/encoding/json_value.h"

namespace pgflow::sinks {
namespace {

namespace oid = postgres::oid;

constexpr postgres::Oid kBit = 1560, kVarbit = 1562, kTsvector = 3614, kMoney = 790;
constexpr postgres::Oid kLseg = 601, kPath = 602, kBox = 603, kPolygon = 604, kLine = 628,
                        kCircle = 718;

std::string Literal(std::string_view type) { return fmt::format(R"("type":"{}")", type); }

std::string Named(std::string_view type, std::string_view name) {
  return fmt::format(R"("type":"{}","name":"{}","version":1)", type, name);
}

constexpr std::string_view kVariableDecimalSchema =
    R"("type":"struct","fields":[{"type":"int32","optional":false,"field":"scale"},)"
    R"({"type":"bytes","optional":false,"field":"value"}],)"
    R"("name":"io.debezium.data.VariableScaleDecimal","version":1,"doc":"Variable scaled decimal")";

constexpr std::string_view kPointSchema =
    R"("type":"struct","fields":[{"type":"double","optional":false,"field":"x"},)"
    R"({"type":"double","optional":false,"field":"y"},)"
    R"({"type":"bytes","optional":true,"field":"wkb"},)"
    R"({"type":"int32","optional":true,"field":"srid"}],)"
    R"~("name":"io.debezium.data.geometry.Point","version":1,"doc":"Geometry (POINT)")~";

std::string CircleSchema() {
  return fmt::format(
      R"("type":"struct","fields":[{{{},"optional":false,"field":"center"}},)"
      R"({{"type":"double","optional":false,"field":"radius"}}],)"
      R"~("name":"io.debezium.data.geometry.Circle","version":1,"doc":"Geometry (CIRCLE)")~",
      kPointSchema);
}

constexpr std::string_view kLineSchema =
    R"("type":"struct","fields":[{"type":"double","optional":false,"field":"a"},)"
    R"({"type":"double","optional":false,"field":"b"},)"
    R"({"type":"double","optional":false,"field":"c"}],)"
    R"~("name":"io.debezium.data.geometry.Line","version":1,"doc":"Geometry (LINE)")~";

constexpr std::string_view kGeometrySchema =
    R"("type":"struct","fields":[{"type":"bytes","optional":false,"field":"wkb"},)"
    R"({"type":"int32","optional":true,"field":"srid"},)"
    R"({"type":"map","keys":{"type":"string","optional":false},)"
    R"("values":{"type":"string","optional":false},"optional":true,"field":"extensions"}],)"
    R"("name":"io.debezium.data.geometry.Geometry","version":2,"doc":"Geometry")";

constexpr std::string_view kGeographySchema =
    R"("type":"struct","fields":[{"type":"bytes","optional":false,"field":"wkb"},)"
    R"({"type":"int32","optional":true,"field":"srid"}],)"
    R"("name":"io.debezium.data.geometry.Geography","version":1,"doc":"Geography")";

DebeziumType NumericOf(int32_t modifier, DebeziumDecimals decimals) {
  DebeziumType type;
  if (decimals == DebeziumDecimals::kString) {
    type.form = DebeziumForm::kString;
    type.schema_json = Literal("string");
  } else if (decimals == DebeziumDecimals::kDouble) {
    type.form = DebeziumForm::kDouble;
    type.schema_json = Literal("double");
  } else if (modifier < 4) {
    type.form = DebeziumForm::kVariableDecimal;
    type.schema_json = kVariableDecimalSchema;
  } else {
    // numeric.c, make_numeric_typmod: the scale is signed, of 11 bits.
    type.form = DebeziumForm::kDecimal;
    type.scale = (((modifier - 4) & 0x7FF) ^ 1024) - 1024;
    type.schema_json =
        fmt::format(R"("type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,)"
                    R"("parameters":{{"scale":"{}","connect.decimal.precision":"{}"}})",
                    type.scale, ((modifier - 4) >> 16) & 0xFFFF);
  }
  return type;
}

DebeziumType BitsOf(int32_t modifier) {
  DebeziumType type;
  if (modifier == 1) {
    type.form = DebeziumForm::kBit;
    type.schema_json = Literal("boolean");
    return type;
  }
  type.form = DebeziumForm::kBits;
  type.schema_json = fmt::format(
      R"("type":"bytes","name":"io.debezium.data.Bits","version":1,"parameters":{{"length":"{}"}})",
      modifier > 0 ? modifier : 2147483647);
  return type;
}

DebeziumType Simple(DebeziumForm form, std::string schema_json) {
  DebeziumType type;
  type.form = form;
  type.schema_json = std::move(schema_json);
  return type;
}

DebeziumType MoneyOf(const DebeziumForms& forms) {
  DebeziumType type;
  type.form = DebeziumForm::kMoney;
  type.scale = forms.money_digits;
  type.decimals = forms.decimals;
  switch (forms.decimals) {
    case DebeziumDecimals::kPrecise:
      type.schema_json = fmt::format(
          R"("type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,)"
          R"("parameters":{{"scale":"{}"}})",
          type.scale);
      break;
    case DebeziumDecimals::kString:
      type.schema_json = Literal("string");
      break;
    case DebeziumDecimals::kDouble:
      type.schema_json = Literal("double");
      break;
  }
  return type;
}

DebeziumType EnumOf(const std::vector<std::string>& labels) {
  std::string allowed;
  AppendJsonName(fmt::format("{}", fmt::join(labels, ",")), allowed);
  return Simple(DebeziumForm::kString,
                fmt::format(R"({},"parameters":{{"allowed":{}}})",
                            Named("string", "io.debezium.data.Enum"), allowed));
}

DebeziumType TimeOf(postgres::Oid of, int32_t modifier, DebeziumIntervals intervals) {
  const bool millis = modifier >= 0 && modifier <= 3;
  switch (of) {
    case oid::kDate:
      return Simple(DebeziumForm::kDate, Named("int32", "io.debezium.time.Date"));
    case oid::kTime:
      return millis
                 ? Simple(DebeziumForm::kTimeMillis, Named("int32", "io.debezium.time.Time"))
                 : Simple(DebeziumForm::kTimeMicros, Named("int64", "io.debezium.time.MicroTime"));
    case oid::kTimetz:
      return Simple(DebeziumForm::kTimeWithZone, Named("string", "io.debezium.time.ZonedTime"));
    case oid::kTimestamp:
      return millis ? Simple(DebeziumForm::kTimestampMillis,
                             Named("int64", "io.debezium.time.Timestamp"))
                    : Simple(DebeziumForm::kTimestampMicros,
                             Named("int64", "io.debezium.time.MicroTimestamp"));
    case oid::kTimestamptz:
      return Simple(DebeziumForm::kTimestampWithZone,
                    Named("string", "io.debezium.time.ZonedTimestamp"));
    default:
      return intervals == DebeziumIntervals::kString
                 ? Simple(DebeziumForm::kIntervalText, Named("string", "io.debezium.time.Interval"))
                 : Simple(DebeziumForm::kInterval,
                          Named("int64", "io.debezium.time.MicroDuration"));
  }
}

DebeziumType ScalarOf(postgres::Oid of, int32_t modifier, const DebeziumForms& forms) {
  switch (of) {
    case oid::kBool:
      return Simple(DebeziumForm::kJson, Literal("boolean"));
    case oid::kInt2:
      return Simple(DebeziumForm::kJson, Literal("int16"));
    case oid::kInt4:
      return Simple(DebeziumForm::kJson, Literal("int32"));
    case oid::kInt8:
    case oid::kOid:
      return Simple(DebeziumForm::kJson, Literal("int64"));
    case oid::kFloat4:
      return Simple(DebeziumForm::kJson, Literal("float"));
    case oid::kFloat8:
      return Simple(DebeziumForm::kJson, Literal("double"));
    case oid::kNumeric:
      return NumericOf(modifier, forms.decimals);
    case oid::kBytea:
      return Simple(DebeziumForm::kBytes, Literal("bytes"));
    case kBit:
    case kVarbit:
      return BitsOf(modifier);
    case oid::kDate:
    case oid::kTime:
    case oid::kTimetz:
    case oid::kTimestamp:
    case oid::kTimestamptz:
    case oid::kInterval:
      return TimeOf(of, modifier, forms.intervals);
    case oid::kJson:
    case oid::kJsonb:
      return Simple(DebeziumForm::kString, Named("string", "io.debezium.data.Json"));
    case oid::kXml:
      return Simple(DebeziumForm::kString, Named("string", "io.debezium.data.Xml"));
    case oid::kUuid:
      return Simple(DebeziumForm::kString, Named("string", "io.debezium.data.Uuid"));
    case oid::kPoint:
      return Simple(DebeziumForm::kPoint, std::string(kPointSchema));
    case kMoney:
      return MoneyOf(forms);
    case kBox:
    case kLseg:
    case kPath:
    case kPolygon:
      return Simple(DebeziumForm::kShape, std::string(kGeometrySchema));
    case kCircle:
      return Simple(DebeziumForm::kCircle, CircleSchema());
    case kLine:
      return Simple(DebeziumForm::kLine, std::string(kLineSchema));
    case kTsvector:
      return Simple(DebeziumForm::kString, Named("string", "io.debezium.data.Tsvector"));
    default:
      return Simple(DebeziumForm::kString, Literal("string"));
  }
}

// Types of extensions have no OID of their own: the name without its schema.
std::string_view ExtensionName(const schemas::Column& column) {
  if (column.type < postgres::kFirstUserOid || column.wire_type != 0) return "";
  return schemas::BareTypeName(column.type_name);
}

DebeziumType ExtensionTypeOf(std::string_view name) {
  if (name == "hstore") {
    return Simple(DebeziumForm::kHstore, Named("string", "io.debezium.data.Json"));
  }
  if (name == "ltree") {
    return Simple(DebeziumForm::kString, Named("string", "io.debezium.data.Ltree"));
  }
  if (name == "geometry") return Simple(DebeziumForm::kGeometry, std::string(kGeometrySchema));
  if (name == "geography") return Simple(DebeziumForm::kGeography, std::string(kGeographySchema));
  if (name == "vector") {
    return Simple(DebeziumForm::kVector,
                  R"("type":"array","items":{"type":"double","optional":false},)"
                  R"("name":"io.debezium.data.DoubleVector","version":1)");
  }
  return {};  // A string; its schema says so.
}

DebeziumType ArrayOf(const TypeText& text, const schemas::Column& column,
                     const DebeziumForms& forms) {
  DebeziumType type;
  type.form = DebeziumForm::kArray;
  type.text = &text;
  auto element = std::make_shared<DebeziumType>(
      column.labels != nullptr ? EnumOf(*column.labels)
                               : ScalarOf(text.element, column.type_modifier, forms));
  element->text = FindTypeText(text.element);
  type.schema_json =
      fmt::format(R"("type":"array","items":{{{},"optional":true}})", element->schema_json);
  type.element = std::move(element);
  return type;
}

}  // namespace

DebeziumType DebeziumTypeOf(const schemas::Column& column, const DebeziumForms& forms) {
  const TypeText* text = FindTypeText(column);
  if (DebeziumType type = ExtensionTypeOf(ExtensionName(column)); !type.schema_json.empty()) {
    type.text = text;
    return type;
  }
  const bool array = text != nullptr && text->append == FindTypeText(1007 /* int4[] */)->append;
  if (array) return ArrayOf(*text, column, forms);
  DebeziumType type = column.labels != nullptr
                          ? EnumOf(*column.labels)
                          : ScalarOf(column.wire_type != 0 ? column.wire_type : column.type,
                                     column.type_modifier, forms);
  type.text = text;
  return type;
}

}  // namespace pgflow::sinks
