// Whether a file that --server names is a bundle's server.
#pragma once

#include "base/file.h"
#include "base/result.h"

namespace bundle::cli {

/// kUsage for a program that does not say that it takes launch contract 1: a bundle of it could
/// not be served. An empty path, which means this program's own, is fine.
Status check_server_program(const Path& program);

}  // namespace bundle::cli
