// Lists of token ids in request bodies.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "runtime/server/api_error.h"

namespace bundle::server {

/// 400 naming `param` when an entry is no id below `vocab_size`.
ApiResult<std::vector<std::int32_t>> read_token_ids(const JsonArray& list, const std::string& param,
                                                    std::int32_t vocab_size);

}  // namespace bundle::server
