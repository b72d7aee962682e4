// A conversation with a server over its OpenAI API.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace bundle::cli {

struct ChatOptions {
  std::optional<double> temperature;
  std::optional<std::int64_t> max_tokens;
  std::optional<std::int64_t> seed;
  std::string api_key;
};

/// One answer and what it cost.
struct ChatAnswer {
  std::string text;
  std::string reasoning;  // what the model thought before it answered
  std::string finish_reason;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
};

/// Keeps the history and sends all of it each time. Not thread-safe.
class ChatClient {
 public:
  /// `url` is the server's, without /v1.
  ChatClient(std::string url, ChatOptions options);

  /// Replaces the system message; "" takes it away.
  void set_system(std::string text);
  void reset();

  enum class Part { kReasoning, kAnswer };
  using OnText = std::function<void(Part, std::string_view)>;

  /// Sends a user message; `on_text` gets the answer as it comes. After an error or Ctrl-C the
  /// message is not kept in the history; reasoning never is.
  Result<ChatAnswer> ask(const std::string& message, const OnText& on_text);

 private:
  Json request() const;

  std::string url_;
  ChatOptions options_;
  std::string system_;
  JsonArray history_;
};

}  // namespace bundle::cli
