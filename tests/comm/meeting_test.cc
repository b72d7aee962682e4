// How ranks of several machines meet, and who does not get in: strangers, liars, those who stop in
// the middle. Whatever they do, the group's own ranks come together.
#include "runtime/comm/meeting.h"

#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mutex>
#include <poll.h>
#include <sys/socket.h>
#include <thread>

#include "runtime/comm/conversation.h"
#include "runtime/comm/introduction.h"
#include "runtime/comm/sockets.h"
#include "runtime/comm/tcp_endpoint.h"
#include "tests/comm/free_port.h"
#include "tests/comm/numbers.h"
#include "tests/comm/rank_threads.h"

namespace bundle::comm {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;
using Joined = Result<std::unique_ptr<Communicator>>;

/// Connected, or the test fails; it blocks.
Fd call_port(std::uint16_t port) {
  for (int attempt = 0; attempt < 200; ++attempt) {
    auto socket = start_connecting("127.0.0.1", port, "", 0);
    pollfd wanted{socket ? socket->get() : -1, POLLOUT, 0};
    int failure = 1;
    socklen_t size = sizeof(failure);
    if (socket && ::poll(&wanted, 1, 1000) > 0 &&
        ::getsockopt(socket->get(), SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && failure == 0) {
      return std::move(*socket);
    }
    std::this_thread::sleep_for(10ms);
  }
  throw std::runtime_error("nobody listens");
}

/// The next message of a conversation, or how it ended.
Result<std::string> hear(Conversation& conversation) {
  for (;;) {
    auto heard = conversation.advance();
    if (!heard) return heard.error();
    if (*heard) return **heard;
    pollfd wanted{conversation.socket(), conversation.events(), 0};
    if (::poll(&wanted, 1, 10'000) <= 0) return failed("the test waited in vain");
  }
}

/// A group of `ranks` machines, whose leader is a thread.
class MeetingTest : public testing::Test {
 protected:
  GroupPlace place(int rank, int ranks = 2) const {
    return {.rank = rank,
            .ranks = ranks,
            .nodes = ranks,
            .leader_host = "127.0.0.1",
            .leader_port = port_,
            .token = "sesame, sesame",
            .facts = {{"model", "one"}, {"runtime.parallel.tensor", "2"}}};
  }

  TcpOptions options(std::chrono::milliseconds meeting = 20s) {
    return {.patience = 10s, .meeting = meeting, .warn = [this](const std::string& what) {
              const std::lock_guard lock(mutex_);
              warnings_ += what + "\n";
            }};
  }

  std::future<Joined> join(GroupPlace place, std::chrono::milliseconds meeting = 20s) {
    return std::async(std::launch::async, [this, place = std::move(place), meeting] {
      return join_group(place, options(meeting));
    });
  }

  std::string warnings() {
    const std::lock_guard lock(mutex_);
    return warnings_;
  }

  /// The two have met: a sum says so.
  static void expect_group(std::future<Joined>& first, std::future<Joined>& second) {
    Joined one = first.get(), other = second.get();
    ASSERT_TRUE(one) << one.error().message();
    ASSERT_TRUE(other) << other.error().message();
    std::thread thread([&] {
      std::vector<float> values{1, 2};
      EXPECT_TRUE((*other)->all_reduce(values));
      EXPECT_EQ(values, (std::vector<float>{11, 22}));
    });
    std::vector<float> values{10, 20};
    EXPECT_TRUE((*one)->all_reduce(values));
    thread.join();
  }

  const std::uint16_t port_ = free_port();

 private:
  std::mutex mutex_;
  std::string warnings_;
};

TEST_F(MeetingTest, WhoComesFirstWaits) {
  auto second = join(place(1));
  std::this_thread::sleep_for(400ms);
  auto first = join(place(0));
  expect_group(first, second);
}

TEST_F(MeetingTest, SeveralRanksOfEachMachineReachEachOther) {
  for (const auto& [ranks, nodes] : {std::pair(4, 2), std::pair(6, 3), std::pair(4, 1)}) {
    auto all = make_tcp_ranks(ranks, nodes);
    const int count = ranks;
    run_ranks(all, [&](Communicator& comm) {
      auto values = numbers(comm.rank(), 5000);
      check(comm.all_reduce(values));
      EXPECT_EQ(values, sum_in_order(count, 5000));
    });
  }
}

TEST_F(MeetingTest, MachinesHaveAddressesOfTheirOwn) {
  std::vector<std::future<Joined>> all;
  for (int rank = 0; rank < 3; ++rank) {
    GroupPlace own = place(rank, 3);
    if (rank > 0) own.own_host = "127.0.0." + std::to_string(rank + 1);
    all.push_back(join(own));
  }
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (auto& one : all) ranks.push_back(one.get().value());
  run_ranks(ranks, [](Communicator& comm) { check(comm.barrier()); });
}

TEST_F(MeetingTest, WhoDoesNotComeIsNamed) {
  const auto alone = join(place(0), 300ms).get();
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(alone.error().message(), HasSubstr("machine 2 of 2 did not come in time"));
  EXPECT_THAT(alone.error().message(), HasSubstr(std::to_string(port_)));
  const auto orphan = join(place(1), 300ms).get();
  ASSERT_FALSE(orphan);
  EXPECT_EQ(orphan.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(orphan.error().message(), HasSubstr("onnection refused"));
}

TEST_F(MeetingTest, WaitingIsToldAndCanBeStopped) {
  TcpOptions stopping = options();
  std::string stage;
  stopping.progress = [&](std::string_view what, std::uint64_t seconds, std::uint64_t) {
    stage = what;
    return seconds > 0;
  };
  const Joined end = join_group(place(0), stopping);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::kInterrupted);
  EXPECT_EQ(stage, "waiting for machine 2 of 2 at 127.0.0.1:" + std::to_string(port_));
}

// Ranks that do not belong here.

TEST_F(MeetingTest, AnotherFactIsRefusedByNameOnBothSides) {
  auto first = join(place(0));
  GroupPlace other = place(1);
  other.facts[0].second = "another one";
  const Joined refused = join(other).get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  for (const std::string& said : {refused.error().message(), warnings()}) {
    EXPECT_THAT(said, HasSubstr("machine 2 of 2 has another model: another one, where the first "
                                "machine has one"));
  }
  auto second = join(place(1));
  expect_group(first, second);
}

TEST_F(MeetingTest, AMissingFactIsADifference) {
  auto first = join(place(0));
  GroupPlace other = place(1);
  other.facts.pop_back();
  EXPECT_THAT(join(other).get().error().message(),
              HasSubstr("another runtime.parallel.tensor: none"));
  auto second = join(place(1));
  expect_group(first, second);
}

TEST_F(MeetingTest, AnotherSizeIsRefusedByNameOnBothSides) {
  auto first = join(place(0));
  const Joined refused = join(place(1, 3)).get();
  ASSERT_FALSE(refused);
  for (const std::string& said : {refused.error().message(), warnings()}) {
    EXPECT_THAT(said, HasSubstr("a group of 3 machines with 3 ranks asks to join one of 2"));
  }
  auto second = join(place(1));
  expect_group(first, second);
}

TEST_F(MeetingTest, AnotherTokenIsRefusedByNameOnBothSides) {
  auto first = join(place(0));
  GroupPlace liar = place(1);
  liar.token = "sesame, semolina";
  const Joined refused = join(liar).get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBadInput);
  for (const std::string& said : {refused.error().message(), warnings()}) {
    EXPECT_THAT(said, HasSubstr("token"));
    EXPECT_THAT(said, testing::Not(HasSubstr("sesame")));
  }
  auto second = join(place(1));
  expect_group(first, second);
}

TEST_F(MeetingTest, ASeatIsTakenOnce) {
  auto first = join(place(0, 3)), second = join(place(1, 3));
  while (warnings().empty()) {
    const Joined again = join(place(1, 3), 50ms).get();
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::kUnreachable) << "it may try again";
  }
  EXPECT_THAT(warnings(), HasSubstr("rank 1 is here already"));
  auto third = join(place(2, 3));
  for (auto* one : {&first, &second, &third}) EXPECT_TRUE(one->get());
}

TEST_F(MeetingTest, RanksThatDoNotExistAreRefused) {
  EXPECT_EQ(join(place(2)).get().error().code, ErrorCode::kUsage);
  EXPECT_EQ(join(place(-1)).get().error().code, ErrorCode::kUsage);
  EXPECT_EQ(join_group({.rank = 0, .ranks = 3, .nodes = 2}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(join_group({.rank = 0, .ranks = kMostRanks + 1}).error().code, ErrorCode::kUsage);
}

// Strangers.

class StrangersTest : public MeetingTest {
 protected:
  std::future<Joined> first_ = join(place(0));

  void send(const Fd& socket, std::string_view bytes) const {
    EXPECT_EQ(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void expect_that_the_group_meets() {
    auto second = join(place(1));
    expect_group(first_, second);
  }
  /// One who has the token.
  Conversation member(const std::string& token = "sesame, sesame") const {
    return {call_port(port_), Conversation::Side::kCaller, token};
  }
};

TEST_F(StrangersTest, GarbageIsTurnedAway) {
  std::vector<Fd> sockets;
  for (const std::string& garbage :
       {std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), std::string(4096, '\xff'),
        std::string(100'000, '\0'), std::string("BNDLGRUP")}) {
    sockets.push_back(call_port(port_));
    (void)::send(sockets.back().get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
  }
  expect_that_the_group_meets();
  EXPECT_THAT(warnings(), HasSubstr("what answers is no rank of a group"));
}

TEST_F(StrangersTest, AnotherVersionIsTurnedAwayByName) {
  const Fd socket = call_port(port_);
  std::string greeting(48, 'n');
  greeting.replace(0, 16, std::string("BNDLGRUP\x07\0\0\0\0\0\0\0", 16));
  send(socket, greeting);
  expect_that_the_group_meets();
  EXPECT_THAT(warnings(), HasSubstr("the other side has version 7 of groups, this one 1"));
}

TEST_F(StrangersTest, AGreetingThatBreaksOffKeepsNobody) {
  for (const std::size_t length : {0u, 1u, 8u, 47u}) {
    const Fd socket = call_port(port_);
    send(socket, std::string("BNDLGRUP\1\0\0\0\0\0\0\0").substr(0, length));
  }
  expect_that_the_group_meets();
}

TEST_F(StrangersTest, LengthsAreNotBelieved) {
  std::vector<Fd> sockets;
  for (const std::uint32_t kind : {1u, 2u, 77u}) {
    for (const std::uint32_t bytes : {0xffffffffu, 0x7fffffffu, 20'000u}) {
      sockets.push_back(call_port(port_));
      std::string greeting(48, 'n');
      greeting.replace(0, 16, std::string("BNDLGRUP\1\0\0\0\0\0\0\0", 16));
      std::string head(48, '\0');
      std::memcpy(head.data(), &kind, 4);
      std::memcpy(head.data() + 4, &bytes, 4);
      send(sockets.back(), greeting + head);
    }
  }
  expect_that_the_group_meets();
}

/// More silent ones than may wait, before and while the others come.
TEST_F(StrangersTest, ThoseWhoSayNothingKeepNobodyWaiting) {
  const auto start = Clock::now();
  std::vector<Fd> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(call_port(port_));
  expect_that_the_group_meets();
  EXPECT_LT(Clock::now() - start, 4s);
}

TEST_F(StrangersTest, OneWhoDribblesIsClosedInTime) {
  const Fd socket = call_port(port_);
  const auto start = Clock::now();
  char answer[128];
  while (Clock::now() - start < 12s) {
    (void)::send(socket.get(), "B", 1, MSG_NOSIGNAL);
    std::this_thread::sleep_for(200ms);
    const ssize_t n = ::recv(socket.get(), answer, sizeof(answer), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) break;
  }
  EXPECT_LT(Clock::now() - start, 9s);
  expect_that_the_group_meets();
}

TEST_F(StrangersTest, MembersThatTalkNonsenseAreTurnedAway) {
  for (const char* nonsense :
       {"", "{", "[]", "{\"rank\":1}", "{\"rank\":1e99}",
        "{\"rank\":1,\"ranks\":2,\"nodes\":2,\"port\":70000,\"facts\":{}}",
        "{\"rank\":1,\"ranks\":2,\"nodes\":0,\"port\":0,\"facts\":{}}",
        "{\"rank\":1,\"ranks\":2,\"nodes\":2,\"port\":0,\"facts\":{\"a\":1}}"}) {
    Conversation stranger = member();
    stranger.say(std::string(nonsense) + " ");
    const auto end = hear(stranger);
    ASSERT_FALSE(end) << nonsense;
    EXPECT_EQ(end.error().code, ErrorCode::kBadInput) << end.error().message();
  }
  expect_that_the_group_meets();
}

TEST_F(StrangersTest, OneWhoLeavesRightAfterItsGreetingKeepsNobody) {
  { Conversation greeted = member(); }
  expect_that_the_group_meets();
}

/// A rank that dies at each step of the meeting.
class SeatTest : public MeetingTest {};

TEST_F(SeatTest, ARankThatLeavesBeforeAllHaveComeIsReplaced) {
  auto first = join(place(0, 3));
  {
    Conversation early(call_port(port_), Conversation::Side::kCaller, "sesame, sesame");
    early.say(encode(Introduction{place(1, 3), 1, false}));
    EXPECT_EQ(hear(early).value(), "welcome");
  }
  while (warnings().empty()) std::this_thread::sleep_for(10ms);
  EXPECT_THAT(warnings(), HasSubstr("machine 2 of 3 left again"));
  auto second = join(place(1, 3)), third = join(place(2, 3));
  for (auto* one : {&first, &second, &third}) EXPECT_TRUE(one->get());
}

TEST_F(SeatTest, ARankThatDiesWithTheTableInItsHandsEndsTheMeeting) {
  auto first = join(place(0, 3)), third = join(place(2, 3));
  {
    Conversation second(call_port(port_), Conversation::Side::kCaller, "sesame, sesame");
    second.say(encode(Introduction{place(1, 3), free_port(), false}));
    EXPECT_EQ(hear(second).value(), "welcome");
    EXPECT_TRUE(decode_table(hear(second).value(), 3));
  }
  const Joined end = third.get();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(end.error().message(), HasSubstr("rank 1 is not reached"));
  const Joined leader = first.get();
  ASSERT_TRUE(leader);
  EXPECT_THAT((*leader)->barrier().error().message(), HasSubstr("is gone"));
}

TEST_F(SeatTest, ACallOfAnotherMeetingIsTurnedAway) {
  auto first = join(place(0, 3)), second = join(place(1, 3));
  Conversation third(call_port(port_), Conversation::Side::kCaller, "sesame, sesame");
  third.say(encode(Introduction{place(2, 3), 0, false}));
  EXPECT_EQ(hear(third).value(), "welcome");
  const Table table = decode_table(hear(third).value(), 3).value();
  const auto call = [&](const Call& said) {
    Conversation to_second(call_port(table.peers[1].port), Conversation::Side::kCaller,
                           "sesame, sesame");
    to_second.say(encode(said));
    return hear(to_second);
  };
  EXPECT_FALSE(call({"another", 2}));
  EXPECT_FALSE(call({table.meeting, 0}));
  EXPECT_FALSE(call({table.meeting, 1}));
  EXPECT_EQ(call({table.meeting, 2}).value(), "rank 1");
  EXPECT_TRUE(second.get());
  EXPECT_TRUE(first.get());
}

// False leaders.

class FalseLeaderTest : public MeetingTest {
 protected:
  const Fd listener_ = listen_on("127.0.0.1", port_).value();

  Fd accept_soon() const {
    pollfd wanted{listener_.get(), POLLIN, 0};
    ::poll(&wanted, 1, 10'000);
    return accept_one(listener_);
  }
};

TEST_F(FalseLeaderTest, OneWithoutTheTokenIsNotFollowed) {
  auto second = join(place(1));
  Conversation impostor(accept_soon(), Conversation::Side::kAnswerer, "open barley");
  EXPECT_THAT(hear(impostor).error().message(), HasSubstr("token"));
  impostor.say("welcome");
  const Joined end = second.get();
  ASSERT_FALSE(end);
  EXPECT_THAT(end.error().message(), HasSubstr("token"));
}

TEST_F(FalseLeaderTest, AMirrorIsNotFollowed) {
  auto second = join(place(1));
  const Fd socket = accept_soon();
  std::thread mirror([&] {
    char bytes[4096];
    pollfd wanted{socket.get(), POLLIN, 0};
    while (::poll(&wanted, 1, 10'000) > 0) {
      const ssize_t n = ::recv(socket.get(), bytes, sizeof(bytes), 0);
      if (n <= 0) break;
      (void)::send(socket.get(), bytes, static_cast<std::size_t>(n), MSG_NOSIGNAL);
    }
  });
  const Joined end = second.get();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::kBadInput);
  mirror.join();
}

TEST_F(FalseLeaderTest, AnotherProgramIsNamed) {
  auto second = join(place(1));
  const Fd socket = accept_soon();
  const std::string banner(100, 'S');
  (void)::send(socket.get(), banner.data(), banner.size(), MSG_NOSIGNAL);
  EXPECT_THAT(second.get().error().message(), HasSubstr("no rank of a group"));
}

TEST_F(FalseLeaderTest, ATableThatDoesNotFitIsRefused) {
  auto second = join(place(1));
  Conversation leader(accept_soon(), Conversation::Side::kAnswerer, "sesame, sesame");
  EXPECT_TRUE(hear(leader));
  leader.say("welcome");
  leader.say(encode(Table{"m", {PeerAddress{}}}));
  EXPECT_THAT(second.get().error().message(), HasSubstr("an address for each rank"));
}

TEST_F(FalseLeaderTest, ALeaderThatStartsAgainIsFoundAgain) {
  auto second = join(place(1));
  {
    Conversation leader(accept_soon(), Conversation::Side::kAnswerer, "sesame, sesame");
    EXPECT_TRUE(hear(leader));
    leader.say("welcome");
  }
  Conversation leader(accept_soon(), Conversation::Side::kAnswerer, "sesame, sesame");
  EXPECT_TRUE(hear(leader));
  leader.say("welcome");
  leader.say(encode(Table{"m", {PeerAddress{}, PeerAddress{}}}));
  EXPECT_TRUE(second.get());
}

// What a conversation itself holds to.

TEST(Conversations, AMessageCannotBeRepeated) {
  const std::uint16_t port = free_port();
  const Fd listener = listen_on("127.0.0.1", port).value();
  Fd caller_socket = call_port(port);
  Fd answer_socket = accept_one(listener);
  const int wire = answer_socket.get();
  Conversation caller(std::move(caller_socket), Conversation::Side::kCaller, "k");
  // What the caller says is seen on the wire first, and then given twice.
  std::string seen(48, '\0');
  ASSERT_TRUE(caller.advance());
  ASSERT_EQ(::recv(wire, seen.data(), seen.size(), MSG_PEEK), 48);
  Conversation answerer(std::move(answer_socket), Conversation::Side::kAnswerer, "k");
  ASSERT_TRUE(answerer.advance());
  caller.say("once");
  ASSERT_TRUE(caller.advance());
  std::string message(48 + 4, '\0');
  ASSERT_EQ(::recv(wire, message.data(), message.size(), MSG_PEEK), 52);
  EXPECT_EQ(hear(answerer).value(), "once");
  Fd again = caller.take_socket();
  ASSERT_EQ(::send(again.get(), message.data(), message.size(), 0), 52);
  EXPECT_THAT(hear(answerer).error().message(), HasSubstr("token"));
}

// Once they have met: frames that are none.

/// Rank 0 of two, whose other end is the test's.
class RawPeerTest : public testing::Test {
 protected:
  RawPeerTest() {
    const std::uint16_t port = free_port();
    const Fd listener = listen_on("127.0.0.1", port).value();
    peer_ = call_port(port);
    std::vector<Fd> sockets(2);
    sockets[1] = accept_one(listener);
    rank_ = std::make_unique<TcpEndpoint>(std::move(sockets), 0, 1, 2000ms);
  }

  void send(std::string_view bytes) const {
    (void)::send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  static std::string frame(std::uint32_t kind, std::uint32_t bytes, std::string_view body) {
    const FrameHead head{kind, bytes};
    return std::string(reinterpret_cast<const char*>(&head), sizeof(head)) + std::string(body);
  }
  Status receive(std::size_t count) {
    std::vector<std::byte> bytes(count);
    Incoming in{1, bytes};
    return rank_->exchange(Purpose::kMessage, {}, {&in, 1});
  }

  Fd peer_;
  std::unique_ptr<TcpEndpoint> rank_;
};

class BadFrames : public RawPeerTest, public testing::WithParamInterface<int> {};

TEST_P(BadFrames, EndTheCall) {
  const std::string bad[] = {std::string(64, '\xff'),   frame(1, 0, "abcdefgh"),
                             frame(1, 0x7fffffff, "a"), frame(2, 3, "abc"),
                             frame(2, 5000, "abc"),     frame(9, 4, "abcd")};
  send(bad[GetParam()]);
  const Status end = receive(4);
  ASSERT_FALSE(end);
  EXPECT_THAT(end.error().message(), HasSubstr("rank 1 sent what is no message"));
  EXPECT_FALSE(receive(4)) << "a group that has failed stays so";
}
INSTANTIATE_TEST_SUITE_P(All, BadFrames, testing::Range(0, 6));

TEST_F(RawPeerTest, AFrameThatBreaksOffIsAnEnd) {
  send(frame(1, 100, "only so much"));
  ::shutdown(peer_.get(), SHUT_WR);
  EXPECT_THAT(receive(84).error().message(), HasSubstr("rank 1"));
}

TEST_F(RawPeerTest, AFrameThatStopsIsWaitedForNoLongerThanPatience) {
  send(frame(1, 100, "only so much"));
  const auto start = Clock::now();
  EXPECT_THAT(receive(84).error().message(), HasSubstr("rank 1 did not answer for 2000 ms"));
  EXPECT_LT(Clock::now() - start, 5s);
}

TEST_F(RawPeerTest, AnotherCallIsTold) {
  const TransferHead head{Purpose::kSum, 0, 4};
  send(frame(1, sizeof(head), {reinterpret_cast<const char*>(&head), sizeof(head)}));
  EXPECT_THAT(receive(4).error().message(),
              HasSubstr("ranks disagree: rank 1 sent 4 bytes of a sum where rank 0 expects 4 of a "
                        "message"));
}

TEST_F(RawPeerTest, APeerThatTakesNothingIsWaitedForNoLongerThanPatience) {
  std::vector<std::byte> much(64 << 20);
  Outgoing out{1, much};
  EXPECT_THAT(rank_->exchange(Purpose::kMessage, {&out, 1}, {}).error().message(),
              HasSubstr("rank 1 did not answer"));
}

}  // namespace
}  // namespace bundle::comm
