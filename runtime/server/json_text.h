// Appending JSON to a string: answers are written straight into the bytes that are sent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bundle::server {

/// A quoted, escaped string. `text` must be valid UTF-8.
void append_json(std::string& out, std::string_view text);
void append_json(std::string& out, std::int64_t number);
/// The shortest text that reads back as the same float; not finite: null.
void append_json(std::string& out, float number);

}  // namespace bundle::server
