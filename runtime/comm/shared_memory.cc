#include "runtime/comm/shared_memory.h"

#include <algorithm>
#include <bit>
#include <new>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include "runtime/comm/endpoint.h"

namespace bundle::comm {
namespace {

/// A sum is taken in pieces of so many elements, which bounds the memory beside it.
constexpr std::size_t kSumElements = 256u << 10;
/// Up to so many bytes every rank adds everything up by itself: one way instead of two.
constexpr std::size_t kOneWayBytes = 16u << 10;

class SharedCommunicator final : public Communicator {
 public:
  SharedCommunicator(std::shared_ptr<Endpoint> endpoint, std::vector<int> members)
      : endpoint_(std::move(endpoint)), members_(std::move(members)) {
    const auto self = std::find(members_.begin(), members_.end(), endpoint_->rank());
    rank_ = static_cast<int>(self - members_.begin());
  }

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }

  Status all_reduce(std::span<float> values) override;
  Status all_gather(Bytes part, std::span<std::byte> all) override;
  Status all_to_all(std::span<const Bytes> parts,
                    std::span<const std::span<std::byte>> received) override;
  Status broadcast(std::span<std::byte> bytes, int root) override;
  Status send(Bytes bytes, int to) override;
  Status receive(std::span<std::byte> bytes, int from) override;
  Status barrier() override;
  Status await(int from) override { return endpoint_->await(member(from)); }

  std::unique_ptr<Communicator> subgroup(std::span<const int> ranks) override {
    std::vector<int> members;
    for (const int rank : ranks) members.push_back(member(rank));
    return std::make_unique<SharedCommunicator>(endpoint_, std::move(members));
  }

  void abort(const Error& why) override { endpoint_->abort(why); }
  Status health() const override { return endpoint_->health(); }
  Status check_ranks() override { return endpoint_->check_ranks(); }

 private:
  int member(int rank) const { return members_[static_cast<std::size_t>(rank)]; }
  Status swap(Purpose purpose, std::span<const Bytes> parts,
              std::span<const std::span<std::byte>> received);
  Status sum_one_way(std::span<float> values);
  Status sum_by_owner(std::span<float> values);
  void add_up(std::span<const std::span<const float>> parts, std::span<float> out) const;

