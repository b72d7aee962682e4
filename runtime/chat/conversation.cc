#include "runtime/chat/conversation.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "runtime/chat/messages.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

constexpr std::string_view kWhere = "request";
constexpr std::string_view kOpenEnd = "CONTINUE_FINAL_MESSAGE_TAG ";
constexpr std::array<std::string_view, 3> kReasoning = {"reasoning_content", "thinking",
                                                        "reasoning"};

/// Copies a member that is absent, null or an array of objects.
Status copy_objects(const Json& request, std::string_view key, JsonObject& context) {
  const Json* list = find(request, key);
  context[key] = list == nullptr ? Json(nullptr) : *list;
  if (list == nullptr || list->is_null()) return {};
  const bool good =
      list->is_array() && std::all_of(list->get_array().begin(), list->get_array().end(),
                                      [](const Json& item) { return item.is_object(); });
  if (good) return {};
  return bad_input(std::string(key) + " is not an array of objects", std::string(key));
}

/// The field whose text stays open, or nothing.
Result<std::optional<std::string>> open_field(const Json& request) {
  const Json* flag = find(request, "continue_final_message");
  if (flag == nullptr || flag->is_null()) return std::optional<std::string>();
  if (flag->is_bool()) {
    return flag->get_bool() ? std::optional<std::string>("content") : std::nullopt;
  }
  if (flag->is_string() && !flag->get_string().empty()) {
    return std::optional(std::string(flag->get_string()));
  }
  return bad_input("continue_final_message is neither true nor false", "continue_final_message");
}

Status merge_arguments(const Json& request, JsonObject& context) {
  constexpr std::array<std::string_view, 4> kReserved = {
      "messages", "tools", "add_generation_prompt", "continue_final_message"};
  const Json* arguments = find(request, "chat_template_kwargs");
  if (arguments == nullptr || arguments->is_null()) return {};
  if (!arguments->is_object()) {
    return bad_input("chat_template_kwargs is not an object", "chat_template_kwargs");
  }
  for (const auto& member : arguments->get_object()) {
    if (std::find(kReserved.begin(), kReserved.end(), member.key()) != kReserved.end()) {
      return bad_input("chat_template_kwargs can not set '" + std::string(member.key()) + "'",
                       "chat_template_kwargs", "Set it beside messages.");
    }
    context[member.key()] = member.value();
  }
  return {};
}

std::string trimmed(std::string_view text) { return std::string(strip(text)); }

/// The final message's text in `field`, which gets the mark of the open end; so do its other names.
Result<std::string> mark_open_end(Json& context, const std::string& field) {
  JsonObject& message = context.get_object().at("messages").get_array().back().get_object();
  const Json* found = message.if_contains(field);
  if (found == nullptr || !found->is_string()) {
    return bad_input("the final message has no text in '" + field + "' to continue",
                     "continue_final_message");
  }
  const Json text = *found;
  const Json marked(std::string(text.get_string()) + std::string(kOpenEnd));
  const bool reasoning = std::find(kReasoning.begin(), kReasoning.end(), field) != kReasoning.end();
  for (const auto name : kReasoning) {
    Json* same = reasoning ? message.if_contains(name) : nullptr;
    if (same != nullptr && *same == text) *same = marked;
  }
  message[field] = marked;
  return std::string(text.get_string());
}

/// Cuts the prompt where the mark stands.
Result<std::string> cut_at_open_end(std::string prompt, const std::string& text) {
  const std::string mark = trimmed(kOpenEnd);
  const std::size_t at = prompt.rfind(mark);
  if (at == std::string::npos || prompt.find(trimmed(text)) == std::string::npos) {
    return bad_input("the chat template does not show the final message as it is",
                     "continue_final_message",
                     "Leave continue_final_message out, or use another chat template.");
  }
  const bool spaced = prompt.compare(at, kOpenEnd.size(), kOpenEnd) == 0;
  prompt.resize(at);
  // A template that strips the message would strip the space before the mark, were it not there.
  return spaced ? prompt : std::string(strip(prompt, false, true));
}

