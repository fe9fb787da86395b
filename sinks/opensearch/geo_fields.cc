#include "sinks/opensearch/geo_fields.h"

#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "schemas/type_name.h"

namespace pgflow::sinks {
namespace {

constexpr int kDepthMax = 16;  // Collections within collections.
constexpr uint32_t kHasZ = 0x80000000;
constexpr uint32_t kHasM = 0x40000000;
constexpr uint32_t kHasSrid = 0x20000000;

// Of WKB; those behind are curves and surfaces.
enum GeometryType : uint32_t {
  kPoint = 1,
  kLineString = 2,
  kPolygon = 3,
  kMultiPoint = 4,
  kMultiLineString = 5,
  kMultiPolygon = 6,
  kCollection = 7,
};
constexpr std::string_view kNames[] = {
    "",           "Point",           "LineString",   "Polygon",
    "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection"};

bool Unhex(std::string_view hex, std::string& bytes) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (hex.size() % 2 != 0) return false;
  bytes.reserve(hex.size() / 2);
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = digit(hex[i]);
    const int low = digit(hex[i + 1]);
    if (high < 0 || low < 0) return false;
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return true;
}

// One geometry after the other; each has a byte order of its own.
class EwkbReader {
 public:
  EwkbReader(std::string_view bytes, std::string& out) : bytes_(bytes), out_(out) {}

  struct Head {
    uint32_t type = 0;
    bool has_z = false;
    bool has_m = false;
  };

  bool ReadHead(Head& head) {
    if (at_ >= bytes_.size()) return false;
    const char order = bytes_[at_++];
    if (order != 0 && order != 1) return false;
    swapped_ = (order == 1) != (std::endian::native == std::endian::little);
    uint32_t type = 0;
    if (!Read(type)) return false;
    head.has_z = (type & kHasZ) != 0;
    head.has_m = (type & kHasM) != 0;
    if ((type & kHasSrid) != 0) {
      uint32_t srid = 0;
      if (!Read(srid) || (srid != 0 && srid != static_cast<uint32_t>(kIndexSrid))) return false;
    }
    head.type = type & ~(kHasZ | kHasM | kHasSrid);
    return head.type >= kPoint && head.type <= kCollection;
  }

  // {"type":...,"coordinates":...}
  bool Geometry(int depth) {
    Head head;
    if (depth > kDepthMax || !ReadHead(head)) return false;
    const size_t start = out_.size();
    out_.append("{\"type\":\"").append(kNames[head.type]);
    out_.append(head.type == kCollection ? "\",\"geometries\":" : "\",\"coordinates\":");
    empty_ = false;
    if (!Body(head, depth)) return false;
    out_.push_back('}');
    if (empty_) {
      out_.resize(start);
      out_.append("[]");
    }
    return true;
  }
  // False: it is none.
  bool PointOnly() {
    Head head;
    if (!ReadHead(head) || head.type != kPoint) return false;
    double xyz[3] = {};
    if (!ReadPosition(head, xyz)) return false;
    if (std::isnan(xyz[0]) && std::isnan(xyz[1])) {
      out_.append("[]");
    } else if (!IsFinite(head, xyz)) {
      return false;
    } else if (head.has_z) {
      out_.append(fmt::format("[{},{},{}]", xyz[0], xyz[1], xyz[2]));
    } else {
      out_.append(fmt::format("{{\"lat\":{},\"lon\":{}}}", xyz[1], xyz[0]));
    }
    return true;
  }
  bool AtEnd() const { return at_ == bytes_.size(); }

 private:
  template <typename T>
  bool Read(T& value) {
    if (bytes_.size() - at_ < sizeof(T)) return false;
    char raw[sizeof(T)];
    for (size_t i = 0; i < sizeof(T); ++i) {
      raw[i] = bytes_[at_ + (swapped_ ? sizeof(T) - 1 - i : i)];
    }
    std::memcpy(&value, raw, sizeof(T));
    at_ += sizeof(T);
    return true;
  }

