#include "runtime/comm/mesh.h"

#include <chrono>

#include "runtime/comm/lost.h"
#include "runtime/comm/sockets.h"

namespace bundle::comm {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

Result<std::vector<Fd>> Mesh::run(Fd leader, Teller& teller) {
  sockets_.resize(static_cast<std::size_t>(place_.ranks));
  sockets_[0] = std::move(leader);
  missing_ = place_.ranks - 2;
  for (int below = 1; below < place_.rank; ++below) BUNDLE_CHECK(call(below));
  std::optional<Reception> reception;
  if (listener_) {
    reception.emplace(std::move(listener_), place_.token,
                      [&](const std::string& what) { teller.warn(what); });
  }
  const auto until = Clock::now() + kMeshLimit;
  while (missing_ > 0) {
    if (Clock::now() > until) return lost("the ranks of the group do not reach each other");
    BUNDLE_CHECK(teller.waiting("meeting the other ranks"));
    wait(reception);
    BUNDLE_CHECK(hear_answers());
    if (!reception) continue;
    for (Guest& guest : reception->look()) answer(std::move(guest), teller);
    BUNDLE_CHECK(finish_answers());
  }
  return std::move(sockets_);
}

Status Mesh::call(int below) {
  const PeerAddress& peer = table_.peers[static_cast<std::size_t>(below)];
  const std::string& host = peer.host.empty() ? leader_host_ : peer.host;
  BUNDLE_TRY(Fd socket, start_connecting(host, peer.port, place_.own_host, 0));
  settle_link(socket);
  Talk talk{below, Conversation(std::move(socket), Conversation::Side::kCaller, place_.token)};
  talk.conversation.say(encode(Call{table_.meeting, place_.rank}));
  calls_.push_back(std::move(talk));
  return {};
}

void Mesh::wait(const std::optional<Reception>& reception) const {
  std::vector<pollfd> wanted;
  if (reception) reception->add_to(wanted);
  for (const auto* talks : {&calls_, &answers_}) {
    for (const Talk& talk : *talks) {
      wanted.push_back({talk.conversation.socket(), talk.conversation.events(), 0});
    }
  }
  wait_for(wanted);
}

Status Mesh::hear_answers() {
  for (auto at = calls_.begin(); at != calls_.end();) {
    const auto heard = at->conversation.advance();
    const std::string who = "rank " + std::to_string(at->rank);
    if (!heard) {
      return lost(who + " is not reached: " + heard.error().message());
    }
    if (!*heard) {
      ++at;
      continue;
    }
    if (**heard != who) return lost("another rank than " + who + " answers");
    seat(at->rank, at->conversation);
    at = calls_.erase(at);
  }
  return {};
}

void Mesh::answer(Guest guest, Teller& teller) {
  const auto call = decode_call(guest.introduction);
  const bool ours = call && call->meeting == table_.meeting && call->rank > place_.rank &&
                    call->rank < place_.ranks && !sockets_[static_cast<std::size_t>(call->rank)];
  if (!ours) {
    guest.conversation.refuse(lost("this rank belongs to another meeting"));
    return teller.warn("a rank at " + guest.address + " was refused: it is of another meeting");
  }
  guest.conversation.say("rank " + std::to_string(place_.rank));
  answers_.push_back({call->rank, std::move(guest.conversation)});
}

Status Mesh::finish_answers() {
  for (auto at = answers_.begin(); at != answers_.end();) {
    if (!at->conversation.said_all()) {
      const auto heard = at->conversation.advance();
      if (!heard) return lost("rank " + std::to_string(at->rank) + " left while ranks met");
      ++at;
      continue;
    }
    seat(at->rank, at->conversation);
    at = answers_.erase(at);
  }
  return {};
}

void Mesh::seat(int rank, Conversation& conversation) {
  sockets_[static_cast<std::size_t>(rank)] = conversation.take_socket();
  --missing_;
}

}  // namespace bundle::comm
