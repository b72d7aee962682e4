// Input that a person pipes in or names.
#pragma once

#include <string>

#include "base/result.h"

namespace bundle::cli {

/// A file, or standard input for "-", whole; at most 256 MB.
Result<std::string> read_input(const std::string& path);

/// Text that JSON can carry: invalid UTF-8 becomes U+FFFD.
std::string replace_invalid(const std::string& text);

}  // namespace bundle::cli
