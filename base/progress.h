// How a library tells of long work without printing.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace bundle {

/// Called now and then with the stage ("hashing model.gguf"), and how much of it is done, in bytes
/// or items; total is 0 when it is not known. May be empty. Called from the working thread.
/// Returning false asks the work to stop: it cleans up and ends with ErrorCode::kInterrupted.
using Progress =
    std::function<bool(std::string_view stage, std::uint64_t done, std::uint64_t total)>;

}  // namespace bundle
