// What /v1/chat/completions and /v1/completions have in common in their request bodies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/chat/answer_parser.h"
#include "runtime/engine/request.h"
#include "runtime/server/field_reader.h"
#include "runtime/server/http_server.h"

namespace bundle::server {

struct GenerationParams {
  engine::SamplingParams sampling;
  std::optional<std::int64_t> max_tokens;
  std::vector<std::string> stop;
  std::int64_t n = 1;
  bool stream = false;
  bool include_usage = false;     // a last chunk with usage
  bool continuous_usage = false;  // usage on every chunk
  bool include_stop = false;      // the stop string stays in the text
  bool return_token_ids = false;
  bool tokens_as_ids = false;  // "token_id:42" instead of spellings in logprobs
  bool skip_special = true;
  std::uint64_t cache_salt = 0;
  std::int32_t priority = 0;               // lower is more urgent, as vLLM has it
  std::optional<Json> output_format = {};  // that the output must have: of a structural tag
  bool exact_format = true;                // false: parts that no grammar can hold are left out
  chat::AnswerSyntax answer = {};          // of chats: how reasoning and tool calls are told apart
};

/// Reads the common fields; errors are left in `reader`. What the request does not say is taken
/// from the model's defaults. Refuses fields that would change the answer and are not offered.
GenerationParams read_generation_params(FieldReader& reader, const ServedModel& model,
                                        std::int32_t vocab_size, const ServerLimits& limits);

/// Who a request shares its prefixes with, and who goes first: `cache_salt` and `priority`.
void read_placement(FieldReader& reader, GenerationParams& out);

/// 404 unless `model` is absent or names the served one.
/// `min_tokens` may not be over the most that the request asks for.
void check_min_tokens(FieldReader& reader, const GenerationParams& params);
void check_model_name(FieldReader& reader, const ServedModel& model);

}  // namespace bundle::server
