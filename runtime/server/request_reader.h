// One request out of the bytes of a connection: strict head check, then Beast for the body.
#pragma once

#include <memory>
#include <string_view>

#include "runtime/server/api_error.h"
#include "runtime/server/head_check.h"
#include "runtime/server/http_server.h"

namespace bundle::server {

/// Fed with bytes as they come, from wherever. Not thread-safe.
class RequestReader {
 public:
  enum class State { kHead, kBody, kDone, kFailed };

  explicit RequestReader(const ServerLimits& limits);
  ~RequestReader();

  /// Takes what it can use from the front of `bytes` and says how many that were. What it leaves is
  /// to be offered again with more behind it, or belongs to the next request.
  std::size_t feed(std::string_view bytes);

  State state() const { return state_; }
  /// No byte of this request has come yet.
  bool untouched() const { return head_.empty(); }
  /// All but the body; from kBody on.
  const HttpRequest& head() const { return request_; }
  /// From kBody on: whose request it is.
  void set_client(std::shared_ptr<Client> client) { request_.client = std::move(client); }
  /// In kDone, once.
  HttpRequest take();
  /// In kFailed. The connection can not be used any more.
  const ApiError& error() const { return error_; }

 private:
  struct Parser;

  std::size_t feed_head(std::string_view bytes);
  std::size_t feed_body(std::string_view bytes);
  void finish_head();
  void fail(ApiError error);

  const ServerLimits& limits_;
  State state_ = State::kHead;
  std::string head_;
  bool blank_line_ = false;  // one was skipped before the request line
  std::uint64_t body_bytes_ = 0;
  HttpRequest request_;
  ApiError error_;
  HeadScanner scanner_;
  std::unique_ptr<Parser> parser_;
};

}  // namespace bundle::server
