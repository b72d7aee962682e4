// How much of an expression stands under repetitions.
#pragma once

#include <cstdint>
#include <string_view>

namespace bundle::engine {

/// The elements that repeated groups of a regular expression or EBNF grammar come to when they are
/// written out: 15 for "(ab{2}){1,5}", 0 for "[a-z]{1,1000}". What the grammar compiler makes of
/// such a group grows with the square of it. The largest of groups that do not lie in each other,
/// at most 2^40.
std::int64_t repeated_elements(std::string_view expression);

}  // namespace bundle::engine
