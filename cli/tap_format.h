// How `/tap` writes a change: a line of JSON, as the sink `stdout` writes it.
#pragma once

#include <string>

#include "engine/observe/tap_stream.h"

namespace pgflow::cli {

engine::ChangeFormatFactory TapFormat(std::string pipeline);

}  // namespace pgflow::cli
