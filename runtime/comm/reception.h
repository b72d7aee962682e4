// Strangers at a listening socket, until they have introduced themselves: many at once, each for a
// few seconds, so that one who says nothing keeps nobody waiting.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <poll.h>
#include <string>
#include <vector>

#include "runtime/comm/conversation.h"

namespace bundle::comm {

/// How long somebody may take to say who he is.
inline constexpr auto kIntroductionLimit = std::chrono::seconds(5);

/// One who has the token, and what he said of himself.
struct Guest {
  Conversation conversation;
  std::string introduction;
  std::string address;
};

/// Not thread-safe.
class Reception {
 public:
  using Warn = std::function<void(const std::string&)>;

  Reception(Fd listener, std::string token, Warn warn)
      : listener_(std::move(listener)), token_(std::move(token)), warn_(std::move(warn)) {}

  /// What look() waits for.
  void add_to(std::vector<pollfd>& wanted) const;
  /// Who has come so far that he introduced himself. Does not wait.
  std::vector<Guest> look();

 private:
  struct Stranger {
    Conversation conversation;
    std::string address;
    std::chrono::steady_clock::time_point until;
  };

  void let_in();
  void turn_away(Stranger& stranger, const Error& why);

  Fd listener_;
  std::string token_;
  Warn warn_;
  std::list<Stranger> strangers_;
};

}  // namespace bundle::comm
