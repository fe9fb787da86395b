// A type's name without its schema.
#pragma once

#include <string_view>

namespace pgflow::schemas {

// "vector" of "extensions.vector". Types of extensions and of users have no OID that servers share,
// and their schema is whatever it was created in.
inline std::string_view BareTypeName(std::string_view type_name) {
  const size_t dot = type_name.rfind('.');
  return dot == std::string_view::npos ? type_name : type_name.substr(dot + 1);
}

}  // namespace pgflow::schemas