/// Gives messages without a content an empty one; says whether there were any.
bool fill_contents(Json& context) {
  bool filled = false;
  for (Json& message : context.at("messages").get_array()) {
    Json& content = message.get_object()["content"];
    if (!content.is_null()) continue;
    content = "";
    filled = true;
  }
  return filled;
}

}  // namespace

TemplateVariables template_variables(const Json& tokenizer_config) {
  constexpr std::array<std::string_view, 7> kNames = {
      "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
  TemplateVariables out;
  for (const auto name : kNames) {
    const Json* token = find(tokenizer_config, name);
    if (token != nullptr && token->is_object()) token = find(*token, "content");
    if (token == nullptr || !token->is_string()) continue;
    out.special_tokens.emplace_back(name, token->get_string());
  }
  return out;
}

Result<Json> template_context(const Json& request, const TemplateVariables& variables,
                              ArgumentsForm form) {
  if (!request.is_object()) return bad_input("the request is not an object", std::string(kWhere));
  JsonObject context;
  for (const auto& [name, text] : variables.special_tokens) context[name] = text;
  const Json* messages = find(request, "messages");
  if (messages == nullptr) return bad_input("messages is missing", "messages");
  BUNDLE_TRY(JsonArray normal, normalize_messages(*messages, form));
  BUNDLE_TRY(const auto open, open_field(request));
  BUNDLE_TRY(const bool prompt,
             get_bool_or(request, "add_generation_prompt", !open.has_value(), kWhere));
  if (prompt && open) {
    return bad_input("continue_final_message and add_generation_prompt exclude each other",
                     "continue_final_message",
                     "Leave add_generation_prompt out to continue the final message.");
  }
  BUNDLE_CHECK(copy_objects(request, "tools", context));
  BUNDLE_CHECK(copy_objects(request, "documents", context));
  const Json* effort = find(request, "reasoning_effort");
  if (effort != nullptr && !effort->is_null()) context["reasoning_effort"] = *effort;
  BUNDLE_CHECK(merge_arguments(request, context));
  context["messages"] = std::move(normal);
  context["add_generation_prompt"] = prompt;
  return Json(std::move(context));
}

namespace {

/// The context, its final message's open end marked, and the text that ends so.
struct Marked {
  Json context;
  std::string open_text;
};

Result<Marked> marked_context(const Json& request, const TemplateVariables& variables,
                              const std::optional<std::string>& open, ArgumentsForm form) {
  Marked marked;
  BUNDLE_TRY(marked.context, template_context(request, variables, form));
  if (!open) return marked;
  BUNDLE_TRY(marked.open_text, mark_open_end(marked.context, *open));
  return marked;
}

/// What a template that failed may want instead: it joins a call's arguments to text, or the
/// content beside calls, and so wants texts. None where no form does.
std::optional<std::string> render_with_texts(const ChatTemplate& chat_template, Json parsed,
                                             Json written, std::int64_t now,
                                             const RenderLimits& limits) {
  std::vector<Json> forms;
  const bool differ = parsed != written;
  if (differ) forms.push_back(written);
  if (fill_contents(parsed)) {
    forms.push_back(std::move(parsed));
    fill_contents(written);
    if (differ) forms.push_back(std::move(written));
  }
  for (const Json& form : forms) {
    if (auto text = chat_template.render(form, now, limits)) return *std::move(text);
  }
  return std::nullopt;
}

}  // namespace

Result<std::string> render_conversation(const ChatTemplate& chat_template, const Json& request,
                                        const TemplateVariables& variables, std::int64_t now,
                                        const RenderLimits& limits) {
  BUNDLE_TRY(const auto open, open_field(request));
  BUNDLE_TRY(Marked parsed, marked_context(request, variables, open, ArgumentsForm::kParsed));
  auto prompt = chat_template.render(parsed.context, now, limits);
  if (!prompt) {
    BUNDLE_TRY(Marked written, marked_context(request, variables, open, ArgumentsForm::kText));
    auto other = render_with_texts(chat_template, std::move(parsed.context),
                                   std::move(written.context), now, limits);
    if (other) prompt = *std::move(other);
  }
  if (!prompt || !open) return prompt;
  return cut_at_open_end(*std::move(prompt), parsed.open_text);
}

}  // namespace bundle::chat
