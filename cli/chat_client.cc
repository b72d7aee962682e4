#include "cli/chat_client.h"

#include "base/http_client.h"
#include "cli/interrupt.h"

namespace bundle::cli {
namespace {

Json message(std::string_view role, std::string_view content) {
  return JsonObject{{"role", role}, {"content", content}};
}

/// What the server's error envelope says.
Error server_error(const HttpResponse& response, const std::string& url) {
  std::string text = "the server answered " + std::to_string(response.status);
  if (const auto body = parse_json(response.body, url)) {
    if (const Json* error = find(*body, "error")) {
      if (const auto said = get_string(*error, "message", url)) text += ": " + *said;
    }
  }
  return {response.status >= 500 ? ErrorCode::kUnreachable : ErrorCode::kBadInput, text, url, ""};
}

void take_usage(const Json& event, ChatAnswer& answer) {
  const Json* usage = find(event, "usage");
  if (usage == nullptr || !usage->is_object()) return;
  answer.prompt_tokens = get_int_or(*usage, "prompt_tokens", 0, "").value();
  answer.completion_tokens = get_int_or(*usage, "completion_tokens", 0, "").value();
}

void take_text(const Json& delta, const char* field, ChatClient::Part part, std::string& text,
               const ChatClient::OnText& on_text) {
  const auto piece = get_string_or(delta, field, "", "");
  if (!piece || piece->empty()) return;
  text += *piece;
  on_text(part, *piece);
}

/// Takes one event's data into the answer. An error event is an error.
Status take_event(const Json& event, ChatAnswer& answer, const ChatClient::OnText& on_text) {
  if (const Json* error = find(event, "error")) {
    return failed("the server stopped the answer: " + print_json(*error));
  }
  take_usage(event, answer);
  const Json* choices = find(event, "choices");
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return {};
  const Json& choice = choices->get_array().front();
  if (const Json* delta = find(choice, "delta")) {
    take_text(*delta, "reasoning_content", ChatClient::Part::kReasoning, answer.reasoning, on_text);
    take_text(*delta, "content", ChatClient::Part::kAnswer, answer.text, on_text);
  }
  if (const auto reason = get_string_or(choice, "finish_reason", "", "");
      reason && !reason->empty()) {
    answer.finish_reason = *reason;
  }
  return {};
}

}  // namespace

ChatClient::ChatClient(std::string url, ChatOptions options)
    : url_(std::move(url)), options_(std::move(options)) {}

void ChatClient::set_system(std::string text) { system_ = std::move(text); }

void ChatClient::reset() { history_.clear(); }

Json ChatClient::request() const {
  JsonArray messages;
  if (!system_.empty()) messages.push_back(message("system", system_));
  for (const Json& turn : history_) messages.push_back(turn);
  JsonObject body{{"messages", std::move(messages)},
                  {"stream", true},
                  {"stream_options", JsonObject{{"include_usage", true}}}};
  if (options_.temperature) body["temperature"] = *options_.temperature;
  if (options_.max_tokens) body["max_tokens"] = *options_.max_tokens;
  if (options_.seed) body["seed"] = *options_.seed;
  return body;
}

Result<ChatAnswer> ChatClient::ask(const std::string& text, const OnText& on_text) {
  history_.push_back(message("user", text));
  HttpRequest http{.method = "POST",
                   .url = url_ + "/v1/chat/completions",
                   .headers = {{"Content-Type", "application/json"}},
                   .body = print_json(request())};
  if (!options_.api_key.empty())
    http.headers.emplace_back("Authorization", "Bearer " + options_.api_key);
  ChatAnswer answer;
  Status taken;
  EventStreamParser parser;
  const auto on_event = [&](std::string_view data) {
    if (data == "[DONE]" || interrupted()) return false;
    const auto event = parse_json(data, url_);
    taken = event ? take_event(*event, answer, on_text) : Status(event.error());
    return static_cast<bool>(taken);
  };
  const auto response =
      http_stream(http, [&](std::string_view piece) { return parser.push(piece, on_event); });
  // [DONE] ends the exchange from our side: that is how a whole answer looks.
  const bool ended = !response && response.error().code == ErrorCode::kInterrupted;
  if (!taken || interrupted() || (!response && !ended) || (response && response->status != 200)) {
    history_.pop_back();
    if (interrupted()) return Error{ErrorCode::kInterrupted, "stopped"};
    if (!taken) return taken.error();
    return response ? server_error(*response, http.url) : response.error();
  }
  history_.push_back(message("assistant", answer.text));
  return answer;
}

}  // namespace bundle::cli
