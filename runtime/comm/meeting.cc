#include "runtime/comm/meeting.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <poll.h>
#include <sys/random.h>
#include <thread>

#include "runtime/comm/introduction.h"
#include "runtime/comm/reception.h"
#include "runtime/comm/sockets.h"

namespace bundle::comm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kLook = milliseconds(100);
constexpr auto kRetry = milliseconds(200);
constexpr auto kTellEvery = milliseconds(1000);
/// For all ranks to call each other, once all have come.
constexpr auto kMeshLimit = std::chrono::seconds(30);

Error lost(std::string what, std::string where = {}, std::string remedy = {}) {
  return Error{ErrorCode::kUnreachable, std::move(what), std::move(where), std::move(remedy)};
}

int ranks_of_each(const GroupPlace& place) { return place.ranks / place.nodes; }

/// Where the leader listens: on a name's address one could be unreachable for the others (a
/// machine's own name is often an address of loopback), so on all.
std::string listening_host(const std::string& leader) {
  if (leader == "localhost") return "127.0.0.1";
  return is_numeric_address(leader) ? leader : "";
}

std::string meeting_name() {
  unsigned char bytes[16];
  while (::getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
  }
  std::string name;
  for (const unsigned char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", byte);
    name += digits;
  }
  return name;
}

/// Says at most once a second who is waited for.
class Teller {
 public:
  explicit Teller(const TcpOptions& options) : options_(options), start_(Clock::now()) {}

  /// kInterrupted when nobody wants to wait any longer.
  Status waiting(const std::string& what) {
    if (!options_.progress || Clock::now() < next_) return {};
    next_ = Clock::now() + kTellEvery;
    const auto waited = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - start_);
    if (options_.progress(what, static_cast<std::uint64_t>(waited.count()), 0)) return {};
    return Error{ErrorCode::kInterrupted, "stopped while the ranks of a group were meeting"};
  }

  void say(const std::string& what) const {
    if (options_.warn) options_.warn(what);
  }

  /// Strangers may be many: what is beyond one a second is left out.
  void warn(const std::string& what) {
    if (Clock::now() < next_warning_) return;
    next_warning_ = Clock::now() + kTellEvery;
    say(what);
  }

 private:
  const TcpOptions& options_;
  Clock::time_point start_, next_ = {}, next_warning_ = {};
};

void wait_for(std::vector<pollfd>& wanted) {
  ::poll(wanted.data(), wanted.size(), static_cast<int>(kLook.count()));
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
    Table table{meeting_name(), {PeerAddress{}}};
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
        ::poll(&wanted, 1, static_cast<int>(kLook.count()));
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
      if (::poll(&wanted, 1, static_cast<int>(kLook.count())) > 0) {
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

  /// Calls the ranks below this one, and is called by those above, all at once.
  class Mesh {
   public:
    Mesh(const GroupPlace& place, const Table& table, std::string leader_host, Fd listener)
        : place_(place),
          table_(table),
          leader_host_(std::move(leader_host)),
          listener_(std::move(listener)) {}

    Result<std::vector<Fd>> run(Fd leader, Teller& teller) {
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

   private:
    struct Talk {
      int rank;
      Conversation conversation;
    };

    Status call(int below) {
      const PeerAddress& peer = table_.peers[static_cast<std::size_t>(below)];
      const std::string& host = peer.host.empty() ? leader_host_ : peer.host;
      BUNDLE_TRY(Fd socket, start_connecting(host, peer.port, place_.own_host, 0));
      settle_link(socket);
      Talk talk{below, Conversation(std::move(socket), Conversation::Side::kCaller, place_.token)};
      talk.conversation.say(encode(Call{table_.meeting, place_.rank}));
      calls_.push_back(std::move(talk));
      return {};
    }

    void wait(const std::optional<Reception>& reception) const {
      std::vector<pollfd> wanted;
      if (reception) reception->add_to(wanted);
      for (const auto* talks : {&calls_, &answers_}) {
        for (const Talk& talk : *talks) {
          wanted.push_back({talk.conversation.socket(), talk.conversation.events(), 0});
        }
      }
      wait_for(wanted);
    }

    Status hear_answers() {
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

    void answer(Guest guest, Teller& teller) {
      const auto call = decode_call(guest.introduction);
      const bool ours = call && call->meeting == table_.meeting && call->rank > place_.rank &&
                        call->rank < place_.ranks &&
                        !sockets_[static_cast<std::size_t>(call->rank)];
      if (!ours) {
        guest.conversation.refuse(lost("this rank belongs to another meeting"));
        return teller.warn("a rank at " + guest.address + " was refused: it is of another meeting");
      }
      guest.conversation.say("rank " + std::to_string(place_.rank));
      answers_.push_back({call->rank, std::move(guest.conversation)});
    }

    Status finish_answers() {
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

    void seat(int rank, Conversation& conversation) {
      sockets_[static_cast<std::size_t>(rank)] = conversation.take_socket();
      --missing_;
    }

    const GroupPlace& place_;
    const Table& table_;
    std::string leader_host_;
    Fd listener_;
    std::vector<Fd> sockets_;
    std::vector<Talk> calls_, answers_;
    int missing_ = 0;
  };

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
