// The strict check of a request's head that stands beside Beast's lenient parser.
//
// Beast 1.81 accepts folded fields, two Hosts, no Host, `Transfer-Encoding: xchunked` (as an empty
// body, so that the body would be read as the next request) and more: two readers of one message
// that disagree on where it ends are how requests are smuggled. Whatever is not plainly one
// RFC 9112 message is refused here, and the connection closed.
#pragma once

#include <optional>
#include <string_view>

#include "runtime/server/api_error.h"

namespace bundle::server {

/// Finds the end of a head as its bytes come, and refuses bytes that no head may hold at once, so
/// that nobody waits for a blank line that can not come. Not thread-safe.
class HeadScanner {
 public:
  /// Scans the next byte. True: this byte ended the head. Errors stand in error().
  bool push(char c);
  bool failed() const { return failed_; }

 private:
  bool after_return_ = false;
  bool at_line_start_ = true;
  bool failed_ = false;
};

/// `head` is a whole head, its blank line included. Fills all of `request` but body and id; an
/// error when it is not one well-formed HTTP/1.0 or HTTP/1.1 head.
std::optional<ApiError> check_head(std::string_view head, HttpRequest& request);

}  // namespace bundle::server
