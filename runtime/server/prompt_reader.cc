#include "runtime/server/prompt_reader.h"

#include <fmt/format.h>

#include "runtime/server/token_ids.h"

namespace bundle::server {
namespace {

class PromptReader {
 public:
  PromptReader(const Model& model, const std::string& param, bool add_special)
      : model_(model), param_(param), add_special_(add_special) {}

  ApiResult<std::vector<Prompt>> read(const Json& value) const {
    std::vector<Prompt> out;
    const JsonArray* list = value.if_array();
    const bool batch = list != nullptr && !list->empty() && !(*list)[0].is_number();
    if (!batch) {
      BUNDLE_TRY(Prompt one, read_one(value));
      out.push_back(std::move(one));
      return out;
    }
    for (const Json& entry : *list) {
      BUNDLE_TRY(Prompt one, read_one(entry));
      out.push_back(std::move(one));
    }
    return out;
  }

 private:
  ApiResult<Prompt> read_one(const Json& value) const {
    BUNDLE_TRY(Prompt prompt, value.is_string() ? from_text(value) : from_ids(value));
    if (prompt.ids.empty()) return wrong("must not be empty.", "invalid_value");
    return prompt;
  }

  ApiResult<Prompt> from_text(const Json& value) const {
    if (model_.served.tokenizer == nullptr) {
      return wrong("must be token ids: this model has no tokenizer.", "unsupported_value");
    }
    std::string text(value.get_string());
    auto ids = model_.served.tokenizer->encode(text, {.add_special = add_special_});
    return Prompt{std::move(ids), std::move(text)};
  }

  ApiResult<Prompt> from_ids(const Json& value) const {
    const JsonArray* list = value.if_array();
    if (list == nullptr) {
      return wrong("must be a string, a list of strings, token ids, or a list of lists of them.",
                   "invalid_type");
    }
    BUNDLE_TRY(auto ids, read_token_ids(*list, param_, model_.vocab_size));
    return Prompt{std::move(ids), {}};
  }

  ApiError wrong(const char* what, std::string code) const {
    return invalid_field(param_, fmt::format("'{}' {}", param_, what), std::move(code));
  }

  const Model& model_;
  const std::string& param_;
  bool add_special_;
};

}  // namespace

ApiResult<std::vector<Prompt>> read_prompts(const Model& model, const Json* value,
                                            const std::string& param, bool add_special) {
  if (value == nullptr) {
    return invalid_field(param, fmt::format("'{}' is required.", param), "missing_field");
  }
  return PromptReader(model, param, add_special).read(*value);
}

}  // namespace bundle::server
