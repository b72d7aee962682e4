// The log file of a local deployment: its end, and what is added to it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "cloud/provider.h"

namespace bundle::cloud {

/// The last `lines` lines of a file; "" when there is no file.
std::string last_lines(const Path& file, std::int64_t lines);

/// The same of what lies behind byte `from`.
std::string lines_since(const Path& file, std::uint64_t from, std::int64_t lines);

/// Provider::logs over one file.
Status read_log(const Path& file, const LogOptions& options,
                const std::function<bool(std::string_view)>& sink);

/// Renames `log` to `old` when it has grown over 16 MiB, so that a deployment's logs stay bounded.
void rotate_log(const Path& log, const Path& old);

}  // namespace bundle::cloud
