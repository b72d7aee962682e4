// Talking to a stranger over TCP until both know that the other has the group's token. It never
// blocks, believes no length, and the token itself does not travel.
//
// Each side begins with a greeting, whose random number is new each time. A key that comes from the
// token and both numbers signs every message that follows, so none can be forged, repeated, moved
// or sent back. Whoever does not want to go on says why in clear text, and closes.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace bundle::comm {

inline constexpr std::uint32_t kGroupVersion = 1;
/// A message may have so many bytes, a refusal's text so many.
inline constexpr std::size_t kMostMessage = 16u << 10;
inline constexpr std::size_t kMostRefusal = 1000;

/// 32 bytes that nobody can guess.
std::string random_number();

/// Not thread-safe.
class Conversation {
 public:
  enum class Side : char { kCaller = 'c', kAnswerer = 'a' };

  /// `socket` does not block, and may be connecting still.
  Conversation(Fd socket, Side side, std::string token);

  int socket() const { return socket_.get(); }
  /// What to poll the socket for.
  short events() const;

  /// Reads and writes what it can without waiting. The next message, once it is there: one at a
  /// time, and not a byte beyond it is taken from the socket. kUnreachable when the other is gone,
  /// kBadInput when it is no such program, has another version or another token; what it refused is
  /// kUnreachable or the code that it gave.
  Result<std::optional<std::string>> advance();
  /// To be sent as the other's greeting allows.
  void say(std::string_view message);
  /// Whether all that was said is with the kernel.
  bool said_all() const { return to_say_.empty() && out_.empty(); }
  /// Says why, as far as that goes without waiting.
  void refuse(const Error& why);

  /// The socket, for what comes after the conversation.
  Fd take_socket() { return std::move(socket_); }

 private:
  struct Greeting;
  struct MessageHead;

  Status flush();
  Result<bool> fill(std::size_t wanted);
  Status read_greeting();
  Result<std::optional<std::string>> read_message();
  Error refusal(const MessageHead& head, std::string body) const;
  std::string signature(Side from, std::uint64_t number, std::string_view message) const;
  void send_waiting();

  Fd socket_;
  Side side_;
  std::string token_;
  std::string own_number_;
  std::string key_;  // "" until the other has greeted
  std::string out_;
  std::string in_;
  std::string to_say_;  // waits for the key; at most one message does
  std::uint64_t sent_ = 0, received_ = 0;
};

}  // namespace bundle::comm
