#include "runtime/chat/prompt.h"

#include <array>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

constexpr std::array<std::string_view, 2> kSwitches = {"thinking", "enable_thinking"};
constexpr std::string_view kForcedTag = "<think>\n";

const Json* present(const Json& object, std::string_view key) {
  const Json* value = find(object, key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const Json* last_message(const Json& request) {
  const Json* messages = find(request, "messages");
  if (messages == nullptr || !messages->is_array() || messages->get_array().empty()) return nullptr;
  return &messages->get_array().back();
}

bool is_true(const Json* value) {
  return value != nullptr && value->is_bool() && value->get_bool();
}

/// Whether the last message's `prefix` asks to continue it, and the request itself does not say.
bool continues_prefix(const Json& request) {
  const Json* last = last_message(request);
  return last != nullptr && is_true(find(*last, "prefix")) &&
         present(request, "continue_final_message") == nullptr;
}

/// A refusal to continue the final message, in the words of who asked for it with `prefix`.
Error about_prefix(Error error, const Json& request) {
  constexpr std::string_view ours = "continue_final_message";
  if (error.where != ours) return error;
  const std::size_t last = find(request, "messages")->get_array().size() - 1;
  error.where = "messages[" + std::to_string(last) + "].prefix";
  for (std::string* text : {&error.what, &error.remedy}) {
    for (std::size_t at; (at = text->find(ours)) != std::string::npos;) {
      text->replace(at, ours.size(), "prefix");
    }
  }
  return error;
}

/// The request with the switch where templates look for it, and `prefix` as what it means.
Json adapted(const Json& request, const std::optional<bool>& thinking) {
  Json out = request;
  if (!out.is_object()) return out;
  JsonObject& body = out.get_object();
  if (continues_prefix(request)) body["continue_final_message"] = true;
  if (!thinking) return out;
  Json& kwargs = body["chat_template_kwargs"];
  if (kwargs.is_null()) kwargs = JsonObject();
  if (!kwargs.is_object()) return out;  // refused by template_context
  for (const auto name : kSwitches) {
    if (!kwargs.get_object().contains(name)) kwargs.get_object()[name] = *thinking;
  }
  return out;
}

bool continues(const Json& request) {
  const Json* flag = present(request, "continue_final_message");
  return flag != nullptr && (flag->is_string() || is_true(flag));
}

bool asks_for_answer(const Json& request) {
  const Json* flag = present(request, "add_generation_prompt");
  return flag == nullptr || is_true(flag);
}

bool answers_tool(const Json& request) {
  const Json* last = last_message(request);
  const Json* role = last == nullptr ? nullptr : find(*last, "role");
  return role != nullptr && role->is_string() && role->get_string() == "tool";
}

bool ends_open(std::string_view text, const ReasoningTags& tags) {
  return strip(text, false, true).ends_with(tags.begin);
}

/// After the tag that stands last in the prompt's open end. What users wrote is not looked at.
ReasoningStart start_of_continuation(std::string_view prompt, const Json& request,
                                     const ReasoningTags& tags) {
  const Json* last = last_message(request);
  std::size_t begin = prompt.size();
  for (const std::string_view field : {"content", "reasoning_content", "reasoning", "thinking"}) {
    const Json* text = last == nullptr ? nullptr : find(*last, field);
    if (text == nullptr || !text->is_string() || text->get_string().empty()) continue;
    const std::size_t at = prompt.rfind(strip(std::string_view(text->get_string())));
    if (at != std::string_view::npos) begin = std::min(begin, at);
  }
  const std::string_view tail = prompt.substr(begin);
  const std::size_t opened = tail.rfind(tags.begin);
  const std::size_t closed = tail.rfind(tags.end);
  if (opened == std::string_view::npos && closed == std::string_view::npos) {
    return ends_open(prompt.substr(0, begin), tags) ? ReasoningStart::kReasoning
                                                    : ReasoningStart::kContent;
  }
  if (opened == std::string_view::npos) return ReasoningStart::kContent;
  const bool open = closed == std::string_view::npos || closed < opened;
  return open ? ReasoningStart::kReasoning : ReasoningStart::kContent;
}

ReasoningStart start_of(std::string_view prompt, const Json& request, const PromptStyle& style,
                        const std::optional<bool>& thinking) {
  if (style.reasoning == ReasoningFormat::kNone) return ReasoningStart::kContent;
  const ReasoningTags tags = reasoning_tags(style.reasoning);
  if (continues(request)) return start_of_continuation(prompt, request, tags);
  if (ends_open(prompt, tags)) return ReasoningStart::kReasoning;
  if (strip(prompt, false, true).ends_with(tags.end)) return ReasoningStart::kContent;
  switch (style.reasoning) {
    case ReasoningFormat::kDeepSeekR1:
      // After tools' outputs these models answer at once, or open the tag themselves.
      return thinking.value_or(true) && !answers_tool(request) ? ReasoningStart::kReasoning
                                                               : ReasoningStart::kUndecided;
    case ReasoningFormat::kDeepSeekV3:
      return thinking.value_or(false) ? ReasoningStart::kUndecided : ReasoningStart::kContent;
    default:
      return ReasoningStart::kUndecided;
  }
}

/// The switch among chat_template_kwargs.
std::optional<bool> template_switch(const Json& request) {
  const Json* kwargs = present(request, "chat_template_kwargs");
  for (const auto name : kSwitches) {
    const Json* value = kwargs == nullptr ? nullptr : present(*kwargs, name);
    if (value != nullptr && value->is_bool()) return value->get_bool();
  }
  return std::nullopt;
}

/// Adds or takes away the tag that begins an answer of R1.
void force_tag(std::string& prompt, bool thinking) {
  const std::string_view text = strip(prompt, false, true);
  const std::string_view tag = strip(kForcedTag);
  if (thinking && !text.ends_with(tag)) prompt += kForcedTag;
  if (!thinking && text.ends_with(tag)) prompt.resize(text.size() - tag.size());
}

}  // namespace

Result<std::optional<bool>> requested_thinking(const Json& request) {
  if (const auto asked = template_switch(request)) return asked;
  if (const Json* thinking = present(request, "thinking")) {
    const Json* type = thinking->is_object() ? find(*thinking, "type") : nullptr;
    if (type != nullptr && *type == "enabled") return std::optional(true);
    if (type != nullptr && *type == "disabled") return std::optional(false);
    return bad_input("thinking is not {\"type\": \"enabled\"} or {\"type\": \"disabled\"}",
                     "thinking");
  }
  if (const Json* effort = present(request, "reasoning_effort")) {
    constexpr std::string_view kEfforts[] = {"none", "minimal", "low", "medium",
                                             "high", "xhigh",   "max"};
    for (const std::string_view known : kEfforts) {
      if (effort->is_string() && effort->get_string() == known)
        return std::optional(known != "none");
    }
    return bad_input(
        "reasoning_effort is not one of none, minimal, low, medium, high, xhigh and max",
        "reasoning_effort");
  }
  return std::optional<bool>();
}

Result<Prompt> make_prompt(const ChatTemplate& chat_template, const Json& request,
                           const TemplateVariables& variables, const PromptStyle& style,
                           std::int64_t now, const RenderLimits& limits) {
  BUNDLE_TRY(auto thinking, requested_thinking(request));
  if (!thinking) thinking = style.thinking;
  const Json adjusted = adapted(request, thinking);
  Prompt prompt;
  auto text = render_conversation(chat_template, adjusted, variables, now, limits);
  if (text.has_error() && continues_prefix(request)) {
    return about_prefix(std::move(text).error(), request);
  }
  BUNDLE_TRY(prompt.text, std::move(text));
  // A template's own switch decides alone, but to ask for what is the rule takes nothing away.
  const bool decides = !template_switch(request) || (*thinking && style.thinking == thinking);
  const bool forces = style.reasoning == ReasoningFormat::kDeepSeekR1 && thinking && decides &&
                      asks_for_answer(adjusted) && !continues(adjusted) && !answers_tool(adjusted);
  if (forces) force_tag(prompt.text, *thinking);
  prompt.start = start_of(prompt.text, adjusted, style, thinking);
  return prompt;
}

}  // namespace bundle::chat
