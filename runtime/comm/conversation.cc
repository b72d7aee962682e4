#include "runtime/comm/conversation.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <utility>

#include "base/bytes.h"
#include "base/hmac.h"
#include "base/text.h"

namespace bundle::comm {
namespace {

constexpr std::size_t kNumberBytes = 32;
constexpr std::size_t kSignatureBytes = 32;
constexpr std::array<char, 8> kMagic = {'B', 'N', 'D', 'L', 'G', 'R', 'U', 'P'};

template <typename T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

Conversation::Side other_side(Conversation::Side side) {
  return side == Conversation::Side::kCaller ? Conversation::Side::kAnswerer
                                             : Conversation::Side::kCaller;
}

}  // namespace

std::string random_number() {
  std::string number(kNumberBytes, '\0');
  // Never short for so few bytes once the kernel has gathered any.
  while (::getrandom(number.data(), number.size(), 0) != static_cast<ssize_t>(number.size())) {
  }
  return number;
}

struct Conversation::Greeting {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kGroupVersion;
  std::uint32_t reserved = 0;
  std::array<char, kNumberBytes> number = {};
};

struct Conversation::MessageHead {
  enum Kind : std::uint32_t { kSigned = 1, kRefusal = 2 };
  std::uint32_t kind = kSigned;
  std::uint32_t bytes = 0;
  std::int32_t code = 0;  // of a refusal
  std::uint32_t reserved = 0;
  std::array<char, kSignatureBytes> signature = {};
};

Conversation::Conversation(Fd socket, Side side, std::string token)
    : socket_(std::move(socket)),
      side_(side),
      token_(std::move(token)),
      own_number_(random_number()) {
  Greeting greeting;
  std::copy(own_number_.begin(), own_number_.end(), greeting.number.begin());
  out_ = bytes_of(greeting);
}

short Conversation::events() const {
  return static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT));
}

Result<std::optional<std::string>> Conversation::advance() {
  const Status sent = flush();
  if (key_.empty()) {
    BUNDLE_TRY(const bool whole, fill(sizeof(Greeting)));
    if (!whole) {
      BUNDLE_CHECK(sent);
      return std::optional<std::string>();
    }
    BUNDLE_CHECK(read_greeting());
    send_waiting();
    BUNDLE_CHECK(flush());
  }
  // Where the other has closed, it may have said why.
  auto message = read_message();
  if (message && !*message && !sent) return sent.error();
  return message;
}

void Conversation::say(std::string_view message) {
  to_say_ = message;
  if (!key_.empty()) send_waiting();
  (void)flush();  // a failure shows when the next message does not come
}

void Conversation::send_waiting() {
  if (to_say_.empty()) return;
  MessageHead head;
  head.bytes = static_cast<std::uint32_t>(to_say_.size());
  const std::string proof = signature(side_, sent_++, to_say_);
  std::copy(proof.begin(), proof.end(), head.signature.begin());
  out_ += bytes_of(head) + std::exchange(to_say_, {});
}

void Conversation::refuse(const Error& why) {
  const std::string text = why.message().substr(0, kMostRefusal);
  MessageHead head;
  head.kind = MessageHead::kRefusal;
  head.bytes = static_cast<std::uint32_t>(text.size());
  head.code = static_cast<std::int32_t>(why.code);
  out_ += bytes_of(head) + text;
  (void)flush();  // it is over in any case
  ::shutdown(socket_.get(), SHUT_WR);
}

Status Conversation::flush() {
  while (!out_.empty()) {
    const ssize_t n = ::send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) return {};
    if (n < 0) {
      Error error = system_error("the connection broke");
      error.code = ErrorCode::kUnreachable;
      return error;
    }
    out_.erase(0, static_cast<std::size_t>(n));
  }
  return {};
}

/// Whether so many bytes are there. Not one more is taken from the socket.
Result<bool> Conversation::fill(std::size_t wanted) {
  while (in_.size() < wanted) {
    std::array<char, 4096> piece;
    const std::size_t most = std::min(piece.size(), wanted - in_.size());
    const ssize_t n = ::recv(socket_.get(), piece.data(), most, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) return false;
    if (n <= 0) return Error{ErrorCode::kUnreachable, "the other side closed the connection"};
    in_.append(piece.data(), static_cast<std::size_t>(n));
  }
  return true;
}

Status Conversation::read_greeting() {
  Greeting greeting;
  std::memcpy(&greeting, in_.data(), sizeof(greeting));
  in_.clear();
  if (greeting.magic != kMagic) return bad_input("what answers is no rank of a group");
  if (greeting.version != kGroupVersion) {
    return bad_input("the other side has version " + std::to_string(greeting.version) +
                         " of groups, this one " + std::to_string(kGroupVersion),
                     "", "Run the same bundle on all machines.");
  }
  const std::string number(greeting.number.data(), greeting.number.size());
  const bool caller = side_ == Side::kCaller;
  key_ = hmac_sha256(token_,
                     "bundle group 1" + (caller ? own_number_ + number : number + own_number_));
  return {};
}

Result<std::optional<std::string>> Conversation::read_message() {
  BUNDLE_TRY(const bool headed, fill(sizeof(MessageHead)));
  if (!headed) return std::optional<std::string>();
  MessageHead head;
  std::memcpy(&head, in_.data(), sizeof(head));
  const bool refusal_comes = head.kind == MessageHead::kRefusal;
  const std::size_t most = refusal_comes ? kMostRefusal : kMostMessage;
  if ((head.kind != MessageHead::kSigned && !refusal_comes) || head.bytes > most) {
    return bad_input("what answers is no rank of a group");
  }
  BUNDLE_TRY(const bool whole, fill(sizeof(head) + head.bytes));
  if (!whole) return std::optional<std::string>();
  std::string body = in_.substr(sizeof(head));
  in_.clear();
  if (refusal_comes) return refusal(head, std::move(body));
  const std::string expected = signature(other_side(side_), received_++, body);
  if (!equals_in_constant_time(expected, {head.signature.data(), head.signature.size()})) {
    return bad_input("the other side does not have this group's token", "",
                     "Give all machines the same one.");
  }
  return std::optional<std::string>(std::move(body));
}

Error Conversation::refusal(const MessageHead& head, std::string body) const {
  Error error{ErrorCode::kUnreachable, show_controls(replace_invalid_utf8(body))};
  if (head.code >= 1 && head.code <= 5) error.code = static_cast<ErrorCode>(head.code);
  return error;
}

std::string Conversation::signature(Side from, std::uint64_t number,
                                    std::string_view message) const {
  return hmac_sha256(
      key_, std::string(1, static_cast<char>(from)) + bytes_of(number) + std::string(message));
}

}  // namespace bundle::comm
