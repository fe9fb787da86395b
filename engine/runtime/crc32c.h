// Crc32c: the checksum of what goes to disk and comes back. The only file that knows ISA-L.
#pragma once

#include <cstdint>
#include <string_view>

namespace pgflow::engine {

// CRC-32C (Castagnoli) of `bytes`; `before`: of what stands in front of them.
uint32_t Crc32c(std::string_view bytes, uint32_t before = 0);

}  // namespace pgflow::engine
