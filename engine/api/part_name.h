// The name of a pipeline that runs one part of a shared log (source_group.h): "shop" and "orders/3"
// make "shop.orders.3". A pipeline's own name has no dot.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace pgflow::engine {

inline std::string PartName(const std::string& pipeline, const std::string& part) {
  std::string name = pipeline + "." + part;
  std::ranges::replace(name, '/', '.');
  return name;
}

// "orders.3" of it; empty for a pipeline that has a log for itself. Positions are unique and
// ordered in one part only.
inline std::string_view PartOf(std::string_view pipeline) {
  const size_t dot = pipeline.find('.');
  return dot == std::string_view::npos ? std::string_view() : pipeline.substr(dot + 1);
}

}  // namespace pgflow::engine
