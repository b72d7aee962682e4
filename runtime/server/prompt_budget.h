// How long an output may be, given the prompt and the model's context.
#pragma once

#include <cstdint>

#include "runtime/server/api_error.h"
#include "runtime/server/generation_params.h"
#include "runtime/server/service.h"

namespace bundle::server {

/// Output tokens of a prompt that long: what was asked for, else `fallback`, else the rest of the
/// context. 400 context_length_exceeded when prompt and output do not fit; `param` names the
/// prompt.
ApiResult<std::int32_t> output_budget(const Service& service, const Model& model,
                                      std::int64_t prompt_tokens, std::optional<std::int64_t> asked,
                                      std::optional<std::int64_t> fallback,
                                      const std::string& param);

}  // namespace bundle::server
