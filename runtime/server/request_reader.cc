#include "runtime/server/request_reader.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace bundle::server {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

/// Chunk sizes, extensions and trailers may not outgrow what they frame by more than this.
constexpr std::uint64_t kFramingBytes = 64u << 10;

ApiError too_long(std::size_t limit) {
  return bad_http(413, "body_too_large",
                  "The body is longer than the " + std::to_string(limit) + " bytes allowed.");
}

}  // namespace

struct RequestReader::Parser {
  http::request_parser<http::string_body> beast;
};

RequestReader::RequestReader(const ServerLimits& limits) : limits_(limits) {}
RequestReader::~RequestReader() = default;

std::size_t RequestReader::feed(std::string_view bytes) {
  std::size_t used = 0;
  if (state_ == State::kHead) used = feed_head(bytes);
  if (state_ == State::kBody) used += feed_body(bytes.substr(used));
  return used;
}

std::size_t RequestReader::feed_head(std::string_view bytes) {
  std::size_t used = 0;
  // Some clients end a body with an empty line too many; one is forgiven, as RFC 9112 asks.
  if (head_.empty() && !blank_line_ && !bytes.empty() && bytes[0] == '\r') {
    if (bytes.size() < 2) return 0;
    if (bytes[1] == '\n') {
      blank_line_ = true;
      used = 2;
    }
  }
  while (used < bytes.size()) {
    const char c = bytes[used++];
    head_ += c;
    const bool ended = scanner_.push(c);
    if (scanner_.failed()) {
      fail(bad_http(400, "bad_request", "Malformed HTTP request: a byte that no head may hold."));
      return used;
    }
    if (ended) {
      finish_head();
      return used;
    }
    if (head_.size() >= limits_.header_bytes) {
      const bool in_first_line = head_.find('\n') == std::string::npos;
      fail(bad_http(in_first_line ? 414 : 431, in_first_line ? "uri_too_long" : "header_too_large",
                    "The request's head is longer than the " +
                        std::to_string(limits_.header_bytes) + " bytes allowed."));
      return used;
    }
  }
  return used;
}

void RequestReader::finish_head() {
  if (auto error = check_head(head_, request_)) return fail(*std::move(error));
  if (request_.content_length.value_or(0) > limits_.body_bytes) {
    return fail(too_long(limits_.body_bytes));
  }
  if (!request_.has_body()) {
    state_ = State::kDone;
    return;
  }
  parser_ = std::make_unique<Parser>();
  parser_->beast.eager(true);
  parser_->beast.header_limit(static_cast<std::uint32_t>(limits_.header_bytes + 1));
  parser_->beast.body_limit(limits_.body_bytes);
  beast::error_code error;
  parser_->beast.put(boost::asio::buffer(head_), error);
  if (error || !parser_->beast.is_header_done()) {
    return fail(bad_http(400, "bad_request", "Malformed HTTP request: " + error.message() + "."));
  }
  state_ = State::kBody;
}

std::size_t RequestReader::feed_body(std::string_view bytes) {
  if (bytes.empty()) return 0;
  beast::error_code error;
  const std::size_t used =
      parser_->beast.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  body_bytes_ += used;
  if (error == http::error::need_more) error = {};
  if (error == http::error::body_limit) {
    fail(too_long(limits_.body_bytes));
  } else if (error) {
    fail(bad_http(400, "bad_request", "Malformed HTTP body: " + error.message() + "."));
  } else if (parser_->beast.is_done()) {
    request_.body = std::move(parser_->beast.get().body());
    state_ = State::kDone;
  } else if (body_bytes_ > 2 * limits_.body_bytes + kFramingBytes ||
             (used == 0 && bytes.size() > kFramingBytes)) {
    fail(bad_http(400, "bad_request", "Malformed HTTP body: its chunks are mostly framing."));
  }
  return used;
}

HttpRequest RequestReader::take() { return std::move(request_); }

void RequestReader::fail(ApiError error) {
  error_ = std::move(error);
  state_ = State::kFailed;
}

}  // namespace bundle::server
