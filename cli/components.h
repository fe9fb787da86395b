// Every component of the pgflow program.
#pragma once

#include "engine/api/registry.h"

namespace pgflow::cli {

engine::Registry AllComponents();

}  // namespace pgflow::cli
