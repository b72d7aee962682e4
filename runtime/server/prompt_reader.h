// What /v1/completions calls `prompt` and /v1/embeddings `input`: a text, a list of texts, token
// ids, or a list of lists of token ids.
#pragma once

#include <string>
#include <vector>

#include "runtime/server/answer_format.h"

namespace bundle::server {

/// One prompt for each text or list of ids, none of them empty. `param` names the field in errors;
/// a null `value` is one that is missing. Special tokens are added to texts where `add_special`.
ApiResult<std::vector<Prompt>> read_prompts(const Model& model, const Json* value,
                                            const std::string& param, bool add_special);

}  // namespace bundle::server
