#include "cli/open_stream.h"

#include <boost/json/object.hpp>

#include "base/http_client.h"
#include "cli/interrupt.h"

namespace bundle::cli {
namespace {

/// Greedy, and of a given length: the same request has the same answer, and lasts.
HttpRequest http_of(const StreamRequest& request) {
  const JsonObject message{{"role", "user"}, {"content", request.message}};
  const JsonObject body{{"messages", JsonArray{message}},
                        {"stream", true},
                        {"temperature", 0},
                        {"max_tokens", request.tokens},
                        {"ignore_eos", true}};
  HttpRequest http{.method = "POST",
                   .url = request.url + "/v1/chat/completions",
                   .headers = {{"Content-Type", "application/json"}},
                   .body = print_json(body)};
  if (!request.api_key.empty()) {
    http.headers.emplace_back("Authorization", "Bearer " + request.api_key);
  }
  return http;
}

}  // namespace

OpenStream::OpenStream(StreamRequest request)
    : request_(std::move(request)), thread_([this] { run(); }) {}

OpenStream::~OpenStream() { (void)wait(); }

const StreamReport& OpenStream::wait() {
  if (thread_.joinable()) thread_.join();
  return report_;
}

Status OpenStream::take(const Json& event) {
  if (const Json* error = find(event, "error")) return failed(print_json(*error));
  const Json* choices = find(event, "choices");
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return {};
  const Json& choice = choices->get_array().front();
  if (const Json* delta = find(choice, "delta")) {
    for (const char* part : {"reasoning_content", "content"}) {
      const auto piece = get_string_or(*delta, part, "", "");
      if (!piece || piece->empty()) continue;
      report_.text += *piece;
      begun_ = true;
    }
  }
  const auto reason = get_string_or(choice, "finish_reason", "", "");
  finished_ = finished_ || (reason && !reason->empty());
  return {};
}

void OpenStream::run() {
  EventStreamParser parser;
  Status taken;
  const auto on_event = [&](std::string_view data) {
    if (interrupted()) return false;
    if (data == "[DONE]") {
      report_.whole = finished_;
      return false;
    }
    const auto event = parse_json(data, request_.url);
    taken = event ? take(*event) : Status(event.error());
    return static_cast<bool>(taken);
  };
  const auto response = http_stream(
      http_of(request_), [&](std::string_view piece) { return parser.push(piece, on_event); });
  if (!report_.whole) {
    report_.error = interrupted()             ? "stopped"
                    : !taken                  ? taken.error().message()
                    : !response               ? response.error().message()
                    : response->status != 200 ? "HTTP " + std::to_string(response->status) + ": " +
                                                    response->body.substr(0, 200)
                                              : "it ended without its end mark";
  }
  report_.ended = std::chrono::steady_clock::now();
  over_ = true;
}

}  // namespace bundle::cli
