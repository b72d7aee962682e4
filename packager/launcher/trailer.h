// The last bytes of a self-running file, shared by who writes it and the launcher at its front.
#pragma once

#include <cstdint>

namespace bundle::packager {

inline constexpr char kTrailerMagic[16] = "bundle-exec-v1\n";

/// Little-endian, without padding.
struct Trailer {
  std::uint64_t directory_offset = 0;
  std::uint64_t directory_size = 0;
  char key[32] = {};  // names the unpacked runtime: the first hex digits of its digest
  char magic[16] = {};
};
static_assert(sizeof(Trailer) == 64);

/// What stands for the file's own path in the launch document.
inline constexpr char kSelfMark[] = "@SELF@";

}  // namespace bundle::packager
