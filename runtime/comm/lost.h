// The error of a rank, or of a machine, that is not reached or not there any more.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace bundle::comm {

/// Others than this process failed: what was asked for is not at fault.
inline Error lost(std::string what, std::string where = {}, std::string remedy = {}) {
  return Error{ErrorCode::kUnreachable, std::move(what), std::move(where), std::move(remedy)};
}

}  // namespace bundle::comm
