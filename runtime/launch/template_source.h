// Where a model publishes its chat template, and the special tokens that templates name.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "runtime/format/checkpoint.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bundle::launch {

/// A template's text and where it was found.
struct TemplateSource {
  std::string text;
  std::string where;
};

/// In transformers' order: chat_template.jinja, then tokenizer_config.json (of several templates
/// the one named "default"); of a GGUF its metadata. kNotFound when there is none.
Result<TemplateSource> find_chat_template(const format::Checkpoint& checkpoint);

/// bos_token, eos_token and the like: tokenizer_config.json's, else the tokenizer's, which may be
/// null. kBadInput when the file is no JSON object.
Result<JsonObject> special_tokens(const format::Checkpoint& checkpoint,
                                  const tokenizer::Tokenizer* tokenizer);

}  // namespace bundle::launch
