// Guesses at a sequence's next tokens by repetition: code, quotations and tables say again what the
// prompt said.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bundle::engine {

/// What followed the last earlier occurrence of the final tokens: of four of them, else three, else
/// two; at most `most` tokens, none where nothing repeats. Takes time in proportion to the tokens.
std::vector<std::int32_t> look_up(std::span<const std::int32_t> tokens, std::int64_t most);

}  // namespace bundle::engine