  std::shared_ptr<Endpoint> endpoint_;
  std::vector<int> members_;  // by number in this group: ranks of the whole memory
  int rank_ = 0;
  std::vector<float> others_;  // what the other ranks sent for a sum
  std::vector<float> total_;
};

std::span<std::byte> bytes_of(std::span<float> values) { return std::as_writable_bytes(values); }

/// Rank r's share of `count` elements: equal but for one.
std::pair<std::size_t, std::size_t> share(std::size_t count, std::size_t ranks, std::size_t r) {
  return {count * r / ranks, count * (r + 1) / ranks - count * r / ranks};
}

/// Every part but this rank's own travels; the own is copied.
Status SharedCommunicator::swap(Purpose purpose, std::span<const Bytes> parts,
                                std::span<const std::span<std::byte>> received) {
  std::vector<Outgoing> out;
  std::vector<Incoming> in;
  for (int r = 0; r < size(); ++r) {
    const auto i = static_cast<std::size_t>(r);
    if (r != rank_) {
      out.push_back({member(r), parts[i]});
      in.push_back({member(r), received[i]});
    } else if (!parts[i].empty() && parts[i].data() != received[i].data()) {
      std::memmove(received[i].data(), parts[i].data(), parts[i].size());
    }
  }
  return endpoint_->exchange(purpose, out, in);
}

/// out = parts[0] + parts[1] + …, in that order. `out` may be the last part.
void SharedCommunicator::add_up(std::span<const std::span<const float>> parts,
                                std::span<float> out) const {
  for (std::size_t i = 0; i < out.size(); ++i) {
    float sum = parts[0][i];
    for (std::size_t r = 1; r < parts.size(); ++r) sum += parts[r][i];
    out[i] = sum;
  }
}

Status SharedCommunicator::sum_one_way(std::span<float> values) {
  const auto ranks = static_cast<std::size_t>(size());
  const std::size_t count = values.size();
  others_.resize(ranks * count);
  std::vector<Bytes> out(ranks, bytes_of(values));
  std::vector<std::span<std::byte>> in;
  std::vector<std::span<const float>> parts;
  for (std::size_t r = 0; r < ranks; ++r) {
    const auto place = std::span(others_).subspan(r * count, count);
    in.push_back(bytes_of(place));
    parts.push_back(place);
  }
  BUNDLE_CHECK(swap(Purpose::kSum, out, in));
  add_up(parts, values);
  return {};
}

/// Each rank adds up its share of the elements for all, and hands the sums round.
Status SharedCommunicator::sum_by_owner(std::span<float> values) {
  const auto ranks = static_cast<std::size_t>(size());
  const auto [own_first, own_count] = share(values.size(), ranks, static_cast<std::size_t>(rank_));
  others_.resize(ranks * own_count);
  total_.resize(own_count);
  std::vector<Bytes> out, sums(ranks, bytes_of(total_));
  std::vector<std::span<std::byte>> in, all;
  std::vector<std::span<const float>> parts;
  for (std::size_t r = 0; r < ranks; ++r) {
    const auto [first, count] = share(values.size(), ranks, r);
    const auto place = std::span(others_).subspan(r * own_count, own_count);
    out.push_back(bytes_of(values.subspan(first, count)));
    all.push_back(bytes_of(values.subspan(first, count)));
    in.push_back(bytes_of(place));
    parts.push_back(place);
  }
  BUNDLE_CHECK(swap(Purpose::kSum, out, in));
  add_up(parts, total_);
  return swap(Purpose::kSum, sums, all);
}

Status SharedCommunicator::all_reduce(std::span<float> values) {
  if (size() == 1) return endpoint_->health();
  while (!values.empty()) {
    const auto piece = values.first(std::min(values.size(), kSumElements));
    const bool short_way = size() == 2 || piece.size_bytes() <= kOneWayBytes;
    BUNDLE_CHECK(short_way ? sum_one_way(piece) : sum_by_owner(piece));
    values = values.subspan(piece.size());
  }
  return {};
}

Status SharedCommunicator::all_gather(Bytes part, std::span<std::byte> all) {
  const std::vector<Bytes> parts(members_.size(), part);
  std::vector<std::span<std::byte>> received;
  for (std::size_t r = 0; r < members_.size(); ++r) {
    received.push_back(all.subspan(r * part.size(), part.size()));
  }
  return swap(Purpose::kGather, parts, received);
}

Status SharedCommunicator::all_to_all(std::span<const Bytes> parts,
                                      std::span<const std::span<std::byte>> received) {
  return swap(Purpose::kExchange, parts, received);
}

Status SharedCommunicator::broadcast(std::span<std::byte> bytes, int root) {
  std::vector<Outgoing> out;
  std::vector<Incoming> in;
  if (rank_ != root) in.push_back({member(root), bytes});
  for (int r = 0; rank_ == root && r < size(); ++r) {
    if (r != root) out.push_back({member(r), bytes});
  }
  return endpoint_->exchange(Purpose::kBroadcast, out, in);
}

Status SharedCommunicator::send(Bytes bytes, int to) {
  Outgoing out{member(to), bytes};
  return endpoint_->exchange(Purpose::kMessage, {&out, 1}, {});
}

Status SharedCommunicator::receive(std::span<std::byte> bytes, int from) {
  Incoming in{member(from), bytes};
  return endpoint_->exchange(Purpose::kMessage, {}, {&in, 1});
}

Status SharedCommunicator::barrier() {
  const std::vector<Bytes> parts(members_.size());
  const std::vector<std::span<std::byte>> received(members_.size());
  return swap(Purpose::kBarrier, parts, received);
}

}  // namespace

Result<Fd> make_shared_memory(int ranks, std::size_t ring_bytes) {
  if (ranks < 1 || ranks > kMostRanks) {
    return Error{ErrorCode::kUsage, "there may be 1 to " + std::to_string(kMostRanks) +
                                        " ranks, not " + std::to_string(ranks)};
  }
  if (!std::has_single_bit(ring_bytes) || ring_bytes < 64 || ring_bytes > (64u << 20)) {
    return Error{ErrorCode::kUsage, "a ring between ranks has a power of two of bytes, 64 or more"};
  }
  const SharedLayout layout{static_cast<std::size_t>(ranks), ring_bytes};
  Fd memory(::memfd_create("bundle-ranks", MFD_CLOEXEC));
  if (!memory) return system_error("cannot make memory for ranks");
  if (::ftruncate(memory.get(), static_cast<off_t>(layout.bytes())) != 0) {
    return system_error("cannot make memory for ranks");
  }
  // Everything else begins as zeros, which is how the atomics begin.
  SharedHead head;
  head.ranks = layout.ranks;
  head.ring_bytes = layout.ring_bytes;
  if (::pwrite(memory.get(), &head, sizeof(head), 0) != static_cast<ssize_t>(sizeof(head))) {
    return system_error("cannot write the memory for ranks");
  }
  return memory;
}

Result<std::unique_ptr<Communicator>> join_shared_memory(const Fd& memory, int rank,
                                                         const SharedOptions& options) {
  BUNDLE_TRY(std::shared_ptr<Endpoint> endpoint, Endpoint::join(memory, rank, options.patience));
  std::vector<int> everyone;
  for (int r = 0; r < endpoint->ranks(); ++r) everyone.push_back(r);
  return std::unique_ptr<Communicator>(
      std::make_unique<SharedCommunicator>(std::move(endpoint), std::move(everyone)));
}

}  // namespace bundle::comm
