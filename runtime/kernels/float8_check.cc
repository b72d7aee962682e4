#include "runtime/kernels/float8_check.h"

#include <cstdint>

namespace bundle::kernels {

bool holds_nan(Bytes codes) {
  // The top bit is set by a code of seven ones and by no other. Without a way out of the loop it
  // compiles to vector code.
  std::uint8_t seen = 0;
  for (const std::byte code : codes) {
    seen |= static_cast<std::uint8_t>((static_cast<std::uint8_t>(code) & 0x7Fu) + 1u);
  }
  return (seen & 0x80u) != 0;
}

Error nan_error() {
  return bad_input("weights of type F8_E4M3 hold a NaN, which is no weight", {},
                   "The checkpoint is damaged: fetch it again.");
}

}  // namespace bundle::kernels
