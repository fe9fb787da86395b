// Names of people, for the kinds first_name, last_name, full_name and email. Ours; static.
#pragma once

#include <span>
#include <string_view>

namespace pgflow::transformers {

std::span<const std::string_view> FirstNames();
std::span<const std::string_view> LastNames();

}  // namespace pgflow::transformers
