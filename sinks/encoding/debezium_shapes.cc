#include "sinks/encoding/debezium_shapes.h"

#include <bit>
#include <cstdlib>
#include <cstring>

namespace pgflow::sinks {
namespace {

constexpr postgres::Oid kLseg = 601, kPath = 602, kBox = 603, kPolygon = 604;
constexpr uint32_t kPointCode = 1, kLineStringCode = 2, kPolygonCode = 3;
constexpr uint32_t kSridFlag = 0x20000000;

static_assert(std::endian::native == std::endian::little, "numbers are appended as they are");

template <typename T>
void AppendRaw(T number, std::string& out) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void AppendHeader(uint32_t code, std::string& out) {
  out.push_back('\1');
  AppendRaw(code, out);
}

void AppendPoints(const std::vector<double>& numbers, std::string& out) {
  AppendRaw(static_cast<uint32_t>(numbers.size() / 2), out);
  for (const double number : numbers) AppendRaw(number, out);
}

std::string LineString(const std::vector<double>& numbers) {
  std::string wkb;
  AppendHeader(kLineStringCode, wkb);
  AppendPoints(numbers, wkb);
  return wkb;
}

std::string Polygon(std::vector<double> ring) {
  const size_t size = ring.size();
  if (ring[0] != ring[size - 2] || ring[1] != ring[size - 1]) {
    ring.insert(ring.end(), {ring[0], ring[1]});
  }
  std::string wkb;
  AppendHeader(kPolygonCode, wkb);
  AppendRaw(uint32_t{1}, wkb);
  AppendPoints(ring, wkb);
  return wkb;
}

}  // namespace

std::optional<std::vector<double>> NumbersIn(std::string_view text) {
  const std::string copy(text);
  std::vector<double> numbers;
  const char* at = copy.c_str();
  while (true) {
    at += std::strspn(at, "()[]<>{},");
    if (*at == '\0') return numbers;
    char* end = nullptr;
    numbers.push_back(std::strtod(at, &end));
    if (end == at) return std::nullopt;
    at = end;
  }
}

std::string PointWkb(double x, double y) {
  std::string wkb;
  AppendHeader(kPointCode, wkb);
  AppendRaw(x, wkb);
  AppendRaw(y, wkb);
  return wkb;
}

std::optional<DebeziumShape> ShapeOf(postgres::Oid type, std::string_view text) {
  const std::optional<std::vector<double>> numbers = NumbersIn(text);
  if (!numbers.has_value() || numbers->size() < 2 || numbers->size() % 2 != 0) return std::nullopt;
  const std::vector<double>& n = *numbers;
  switch (type) {
    case kBox:
      if (n.size() != 4) return std::nullopt;
      return DebeziumShape{Polygon({n[0], n[1], n[0], n[3], n[2], n[3], n[2], n[1]}), "box", ""};
    case kLseg:
      return DebeziumShape{LineString(n), "lseg", ""};
    case kPath:
      return DebeziumShape{LineString(n), "path", text.starts_with('(') ? "true" : "false"};
    case kPolygon:
      return DebeziumShape{Polygon(n), "polygon", ""};
    default:
      return std::nullopt;
  }
}

std::optional<int32_t> SridOf(std::string_view ewkb) {
  if (ewkb.size() < 9) return std::nullopt;
  const auto number_at = [&ewkb](size_t at) {
    uint32_t number = 0;
    std::memcpy(&number, ewkb.data() + at, sizeof(number));
    return ewkb[0] != 0 ? number : __builtin_bswap32(number);
  };
  if ((number_at(1) & kSridFlag) == 0) return std::nullopt;
  return static_cast<int32_t>(number_at(5));
}

}  // namespace pgflow::sinks
