#include "base/bytes.h"

namespace bundle {

Error ByteReader::past_end(std::uint64_t n, const char* what) const {
  return bad_input(std::string(what) + " needs " + std::to_string(n) + " bytes at offset " +
                       std::to_string(at_) + ", but " + std::to_string(left()) + " are left",
                   where_, "The file is truncated or damaged; fetch it again.");
}

}  // namespace bundle
