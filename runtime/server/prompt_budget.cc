#include "runtime/server/prompt_budget.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace bundle::server {
namespace {

ApiError too_long(std::int64_t context, std::int64_t prompt, std::int64_t output,
                  const std::string& param) {
  return invalid_field(
      param,
      fmt::format("This model's maximum context length is {} tokens. However, you requested {} "
                  "tokens ({} in the {}, {} in the completion). Please reduce their number.",
                  context, prompt + output, prompt, param, output),
      "context_length_exceeded");
}

/// An ApiError could be made from a number, too, so the result must be told which is meant.
ApiResult<std::int32_t> tokens(std::int64_t count) {
  return {boost::system::in_place_value, static_cast<std::int32_t>(count)};
}

}  // namespace

ApiResult<std::int32_t> output_budget(const Service& service, const Model& model,
                                      std::int64_t prompt_tokens, std::optional<std::int64_t> asked,
                                      std::optional<std::int64_t> fallback,
                                      const std::string& param) {
  std::int64_t context = service.max_context(model);
  if (context <= 0) context = std::numeric_limits<std::int32_t>::max();
  const std::int64_t rest = context - prompt_tokens;
  if (asked) {
    if (*asked > rest) return too_long(context, prompt_tokens, *asked, param);
    return tokens(*asked);
  }
  if (rest < 1) return too_long(context, prompt_tokens, 1, param);
  return tokens(std::min(rest, fallback.value_or(rest)));
}

}  // namespace bundle::server
