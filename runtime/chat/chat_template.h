// Chat templates: Jinja as transformers sets it up, with budgets, since templates are untrusted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace bundle::chat {

/// Bounds on one rendering; going over one is an error, never a hang.
struct RenderLimits {
  std::uint64_t steps = 10'000'000;        // evaluated nodes and loop turns
  int depth = 128;                         // nested calls and expressions
  std::uint64_t output_bytes = 64u << 20;  // of text, and of any one value
};

/// A parsed template. Immutable and thread-safe.
class ChatTemplate {
 public:
  /// kBadInput with line and column when the source is not a template.
  static Result<ChatTemplate> parse(std::string_view source, std::string_view where);

  /// Renders with the variables of `context`, an object. `now` is what strftime_now sees:
  /// seconds since 1970 in UTC. raise_exception and every error of the template are kBadInput.
  Result<std::string> render(const Json& context, std::int64_t now,
                             const RenderLimits& limits = {}) const;

 private:
  struct Program;
  std::shared_ptr<const Program> program_;
};

}  // namespace bundle::chat
