#include "sinks/opensearch/geo_fields.h"

#include <gtest/gtest.h>

namespace pgflow::sinks {
namespace {

std::string Shape(const std::string& hex) {
  std::string out;
  return AppendGeoShape(hex, out) ? out : "no" + out;
}
std::string Point(const std::string& hex) {
  std::string out;
  return AppendGeoPoint(hex, out) ? out : "no" + out;
}

// What PostGIS 3.3 prints for ST_GeomFromEWKT of the text behind each.
TEST(GeoFieldsTest, EwkbBecomesGeoJson) {
  const std::string point = "0101000020E6100000000000000000F03F0000000000000040";
  EXPECT_EQ(Shape(point), R"({"type":"Point","coordinates":[1,2]})");  // SRID=4326;POINT(1 2)
  EXPECT_EQ(Point(point), R"({"lat":2,"lon":1})");
  const std::string high =
      "01010000A0E6100000000000000000F03F00000000000000400000000000000840";  // POINT Z (1 2 3)
  EXPECT_EQ(Shape(high), R"({"type":"Point","coordinates":[1,2,3]})");
  EXPECT_EQ(Point(high), "[1,2,3]");
  // LINESTRING(0 0,1 2), without SRID.
  const std::string line =
      "01020000000200000000000000000000000000000000000000000000000000F03F0000000000000040";
  EXPECT_EQ(Shape(line), R"({"type":"LineString","coordinates":[[0,0],[1,2]]})");
  EXPECT_EQ(Point(line), "no");
  // MULTIPOINT(1 2), big-endian.
  EXPECT_EQ(Shape("00000000040000000100000000013FF00000000000004000000000000000"),
            R"({"type":"MultiPoint","coordinates":[[1,2]]})");
  // GEOMETRYCOLLECTION(POINT(1 2))
  EXPECT_EQ(Shape("0107000000010000000101000000000000000000F03F0000000000000040"),
            R"({"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]}]})");
}

TEST(GeoFieldsTest, WhatIsEmptyIsAnEmptyList) {
  EXPECT_EQ(Shape("0101000000000000000000F87F000000000000F87F"), "[]");
  EXPECT_EQ(Point("0101000000000000000000F87F000000000000F87F"), "[]");
  EXPECT_EQ(Shape("010300000000000000"), "[]");
  EXPECT_EQ(Shape("010700000000000000"), "[]");
}

TEST(GeoFieldsTest, WhatAnIndexCannotTakeIsNone) {
  EXPECT_EQ(Shape("0101000020110F0000000000000000F03F0000000000000040"), "no");  // SRID 3857
  EXPECT_EQ(Shape("010800000003000000"), "no");                                  // A curve.
  EXPECT_EQ(Shape("0101000000000000000000F03F000000000000004000"), "no");        // A byte too many.
  EXPECT_EQ(Shape("0102000000FFFFFFFF0000"), "no");
  EXPECT_EQ(Shape("01"), "no");
  EXPECT_EQ(Shape(""), "no");
  EXPECT_EQ(Shape("xyz"), "no");
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "010700000001000000";
  EXPECT_EQ(Shape(deep), "no");
}

TEST(GeoFieldsTest, TheTypeModifierSaysWhatAColumnHolds) {
  schemas::Column column;
  column.type_name = "public.geometry";
  EXPECT_EQ(ReadGeoColumn(column).srid, 0);
  column.type_modifier = (4326 << 8) | (1 << 2);  // geometry(Point,4326)
  EXPECT_EQ(ReadGeoColumn(column).srid, 4326);
  EXPECT_EQ(ReadGeoColumn(column).shape, GeoColumn::Shape::kPoint);
  column.type_modifier = (3857 << 8) | (3 << 2) | 2;  // geometry(PolygonZ,3857)
  EXPECT_EQ(ReadGeoColumn(column).srid, 3857);
  EXPECT_EQ(ReadGeoColumn(column).shape, GeoColumn::Shape::kOther);
  column.type_name = "geography";
  column.type_modifier = -1;
  EXPECT_EQ(ReadGeoColumn(column).srid, 4326);
  column.type_name = "text";
  EXPECT_FALSE(ReadGeoColumn(column).is_geo);
}

}  // namespace
}  // namespace pgflow::sinks
