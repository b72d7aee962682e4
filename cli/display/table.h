// Columns of text for people.
#pragma once

#include <string>
#include <vector>

namespace bundle::cli {

/// Rows under a header, columns padded to their widest cell and two spaces apart. No rows: "".
std::string table(const std::vector<std::string>& header,
                  const std::vector<std::vector<std::string>>& rows);

/// "2 h 5 min", "3 d 4 h", "12 s".
std::string human_duration(long long seconds);

/// "sha256:1234567890ab…" cut for reading.
std::string short_digest(const std::string& digest);

}  // namespace bundle::cli
