// GET /tokenizer_info: what clients that render and count for themselves want to know (lm-eval's
// remote tokenizer among them), in the words of tokenizer_config.json.
#include "runtime/server/endpoints.h"

namespace bundle::server {

ReplyResult get_tokenizer_info(Service& service, const HttpRequest&) {
  const auto model = service.model();
  if (model == nullptr) return unavailable("model_loading", "The model is still loading.", 2);
  if (model->served.tokenizer == nullptr) {
    return unsupported_field("model", "This model has no tokenizer.");
  }
  JsonObject out = model->served.template_variables;
  for (const char* name : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    if (!out.contains(name)) out[name] = nullptr;
  }
  out["tokenizer_class"] = "PreTrainedTokenizerFast";
  out["vocab_size"] = model->vocab_size;
  out["model_max_length"] = service.max_context(*model);
  Json& chat_template = out["chat_template"];
  if (!model->served.template_source.empty()) chat_template = model->served.template_source;
  return json_reply(out);
}

}  // namespace bundle::server
