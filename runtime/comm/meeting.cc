#include "runtime/comm/meeting.h"

#include <algorithm>
#include <optional>
#include <poll.h>
#include <thread>

#include "base/sha256.h"
#include "runtime/comm/introduction.h"
#include "runtime/comm/lost.h"
#include "runtime/comm/mesh.h"
#include "runtime/comm/reception.h"
#include "runtime/comm/sockets.h"
#include "runtime/comm/teller.h"

namespace bundle::comm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kRetry = milliseconds(200);

int ranks_of_each(const GroupPlace& place) { return place.ranks / place.nodes; }

/// Where the leader listens: on a name's address one could be unreachable for the others (a
/// machine's own name is often an address of loopback), so on all.
std::string listening_host(const std::string& leader) {
  if (leader == "localhost") return "127.0.0.1";
  return is_numeric_address(leader) ? leader : "";
}

/// Rank 0: receives all others.
class Leader {
 public:
  Leader(const GroupPlace& place, const TcpOptions& options)
      : place_(place), teller_(options), until_(Clock::now() + options.meeting) {
    guests_.resize(static_cast<std::size_t>(place.ranks));
  }

  Result<std::vector<Fd>> run() {
    BUNDLE_TRY(Fd listener, listen_on(listening_host(place_.leader_host), place_.leader_port));
    Reception reception(std::move(listener), place_.token,
                        [this](const std::string& what) { teller_.warn(what); });
    while (come_ + 1 < place_.ranks) {
      BUNDLE_CHECK(check_time());
      std::vector<pollfd> wanted;
      reception.add_to(wanted);
      for (const auto& guest : guests_) {
        if (guest) wanted.push_back({guest->conversation.socket(), POLLIN, 0});
      }
      wait_for(wanted);
      for (Guest& guest : reception.look()) receive(std::move(guest));
      notice_who_left();
    }
    return send_off();
  }

 private:
  struct Waiting {
    Conversation conversation;
    PeerAddress address;
    std::string from;
  };

  Status check_time() {
    const auto missing = std::find(guests_.begin() + 1, guests_.end(), std::nullopt);
    const std::string who = machine_of(place_, static_cast<int>(missing - guests_.begin()));
    const std::string where = address_text(place_.leader_host, place_.leader_port);
    if (Clock::now() < until_) {
      return teller_.waiting("waiting for " + who + " at " + where);
    }
    const std::string refused = refused_.empty() ? "" : "; one was refused: " + refused_;
    return lost(who + " did not come in time" + refused, where,
                "See that it runs and reaches this address.");
  }

  void receive(Guest guest) {
    const auto said = decode_introduction(guest.introduction);
    const Status fits = said ? check_introduction(place_, *said) : Status(said.error());
    if (!fits) return refuse(guest, fits.error());
    auto& seat = guests_[static_cast<std::size_t>(said->place.rank)];
    if (seat) {
      const std::string name = "rank " + std::to_string(said->place.rank);
      return refuse(guest, lost(name + " is here already, from " + seat->from));
    }
    guest.conversation.say("welcome");
    const PeerAddress address{said->with_leader ? "" : guest.address, said->port};
    seat.emplace(Waiting{std::move(guest.conversation), address, guest.address});
    ++come_;
  }

  void refuse(Guest& guest, const Error& why) {
    const std::string what = "a rank at " + guest.address + " was refused: " + why.message();
    if (why.code == ErrorCode::kUnreachable) {
      teller_.warn(what);
    } else {
      refused_ = why.message();
      teller_.say(what);
    }
    guest.conversation.refuse(why);
  }

  /// One who waits says nothing more: what comes is his end.
  void notice_who_left() {
    for (std::size_t rank = 1; rank < guests_.size(); ++rank) {
      auto& seat = guests_[rank];
      if (!seat) continue;
      const auto heard = seat->conversation.advance();
      if (heard && !*heard) continue;
      teller_.say(machine_of(place_, static_cast<int>(rank)) + " left again (rank " +
                  std::to_string(rank) + " at " + seat->from + ")");
      seat.reset();
      --come_;
    }
  }

  /// Hands out the addresses.
  Result<std::vector<Fd>> send_off() {
    Table table{sha256_hex(random_number()), {PeerAddress{}}};
    for (std::size_t r = 1; r < guests_.size(); ++r) table.peers.push_back(guests_[r]->address);
    const std::string text = encode(table);
    std::vector<Fd> sockets(1);
    const auto until = Clock::now() + kMeshLimit;
    for (std::size_t r = 1; r < guests_.size(); ++r) {
      Conversation& conversation = guests_[r]->conversation;
      conversation.say(text);
      while (!conversation.said_all()) {
        const auto heard = conversation.advance();
        if (!heard || Clock::now() > until) {
          return lost("rank " + std::to_string(r) + " left while the ranks were meeting");
        }
        pollfd wanted{conversation.socket(), POLLOUT, 0};
        ::poll(&wanted, 1, kLookMs);
      }
      sockets.push_back(conversation.take_socket());
    }
    return sockets;
  }

