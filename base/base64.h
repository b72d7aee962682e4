// Base64 (RFC 4648, standard alphabet, padded): strict when reading.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bundle {

std::string base64_encode(std::string_view bytes);

/// kBadInput for another alphabet, missing padding, blanks, or bits that are not zero in the last
/// character: each text has one meaning and each meaning one text.
Result<std::string> base64_decode(std::string_view text, std::string_view where);

}  // namespace bundle
