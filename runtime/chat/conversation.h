// From an OpenAI chat request to the prompt that the model is given.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "runtime/chat/chat_template.h"
#include "runtime/chat/messages.h"

namespace bundle::chat {

/// What a model's own files add to the context of its template: "bos_token", "eos_token",
/// "pad_token", "unk_token", …, each with its text. A token that a model does not have is left out.
struct TemplateVariables {
  std::vector<std::pair<std::string, std::string>> special_tokens;
};

/// Reads them from tokenizer_config.json, where each is a text or an object with "content".
TemplateVariables template_variables(const Json& tokenizer_config);

/// The context of the template, an object, from the body of a chat completion request:
/// - `messages`: checked; text parts joined by "\n"; the role developer becomes system; arguments
/// of
///   tool calls parsed from JSON text where that is an object; reasoning (`reasoning_content`,
///   `reasoning`, `thinking`) under every name that templates read;
/// - `tools` and `documents` as they are, null when absent;
/// - `add_generation_prompt`, true unless it says otherwise or `continue_final_message` is set;
/// - `reasoning_effort`, and the members of `chat_template_kwargs`.
/// kBadInput names the place ("messages[2].content") of what is wrong.
Result<Json> template_context(const Json& request, const TemplateVariables& variables,
                              ArgumentsForm form = ArgumentsForm::kParsed);

/// Renders the request. With `continue_final_message` (true, or the name of a field of the message)
/// the prompt ends where that final message ends, so that the model goes on with it; kBadInput when
/// the template does not show the message, or when `add_generation_prompt` is set as well.
Result<std::string> render_conversation(const ChatTemplate& chat_template, const Json& request,
                                        const TemplateVariables& variables, std::int64_t now,
                                        const RenderLimits& limits = {});

}  // namespace bundle::chat