  const GroupPlace& place_;
  Teller teller_;
  Clock::time_point until_;
  std::vector<std::optional<Waiting>> guests_;  // by rank; the leader's own stays empty
  int come_ = 0;
  std::string refused_;  // whom waiting longer does not help
};

/// A rank above the first.
class Follower {
 public:
  Follower(const GroupPlace& place, const TcpOptions& options)
      : place_(place), teller_(options), until_(Clock::now() + options.meeting) {}

  Result<std::vector<Fd>> run() {
    for (int attempt = 0;; ++attempt) {
      auto met = try_once(attempt);
      if (met || met.error().code != ErrorCode::kUnreachable) return met;
      if (Clock::now() > until_ || met_all_) return met;
      last_ = met.error().message();
      BUNDLE_CHECK(tell_waiting());
      std::this_thread::sleep_for(kRetry);
    }
  }

 private:
  bool with_leader() const { return place_.rank < ranks_of_each(place_); }

  std::string leader_text() const { return address_text(place_.leader_host, place_.leader_port); }

  Status tell_waiting() {
    const std::string why = last_.empty() ? "" : " (" + last_ + ")";
    return teller_.waiting(welcome_ ? "waiting for the other machines"
                                    : "waiting for the first machine at " + leader_text() + why);
  }

  /// Waits for the next message until `limit`; it may be much later than the other's last word.
  Result<std::string> hear(Conversation& conversation, Clock::time_point limit) {
    for (;;) {
      BUNDLE_TRY(auto heard, conversation.advance());
      if (heard) return *std::move(heard);
      if (Clock::now() > limit) return lost("there is no answer", leader_text());
      std::vector<pollfd> wanted{{conversation.socket(), conversation.events(), 0}};
      wait_for(wanted);
      BUNDLE_CHECK(tell_waiting());
    }
  }

  Result<std::vector<Fd>> try_once(int attempt) {
    welcome_ = false;
    std::string host = place_.leader_host;
    // On the leader's own machine its name need not be known.
    if (with_leader() && listening_host(host).empty()) host = "127.0.0.1";
    BUNDLE_TRY(Fd socket, start_connecting(host, place_.leader_port,
                                           with_leader() ? "" : place_.own_host, attempt));
    settle_link(socket);
    const int leader = socket.get();
    Conversation conversation(std::move(socket), Conversation::Side::kCaller, place_.token);
    const auto limit = Clock::now() + kIntroductionLimit;
    BUNDLE_CHECK(wait_connected(conversation, limit));
    BUNDLE_TRY(Fd listener, listen_for_higher(leader));
    conversation.say(encode(
        Introduction{place_, listener ? own_port(listener) : std::uint16_t{0}, with_leader()}));
    BUNDLE_TRY(const std::string welcome, hear(conversation, limit));
    if (welcome != "welcome") return bad_input("what answers is no first rank", leader_text());
    welcome_ = true;
    BUNDLE_TRY(const std::string text, hear(conversation, until_));
    BUNDLE_TRY(const Table table, decode_table(text, place_.ranks));
    met_all_ = true;
    return Mesh(place_, table, peer_host_of(leader), std::move(listener))
        .run(conversation.take_socket(), teller_);
  }

  Status wait_connected(Conversation& conversation, Clock::time_point limit) {
    for (;;) {
      pollfd wanted{conversation.socket(), POLLOUT, 0};
      if (::poll(&wanted, 1, kLookMs) > 0) {
        return check_connected(conversation.socket());
      }
      if (Clock::now() > limit) return lost("there is no answer", leader_text());
      BUNDLE_CHECK(tell_waiting());
    }
  }

  /// Empty where no rank is above this one.
  Result<Fd> listen_for_higher(int leader) const {
    if (place_.rank + 1 == place_.ranks) return Fd();
    if (with_leader()) return listen_on(listening_host(place_.leader_host), 0);
    return listen_on(own_host_of(leader), 0);
  }

  const GroupPlace& place_;
  Teller teller_;
  Clock::time_point until_;
  std::string last_;  // why it is not met yet
  bool welcome_ = false;
  bool met_all_ = false;  // then only a meeting from the start helps
};

}  // namespace

Result<std::vector<Fd>> meet(const GroupPlace& place, const TcpOptions& options) {
  return place.rank == 0 ? Leader(place, options).run() : Follower(place, options).run();
}

}  // namespace bundle::comm
