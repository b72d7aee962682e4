#include "runtime/server/answer_parts.h"

#include <algorithm>

#include "base/text.h"
#include "runtime/server/json_text.h"

namespace bundle::server {

std::string AnswerFormat::error(const ApiError& error) const {
  return "data: " + error_json(error) + "\n\n" + std::string(kDone);
}

std::string answer_start(const AnswerHead& head, std::string_view object) {
  std::string out = R"({"id":)";
  append_json(out, head.id);
  out += R"(,"object":)";
  append_json(out, object);
  out += R"(,"created":)";
  append_json(out, head.created);
  out += R"(,"model":)";
  append_json(out, replace_invalid_utf8(head.model->served.name));
  out += R"(,"system_fingerprint":)";
  append_json(out, head.model->fingerprint);
  out += R"(,"choices":[)";
  return out;
}

void append_usage(std::string& out, const Usage& usage) {
  const auto number = [&](const char* key, std::int64_t value) {
    out += key;
    append_json(out, value);
  };
  number(R"(,"usage":{"prompt_tokens":)", usage.prompt_tokens);
  number(R"(,"completion_tokens":)", usage.completion_tokens);
  number(R"(,"total_tokens":)", usage.prompt_tokens + usage.completion_tokens);
  number(R"(,"prompt_tokens_details":{"cached_tokens":)", usage.cached_tokens);
  number(R"(},"completion_tokens_details":{"reasoning_tokens":)", usage.reasoning_tokens);
  number(R"(},"prompt_cache_hit_tokens":)", usage.cached_tokens);
  number(R"(,"prompt_cache_miss_tokens":)", usage.prompt_tokens - usage.cached_tokens);
  out += '}';
}

void append_finish(std::string& out, const Output& output) {
  switch (output.finish) {
    case engine::FinishReason::kStop:
      // A stop string within a call has cut it: nobody can make it.
      out += output.called_tool && output.stop_string.empty() ? R"("tool_calls")" : R"("stop")";
      break;
    case engine::FinishReason::kLength:
      out += R"("length")";
      break;
    case engine::FinishReason::kDeadline:
      out += R"("deadline")";
      break;
    default:
      out += "null";
  }
}

void append_stop_reason(std::string& out, const Output& output) {
  if (!output.stop_string.empty()) {
    out += R"(,"stop_reason":)";
    append_json(out, output.stop_string);
  } else if (output.stop_token >= 0) {
    out += R"(,"stop_reason":)";
    append_json(out, std::int64_t{output.stop_token});
  }
}

void append_ids(std::string& out, std::span<const std::int32_t> ids) {
  out += '[';
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    append_json(out, std::int64_t{ids[i]});
  }
  out += ']';
}

std::string token_label(const AnswerHead& head, std::int32_t id) {
  const auto& tokenizer = head.model->served.tokenizer;
  if (head.tokens_as_ids || tokenizer == nullptr) return "token_id:" + std::to_string(id);
  return replace_invalid_utf8(tokenizer->token_bytes(id));
}

std::int64_t token_characters(const AnswerHead& head, std::int32_t id) {
  const auto& tokenizer = head.model->served.tokenizer;
  return tokenizer == nullptr ? 0 : count_characters(tokenizer->token_bytes(id));
}

float finite_logprob(float logprob) { return std::max(logprob, -9999.0f); }

std::int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

void append_usage_chunk(std::string& out, const std::string& start, const Usage& usage) {
  out += start;
  out += ']';
  append_usage(out, usage);
  out += "}\n\n";
}

}  // namespace bundle::server
