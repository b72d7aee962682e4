// Pieces of JSON that both answer formats are made of.
#pragma once

#include <span>
#include <string>

#include "runtime/server/answer_format.h"

namespace bundle::server {

/// `{"id":…,"object":…,"created":…,"model":…,"system_fingerprint":…,"choices":[`
std::string answer_start(const AnswerHead& head, std::string_view object);
/// `,"usage":{…}`
void append_usage(std::string& out, const Usage& usage);
/// `"stop"`, `"tool_calls"`, `"length"`, `"deadline"` or `null`.
void append_finish(std::string& out, const Output& output);
/// `,"stop_reason":…` when a string or a token of the client's ended the output.
void append_stop_reason(std::string& out, const Output& output);
/// `[1,2]`
void append_ids(std::string& out, std::span<const std::int32_t> ids);

/// What a token is called among logprobs: its bytes as text (U+FFFD for parts of characters), or
/// "token_id:42".
std::string token_label(const AnswerHead& head, std::int32_t id);

/// Characters that begin in the token's text; one that several tokens share counts with the first.
std::int64_t token_characters(const AnswerHead& head, std::int32_t id);

/// JSON knows no infinity: what can not happen is -9999, as OpenAI's and vLLM's servers write it.
float finite_logprob(float logprob);
/// Unicode characters of valid UTF-8.
std::int64_t count_characters(std::string_view text);

/// The last event of OpenAI's streams.
inline constexpr std::string_view kDone = "data: [DONE]\n\n";
/// The tail of the chunk that ends a stream with usage.
void append_usage_chunk(std::string& out, const std::string& start, const Usage& usage);

}  // namespace bundle::server
