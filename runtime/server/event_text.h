// Server-sent events that have names, as the APIs beside OpenAI's chat use them.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace bundle::server {

/// `event: NAME\ndata: {…}\n\n`
inline void append_event(std::string& out, std::string_view name, const Json& data) {
  out += "event: ";
  out += name;
  out += "\ndata: ";
  out += print_json(data);
  out += "\n\n";
}

}  // namespace bundle::server
