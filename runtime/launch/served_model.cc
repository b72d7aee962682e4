#include "runtime/launch/served_model.h"

#include "runtime/chat/answer_format_names.h"
#include "runtime/format/checkpoint.h"
#include "runtime/format/model_config.h"
#include "runtime/launch/template_source.h"

namespace bundle::launch {
namespace {

/// None when the error says that there is nothing of the kind.
template <typename T>
Result<std::optional<T>> if_any(Result<T> found) {
  if (found) return std::optional<T>(std::move(*found));
  if (found.error().code == ErrorCode::kNotFound) return std::optional<T>();
  return found.error();
}

Result<TemplateSource> template_source(const format::Checkpoint& checkpoint,
                                       const RuntimeSettings& settings) {
  if (settings.chat_template.empty()) return find_chat_template(checkpoint);
  return TemplateSource{settings.chat_template, "runtime.chat_template"};
}

template <typename T>
void prefer(std::optional<T>& to, const std::optional<T>& from) {
  if (from) to = from;
}

void prefer_all(format::SamplingDefaults& to, const format::SamplingDefaults& from) {
  prefer(to.temperature, from.temperature);
  prefer(to.top_p, from.top_p);
  prefer(to.top_k, from.top_k);
  prefer(to.min_p, from.min_p);
  prefer(to.repetition_penalty, from.repetition_penalty);
}

}  // namespace

Result<server::ServedModel> load_served_model(const LaunchSpec& spec,
                                              const RuntimeSettings& settings) {
  BUNDLE_TRY(const auto checkpoint, format::Checkpoint::open(spec.model));
  BUNDLE_TRY(const auto config, format::read_model_config(checkpoint));
  server::ServedModel model;
  model.name = spec.name;
  model.content_digest = spec.content_digest;
  model.architecture = config.architecture;
  model.vocab_size = static_cast<std::int32_t>(config.vocab_size);
  model.hidden_size = config.hidden_size;
  model.sampling = config.sampling;
  prefer_all(model.sampling, settings.sampling);
  model.max_tokens = settings.max_tokens;
  BUNDLE_TRY(const auto tokenizer, if_any(tokenizer::load_tokenizer(checkpoint)));
  model.tokenizer = tokenizer.value_or(nullptr);
  BUNDLE_TRY(model.template_variables, special_tokens(checkpoint, model.tokenizer.get()));
  BUNDLE_TRY(const auto source, if_any(template_source(checkpoint, settings)));
  if (source) {
    BUNDLE_TRY(model.chat_template, chat::ChatTemplate::parse(source->text, source->where));
    model.template_source = source->text;
  }
  const std::string_view text = source ? std::string_view(source->text) : std::string_view();
  model.prompt_style = {chat::reasoning_format(settings.reasoning_parser, text), settings.thinking};
  model.tool_format = chat::tool_format(settings.tool_parser, text);
  model.shows_tools = text.find("tools") != std::string_view::npos;
  return model;
}

}  // namespace bundle::launch
