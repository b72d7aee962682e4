#include "runtime/comm/reception.h"

#include "runtime/comm/sockets.h"

namespace bundle::comm {
namespace {

/// Beyond so many at once the one who came first goes.
constexpr std::size_t kMostStrangers = 128;

}  // namespace

void Reception::add_to(std::vector<pollfd>& wanted) const {
  wanted.push_back({listener_.get(), POLLIN, 0});
  for (const Stranger& stranger : strangers_) {
    wanted.push_back({stranger.conversation.socket(), stranger.conversation.events(), 0});
  }
}

void Reception::let_in() {
  while (Fd socket = accept_one(listener_)) {
    settle_link(socket);
    std::string address = peer_host_of(socket.get());
    if (strangers_.size() == kMostStrangers) strangers_.pop_front();
    strangers_.push_back({Conversation(std::move(socket), Conversation::Side::kAnswerer, token_),
                          std::move(address),
                          std::chrono::steady_clock::now() + kIntroductionLimit});
  }
}

std::vector<Guest> Reception::look() {
  let_in();
  std::vector<Guest> guests;
  const auto now = std::chrono::steady_clock::now();
  for (auto at = strangers_.begin(); at != strangers_.end();) {
    auto heard = at->conversation.advance();
    if (heard && !*heard && now < at->until) {
      ++at;
      continue;
    }
    if (!heard) {
      turn_away(*at, heard.error());
    } else if (!*heard) {
      warn_("a connection from " + at->address + " said nothing and was closed");
    } else {
      guests.push_back({std::move(at->conversation), **std::move(heard), at->address});
    }
    at = strangers_.erase(at);
  }
  return guests;
}

void Reception::turn_away(Stranger& stranger, const Error& why) {
  warn_("a connection from " + stranger.address + " was refused: " + why.message());
  if (why.code != ErrorCode::kUnreachable) stranger.conversation.refuse(why);
}

}  // namespace bundle::comm