  bool ReadPosition(const Head& head, double (&xyz)[3]) {
    double measure = 0;
    return Read(xyz[0]) && Read(xyz[1]) && (!head.has_z || Read(xyz[2])) &&
           (!head.has_m || Read(measure));
  }
  static bool IsFinite(const Head& head, const double (&xyz)[3]) {
    return std::isfinite(xyz[0]) && std::isfinite(xyz[1]) && (!head.has_z || std::isfinite(xyz[2]));
  }

  bool Position(const Head& head) {
    double xyz[3] = {};
    if (!ReadPosition(head, xyz)) return false;
    if (head.type == kPoint && std::isnan(xyz[0]) && std::isnan(xyz[1])) {
      empty_ = true;
      return true;
    }
    if (!IsFinite(head, xyz)) return false;
    out_.append(fmt::format("[{},{}", xyz[0], xyz[1]));
    if (head.has_z) out_.append(fmt::format(",{}", xyz[2]));
    out_.push_back(']');
    return true;
  }

  template <typename One>
  bool List(One one) {
    uint32_t count = 0;
    if (!Read(count)) return false;
    bool written = false;
    out_.push_back('[');
    for (uint32_t i = 0; i < count; ++i) {
      const size_t start = out_.size();
      if (written) out_.push_back(',');
      empty_ = false;
      if (!one()) return false;
      // An empty part is no part of the whole.
      if (empty_) {
        out_.resize(start);
      } else {
        written = true;
      }
    }
    out_.push_back(']');
    empty_ = !written;
    return true;
  }

  bool Body(const Head& head, int depth) {
    const auto position = [&] { return Position(head); };
    const auto positions = [&] { return List(position); };
    switch (head.type) {
      case kPoint:
        return Position(head);
      case kLineString:
        return List(position);
      case kPolygon:
        return List(positions);
      case kCollection:
        return List([&] {
          const size_t start = out_.size();
          const bool read = Geometry(depth + 1);
          empty_ = read && out_.compare(start, std::string::npos, "[]") == 0;
          return read;
        });
      default:
        // Of whole geometries with heads of their own, of which the coordinates are wanted.
        return List([&] {
          Head part;
          return ReadHead(part) && part.type == head.type - 3 && Body(part, depth);
        });
    }
  }

  const std::string_view bytes_;
  std::string& out_;
  size_t at_ = 0;
  bool swapped_ = false;
  bool empty_ = false;  // What was read last.
};

template <typename Append>
bool AppendWhole(std::string_view hex, std::string& out, Append append) {
  std::string bytes;
  if (!Unhex(hex, bytes)) return false;
  const size_t start = out.size();
  EwkbReader reader(bytes, out);
  if (append(reader) && reader.AtEnd()) return true;
  out.resize(start);
  return false;
}

}  // namespace

GeoColumn ReadGeoColumn(const schemas::Column& column) {
  GeoColumn geo;
  const std::string_view name = schemas::BareTypeName(column.type_name);
  const bool geography = name == "geography";
  geo.is_geo = geography || name == "geometry";
  if (!geo.is_geo) return geo;
  if (geography) geo.srid = kIndexSrid;
  if (column.type_modifier < 0) return geo;
  // postgis: TYPMOD_GET_SRID, TYPMOD_GET_TYPE. The highest bit of the SRID's 21 is its sign.
  const auto bits = static_cast<uint32_t>(column.type_modifier);
  geo.srid = static_cast<int32_t>(bits & 0x0FFFFF00) - static_cast<int32_t>(bits & 0x10000000);
  geo.srid >>= 8;
  if (geography && geo.srid == 0) geo.srid = kIndexSrid;
  const uint32_t type = (bits & 0xFC) >> 2;
  if (type == kPoint) {
    geo.shape = GeoColumn::Shape::kPoint;
  } else if (type > kCollection) {
    geo.shape = GeoColumn::Shape::kUnknown;
  } else if (type != 0) {
    geo.shape = GeoColumn::Shape::kOther;
  }
  return geo;
}

bool AppendGeoShape(std::string_view hex, std::string& out) {
  return AppendWhole(hex, out, [](EwkbReader& reader) { return reader.Geometry(0); });
}

bool AppendGeoPoint(std::string_view hex, std::string& out) {
  return AppendWhole(hex, out, [](EwkbReader& reader) { return reader.PointOnly(); });
}

}  // namespace pgflow::sinks
