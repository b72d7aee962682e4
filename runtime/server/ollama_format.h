// Ollama's /api/chat and /api/generate: requests in, as chat requests; answers out, a line of JSON
// each.
#pragma once

#include <memory>

#include "base/json.h"
#include "runtime/server/answer_format.h"
#include "runtime/server/message.h"

namespace bundle::server {

enum class OllamaShape {
  kChat,      // {"message": {"role", "content", "thinking", "tool_calls"}}
  kGenerate,  // {"response", "thinking"}
};

std::unique_ptr<AnswerFormat> ollama_format(AnswerHead head, OllamaShape shape,
                                            std::chrono::steady_clock::time_point received);

/// The chat request that an Ollama request means. 400 names the field that is wrong.
ApiResult<JsonObject> chat_of_ollama(const JsonObject& body, OllamaShape shape);

/// "2026-11-23T12:34:56Z", as Ollama writes times.
std::string ollama_time(std::int64_t seconds);

}  // namespace bundle::server
