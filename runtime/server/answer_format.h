// How an answer is written: the shapes of /v1/chat/completions and of /v1/completions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/server/choice.h"
#include "runtime/server/service.h"

namespace bundle::server {

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;     // of the prompt
  std::int64_t reasoning_tokens = 0;  // of the completion
  double first_token = 0;             // seconds from the arrival to the first choice's
};

struct Prompt {
  std::vector<std::int32_t> ids;
  std::string text;  // for echo
};

/// Facts that every piece of one answer repeats.
struct AnswerHead {
  std::string id = {};       // "chatcmpl-…"
  std::int64_t created = 0;  // seconds since 1970
  std::shared_ptr<const Model> model = {};
  bool logprobs = false;
  bool token_ids = false;      // return_token_ids
  bool tokens_as_ids = false;  // "token_id:42" for spellings
  bool include_usage = false;  // streams end with a chunk of usage, and others say null
  bool echo = false;
  std::int64_t top_logprobs = 0;
};

/// Writes one answer. Streams are OpenAI's events, unless a format says otherwise. Not thread-safe.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;

  /// One event of a stream: `data: {…}\n\n`. `usage` may be null.
  virtual void chunk(std::string& out, std::size_t index, const Prompt& prompt,
                     const Output& output, const Usage* usage) = 0;
  /// What ends a stream.
  virtual void end(std::string& out, const Usage& usage) = 0;
  /// The whole answer. `prompts` has one for every n choices.
  virtual std::string whole(const std::vector<Output>& choices, const std::vector<Prompt>& prompts,
                            const Usage& usage) = 0;

  /// An error after a stream has begun, and its end.
  virtual std::string error(const ApiError& error) const;
  virtual const char* stream_type() const { return "text/event-stream; charset=utf-8"; }
  /// What shows a waiting client that the server lives; "": nothing.
  virtual std::string_view keep_alive() const { return ": keep-alive\n\n"; }
};

std::unique_ptr<AnswerFormat> chat_format(AnswerHead head, std::size_t choices);
std::unique_ptr<AnswerFormat> completion_format(AnswerHead head, std::size_t choices);

}  // namespace bundle::server
