// SPDX license expressions, as annex D of the SPDX specification 2.3 writes them.
#pragma once

#include <string_view>

#include "base/result.h"

namespace bundle::packager {

/// kBadInput, with what is wrong, for a text that is no expression. Whether SPDX lists a license of
/// that name is not asked: models come with licenses that it has never seen (LicenseRef-…).
Status check_spdx(std::string_view expression);

}  // namespace bundle::packager
