#include "runtime/comm/tcp_endpoint.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <utility>

namespace bundle::comm {
namespace {

constexpr std::size_t kHeadBytes = sizeof(FrameHead);
/// One piece of what comes in.
constexpr std::size_t kScratchBytes = 64u << 10;
/// A reason to give up: its code and a text of so many bytes.
constexpr std::size_t kAbortText = 1000;
constexpr std::size_t kAbortBytes = sizeof(std::int32_t) + kAbortText;
/// Looks at the sockets before going to sleep on them: another machine answers in tens of
/// microseconds, about what the kernel takes to wake a sleeper.
constexpr int kSpins = 60;
/// For the last words to reach the kernel.
constexpr auto kFarewell = std::chrono::milliseconds(500);
constexpr int kMostDiscards = 256;

int usable_cores() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

std::string encode_abort(const Error& error, const std::string& text) {
  const auto code = static_cast<std::int32_t>(error.code);
  std::string body(reinterpret_cast<const char*>(&code), sizeof(code));
  return body + text.substr(0, kAbortText);
}

Error decode_abort(const std::string& body) {
  std::int32_t code = 0;
  std::memcpy(&code, body.data(), sizeof(code));
  Error error{ErrorCode::kFailed, body.substr(sizeof(code))};
  if (code >= 1 && code <= 5) error.code = static_cast<ErrorCode>(code);
  return error;
}

bool would_wait() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

TcpEndpoint::TcpEndpoint(std::vector<Fd> sockets, std::size_t rank, int neighbours,
                         std::chrono::milliseconds patience)
    : Endpoint(sockets.size(), rank, patience), scratch_(kScratchBytes) {
  for (Fd& socket : sockets) links_.emplace_back().socket = std::move(socket);
  if (usable_cores() >= neighbours) spins_ = kSpins;
}

TcpEndpoint::~TcpEndpoint() { bid_farewell(); }

void TcpEndpoint::put_frame(Link& link, FrameHead::Kind kind, Bytes body) {
  const FrameHead head{kind, static_cast<std::uint32_t>(body.size())};
  const Bytes bytes = std::as_bytes(std::span(&head, 1));
  link.out.insert(link.out.end(), bytes.begin(), bytes.end());
  link.out.insert(link.out.end(), body.begin(), body.end());
}

Result<std::size_t> TcpEndpoint::write(std::size_t to, Bytes bytes) {
  Link& link = links_[to];
  if (link.ended) return std::size_t{0};
  if (link.out.size() >= kLinkBytes) send_out(link);
  const std::size_t room = kLinkBytes - std::min(kLinkBytes, link.out.size());
  const std::size_t count = std::min(bytes.size(), room);
  if (count > 0) put_frame(link, FrameHead::kData, bytes.first(count));
  return count;
}

Result<bool> TcpEndpoint::hand_over(std::size_t to) {
  Link& link = links_[to];
  if (!link.out.empty()) send_out(link);
  return link.out.empty() && !link.ended;
}

/// Gives the kernel what it takes. Where the other end is closed, what it said last is heard.
void TcpEndpoint::send_out(Link& link) {
  while (link.handed < link.out.size() && !link.ended) {
    const Bytes left = Bytes(link.out).subspan(link.handed);
    const ssize_t n = ::send(link.socket.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      link.handed += static_cast<std::size_t>(n);
    } else if (would_wait()) {
      break;
    } else {
      take_in(link);
      link.ended = true;
    }
  }
  if (!link.ended && link.handed < link.out.size() && link.handed < kLinkBytes / 2) return;
  link.out.erase(link.out.begin(), link.out.begin() + static_cast<std::ptrdiff_t>(link.handed));
  link.handed = 0;
  if (link.ended) link.out.clear();
}

Result<std::size_t> TcpEndpoint::read(std::size_t from, std::span<std::byte> bytes) {
  Link& link = links_[from];
  if (bytes.empty()) return std::size_t{0};
  if (link.in.empty()) take_in(link);
  if (link.spoilt && link.in.empty()) {
    return failed(name_of(from) + " sent what is no message between ranks");
  }
  const std::size_t count = std::min(bytes.size(), link.in.size() - link.taken);
  if (count == 0) return count;
  std::memcpy(bytes.data(), link.in.data() + link.taken, count);
  link.taken += count;
  if (link.taken == link.in.size()) {
    link.in.clear();
    link.taken = 0;
  }
  return count;
}

bool TcpEndpoint::has_come(std::size_t from) {
  Link& link = links_[from];
  if (link.in.empty()) take_in(link);
  return !link.in.empty();
}

/// Takes what the kernel holds, as far as there is room.
void TcpEndpoint::take_in(Link& link) {
  while (!link.ended && link.socket && link.in.size() < kLinkBytes) {
    const ssize_t n = ::recv(link.socket.get(), scratch_.data(), scratch_.size(), 0);
    if (n < 0 && would_wait()) return;
    const auto got = static_cast<std::size_t>(std::max<ssize_t>(n, 0));
    if (n <= 0 || !unpack(link, Bytes(scratch_).first(got))) link.ended = true;
    if (got < scratch_.size()) return;
  }
}

/// False when that is no frame.
bool TcpEndpoint::unpack(Link& link, Bytes bytes) {
  while (!bytes.empty()) {
    bytes = bytes.subspan(unpack_head(link, bytes));
    if (link.spoilt) return false;
    const Bytes part = bytes.first(std::min(bytes.size(), link.left));
    bytes = bytes.subspan(part.size());
    link.left -= part.size();
    if (link.frame.kind == FrameHead::kData) {
      link.in.insert(link.in.end(), part.begin(), part.end());
    } else {
      link.abort += as_text(part);
    }
    if (link.left > 0 || link.head_got < kHeadBytes) continue;
    link.head_got = 0;
    if (link.frame.kind == FrameHead::kAbort) heard_abort(std::exchange(link.abort, {}));
  }
  return true;
}

/// How many bytes belonged to a head.
std::size_t TcpEndpoint::unpack_head(Link& link, Bytes bytes) {
  if (link.head_got == kHeadBytes) return 0;
  const std::size_t count = std::min(bytes.size(), kHeadBytes - link.head_got);
  std::memcpy(reinterpret_cast<std::byte*>(&link.frame) + link.head_got, bytes.data(), count);
  link.head_got += count;
  if (link.head_got < kHeadBytes) return count;
  const FrameHead& head = link.frame;
  const bool data = head.kind == FrameHead::kData && head.bytes >= 1 && head.bytes <= kLinkBytes;
  const bool abort = head.kind == FrameHead::kAbort && head.bytes >= sizeof(std::int32_t) &&
                     head.bytes <= kAbortBytes;
  link.spoilt = !data && !abort;
  link.left = head.bytes;
  return count;
}

/// The first reason counts, and is passed on: where one rank cannot reach all, others can.
void TcpEndpoint::heard_abort(const std::string& body) {
  if (!told_) told_ = decode_abort(body);
  tell_all(body);
}

void TcpEndpoint::tell(const Error& why) {
  tell_all(encode_abort(why, name_of(own()) + ": " + why.message()));
}

void TcpEndpoint::tell_all(const std::string& body) {
  if (std::exchange(has_told_, true)) return;
  for (Link& link : links_) {
    if (!link.socket || link.ended) continue;
    put_frame(link, FrameHead::kAbort, as_bytes(body));
    send_out(link);
  }
}

/// Waits until a socket can be read that there is room for, or written that something waits for;
/// takes and gives. How many sockets that were.
int TcpEndpoint::poll_links(std::chrono::milliseconds limit) {
  std::vector<pollfd> wanted;
  for (const Link& link : links_) {
    const bool room = link.in.size() < kLinkBytes;
    const short reads = room ? POLLIN : 0, writes = link.out.empty() ? 0 : POLLOUT;
    const bool idle = !link.socket || link.ended || reads + writes == 0;
    wanted.push_back({idle ? -1 : link.socket.get(), static_cast<short>(reads | writes), 0});
  }
  const int ready = ::poll(wanted.data(), wanted.size(), static_cast<int>(limit.count()));
  for (std::size_t i = 0; ready > 0 && i < links_.size(); ++i) {
    if (wanted[i].revents == 0) continue;
    take_in(links_[i]);
    if (!links_[i].out.empty()) send_out(links_[i]);
  }
  return ready;
}

void TcpEndpoint::nap(std::uint32_t) {
  for (int i = 0; i < spins_; ++i) {
    if (poll_links(std::chrono::milliseconds(0)) > 0) return;
  }
  poll_links(kNap);
}

/// What is not with the kernel yet is handed over, then every connection is closed in order: a
/// socket that is closed with bytes unread would take back what it sent last.
void TcpEndpoint::bid_farewell() {
  const auto end = std::chrono::steady_clock::now() + kFarewell;
  const auto waits = [](const Link& link) { return !link.out.empty() && !link.ended; };
  while (std::any_of(links_.begin(), links_.end(), waits)) {
    if (std::chrono::steady_clock::now() >= end || poll_links(kNap) < 0) break;
  }
  for (Link& link : links_) {
    if (!link.socket) continue;
    ::shutdown(link.socket.get(), SHUT_WR);
    for (int i = 0; i < kMostDiscards; ++i) {
      if (::recv(link.socket.get(), scratch_.data(), scratch_.size(), 0) <= 0) break;
    }
  }
}

}  // namespace bundle::comm
