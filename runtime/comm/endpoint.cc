#include "runtime/comm/endpoint.h"

#include "runtime/comm/lost.h"

namespace bundle::comm {
namespace {

constexpr std::size_t kHeadBytes = sizeof(TransferHead);

const char* word(Purpose purpose) {
  switch (purpose) {
    case Purpose::kSum:
      return "a sum";
    case Purpose::kGather:
      return "a gathering";
    case Purpose::kExchange:
      return "an exchange";
    case Purpose::kBroadcast:
      return "a broadcast";
    case Purpose::kMessage:
      return "a message";
    case Purpose::kBarrier:
      return "a barrier";
  }
  return "something unknown";
}

}  // namespace

std::string name_of(std::size_t rank) { return "rank " + std::to_string(rank); }

/// True when something went out.
Result<bool> Endpoint::push(Purpose purpose, Outgoing& transfer) {
  const auto to = static_cast<std::size_t>(transfer.to);
  const std::size_t before = transfer.sent;
  if (transfer.sent < kHeadBytes) {
    const TransferHead head{purpose, 0, transfer.bytes.size()};
    BUNDLE_TRY(const std::size_t n,
               write(to, std::as_bytes(std::span(&head, 1)).subspan(transfer.sent)));
    transfer.sent += n;
  }
  if (transfer.sent >= kHeadBytes) {
    BUNDLE_TRY(const std::size_t n, write(to, transfer.bytes.subspan(transfer.sent - kHeadBytes)));
    transfer.sent += n;
  }
  return transfer.sent > before;
}

/// True when something came in.
Result<bool> Endpoint::pull(Purpose purpose, Incoming& transfer) {
  const auto from = static_cast<std::size_t>(transfer.from);
  const std::size_t before = transfer.received;
  if (transfer.received < kHeadBytes) {
    const auto head = std::as_writable_bytes(std::span(&transfer.head, 1));
    BUNDLE_TRY(const std::size_t n, read(from, head.subspan(transfer.received)));
    transfer.received += n;
    if (transfer.received == kHeadBytes) BUNDLE_CHECK(check_head(purpose, transfer));
  }
  if (transfer.received >= kHeadBytes) {
    BUNDLE_TRY(const std::size_t n,
               read(from, transfer.bytes.subspan(transfer.received - kHeadBytes)));
    transfer.received += n;
  }
  return transfer.received > before;
}

Status Endpoint::check_head(Purpose purpose, const Incoming& transfer) const {
  const TransferHead& head = transfer.head;
  if (head.purpose == purpose && head.bytes == transfer.bytes.size()) return {};
  return failed("ranks disagree: " + name_of(static_cast<std::size_t>(transfer.from)) + " sent " +
                std::to_string(head.bytes) + " bytes of " + word(head.purpose) + " where " +
                name_of(rank_) + " expects " + std::to_string(transfer.bytes.size()) + " of " +
                word(purpose));
}

/// Moves what can be moved without waiting. What a rank sent before it went is still taken.
Result<Endpoint::Round> Endpoint::move(Purpose purpose, std::span<Outgoing> out,
                                       std::span<Incoming> in) {
  Round round;
  for (Outgoing& transfer : out) {
    const auto to = static_cast<std::size_t>(transfer.to);
    BUNDLE_TRY(const bool any, push(purpose, transfer));
    round.moved |= any;
    BUNDLE_TRY(const bool handed, hand_over(to));
    if (handed && transfer.sent == kHeadBytes + transfer.bytes.size()) continue;
    round.waits_for = to;
    if (!any && gone(to)) round.missing = to;
  }
  for (Incoming& transfer : in) {
    const auto from = static_cast<std::size_t>(transfer.from);
    BUNDLE_TRY(const bool any, pull(purpose, transfer));
    round.moved |= any;
    if (transfer.received == kHeadBytes + transfer.bytes.size()) continue;
    round.waits_for = from;
    if (!any && gone(from) && !has_come(from)) round.missing = from;
  }
  return round;
}

Status Endpoint::exchange(Purpose purpose, std::span<Outgoing> out, std::span<Incoming> in) {
  BUNDLE_CHECK(check_abort());
  auto last_move = Clock::now();
  for (;;) {
    const std::uint32_t seen = look();
    const auto round = move(purpose, out, in);
    if (!round) return fail(round.error());
    if (!round->waits_for) return {};
    if (round->moved) {
      last_move = Clock::now();
      continue;
    }
    BUNDLE_CHECK(check_abort());
    if (round->missing) return fail(lost(name_of(*round->missing) + " is gone"));
    if (Clock::now() - last_move > patience_) {
      return fail(lost(name_of(*round->waits_for) + " did not answer for " +
                       std::to_string(patience_.count()) + " ms"));
    }
    nap(seen);
  }
}

Status Endpoint::await(int from) {
  const auto other = static_cast<std::size_t>(from);
  for (;;) {
    const std::uint32_t seen = look();
    BUNDLE_CHECK(check_abort());
    const bool left = gone(other);
    if (has_come(other)) return {};
    if (left) return fail(lost(name_of(other) + " is gone"));
    nap(seen);
  }
}

void Endpoint::abort(const Error& why) {
  tell(why);
  if (!failure_) failure_ = why;
}

Status Endpoint::check_abort() {
  if (!failure_) failure_ = told();
  if (failure_) return *failure_;
  return {};
}

/// Remembers the error, and ends the other ranks too.
Status Endpoint::fail(Error error) {
  abort(error);
  return *failure_;
}

Status Endpoint::health() {
  for (std::size_t other = 0; other < ranks_ && !failure_; ++other) {
    if (other == rank_ || has_come(other) || !gone(other) || has_come(other)) continue;
    BUNDLE_CHECK(check_abort());
    return fail(lost(name_of(other) + " is gone"));
  }
  return check_abort();
}

}  // namespace bundle::comm
