#include "runtime/server/token_ids.h"

#include <fmt/format.h>

#include "runtime/server/field_reader.h"

namespace bundle::server {

ApiResult<std::vector<std::int32_t>> read_token_ids(const JsonArray& list, const std::string& param,
                                                    std::int32_t vocab_size) {
  std::vector<std::int32_t> out;
  out.reserve(list.size());
  for (const Json& entry : list) {
    const auto id = whole_number(entry);
    if (!id || *id < 0 || *id >= vocab_size) {
      return invalid_field(param, fmt::format("'{}' must hold token ids from 0 to {}, got {}.",
                                              param, vocab_size - 1, print_json(entry)));
    }
    out.push_back(static_cast<std::int32_t>(*id));
  }
  return out;
}

}  // namespace bundle::server
