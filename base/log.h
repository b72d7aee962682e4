// Log lines of long-running programs, to standard error. Libraries below the server do not log:
// they return errors.
#pragma once

#include <string_view>

namespace bundle {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// Lines below `level` are dropped from now on. Thread-safe.
void set_log_level(LogLevel level);

/// One line with time and level. Thread-safe. Never give it a secret or a prompt's text.
void log(LogLevel level, std::string_view message);

inline void log_info(std::string_view message) { log(LogLevel::kInfo, message); }
inline void log_warning(std::string_view message) { log(LogLevel::kWarning, message); }
inline void log_error(std::string_view message) { log(LogLevel::kError, message); }

}  // namespace bundle
