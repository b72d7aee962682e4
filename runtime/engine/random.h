// Random numbers without state: the n-th number of a stream is a function of the stream and n, so
// what a request draws never depends on what else runs, and a recomputed request draws the same.
#pragma once

#include <array>
#include <cstdint>

namespace bundle::engine {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                    std::array<std::uint32_t, 2> key);

/// The `draw`-th number of stream `seed`, uniform in [0, 1), of 53 bits.
double uniform(std::uint64_t seed, std::uint64_t draw);

/// The `index`-th seed that comes of `seed`: distinct streams for distinct requests.
std::uint64_t derive_seed(std::uint64_t seed, std::uint64_t index);

}  // namespace bundle::engine
