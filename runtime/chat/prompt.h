// The prompt of a chat request, with the model's thinking switched as the request and the bundle
// say, and where in it the answer begins.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "runtime/chat/chat_template.h"
#include "runtime/chat/conversation.h"
#include "runtime/chat/reasoning.h"

namespace bundle::chat {

/// What a bundle says about its model's prompts, beside the template.
struct PromptStyle {
  ReasoningFormat reasoning = ReasoningFormat::kNone;
  /// Whether the model thinks before it answers when a request does not say; none: as the template
  /// has it.
  std::optional<bool> thinking = {};
};

struct Prompt {
  std::string text;
  ReasoningStart start = ReasoningStart::kContent;
};

/// The switch in a request: `chat_template_kwargs` (`thinking`, `enable_thinking`), then `thinking`
/// ({"type": "enabled" | "disabled"}), then `reasoning_effort` ("none" is off, others are on).
/// kBadInput names the field.
Result<std::optional<bool>> requested_thinking(const Json& request);

/// Renders the request (conversation.h). The switch reaches the template as `thinking` and as
/// `enable_thinking`. Models of the R1 kind have no switch in their templates: thinking ends the
/// prompt with "<think>\n" and no thinking leaves that out, as their authors advise, unless the
/// switch is one of chat_template_kwargs, which are the template's alone. `prefix` on the last
/// message is `continue_final_message`, and what can not be continued is then refused by that name
/// ("messages[1].prefix").
Result<Prompt> make_prompt(const ChatTemplate& chat_template, const Json& request,
                           const TemplateVariables& variables, const PromptStyle& style,
                           std::int64_t now, const RenderLimits& limits = {});

}  // namespace bundle::chat
