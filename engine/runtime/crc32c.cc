#include "engine/runtime/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace pgflow::engine {

uint32_t Crc32c(std::string_view bytes, uint32_t before) {
  constexpr size_t kCallBytesMax = 1 << 30;  // Its length is an int.
  // ISA-L leaves both inversions of the standard to its caller.
  uint32_t register_value = ~before;
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kCallBytesMax);
    // It reads only, though its parameter does not say so.
    register_value = crc32_iscsi(
        const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data())),
        static_cast<int>(size), register_value);
    bytes.remove_prefix(size);
  }
  return ~register_value;
}

}  // namespace pgflow::engine
