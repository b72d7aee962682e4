// Names that nobody can guess or meet twice.
#pragma once

#include <string>
#include <string_view>

namespace bundle::server {

/// `prefix` and 32 random hex digits. Thread-safe.
std::string random_id(std::string_view prefix);

}  // namespace bundle::server
