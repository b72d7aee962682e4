// How one model is prompted: its chat template and the variables that the template may name, from
// the model's files and the bundle's settings. Used by bundle-server and `bundle prompt` alike, so
// that both give the model the same text.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "runtime/chat/chat_template.h"
#include "runtime/chat/conversation.h"
#include "runtime/format/checkpoint.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bundle::launch {

struct ModelPrompt {
  chat::ChatTemplate chat_template;
  chat::TemplateVariables variables;
};

/// `override_text` is the bundle's own template ("" takes the model's: chat_template.jinja,
/// tokenizer_config.json, or tokenizer.chat_template of a GGUF). `tokenizer` gives the texts of the
/// begin and end tokens and may be null. kNotFound when the model publishes no template, kBadInput
/// when it is not one.
Result<ModelPrompt> load_model_prompt(const format::Checkpoint& checkpoint,
                                      const tokenizer::Tokenizer* tokenizer,
                                      const std::string& override_text);

}  // namespace bundle::launch
