#include "runtime/comm/endpoint_communicator.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace bundle::comm {
namespace {

/// A sum is taken in pieces of so many elements, which bounds the memory beside it.
constexpr std::size_t kSumElements = 256u << 10;
/// Up to so many bytes every rank adds everything up by itself: one way instead of two.
constexpr std::size_t kOneWayBytes = 16u << 10;

class EndpointCommunicator final : public Communicator {
 public:
  EndpointCommunicator(std::shared_ptr<Endpoint> endpoint, std::vector<int> members)
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
    return std::make_unique<EndpointCommunicator>(endpoint_, std::move(members));
  }

  void abort(const Error& why) override { endpoint_->abort(why); }
  Status health() const override { return endpoint_->health(); }

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
Status EndpointCommunicator::swap(Purpose purpose, std::span<const Bytes> parts,
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
void EndpointCommunicator::add_up(std::span<const std::span<const float>> parts,
                                  std::span<float> out) const {
  for (std::size_t i = 0; i < out.size(); ++i) {
    float sum = parts[0][i];
    for (std::size_t r = 1; r < parts.size(); ++r) sum += parts[r][i];
    out[i] = sum;
  }
}

Status EndpointCommunicator::sum_one_way(std::span<float> values) {
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
Status EndpointCommunicator::sum_by_owner(std::span<float> values) {
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

Status EndpointCommunicator::all_reduce(std::span<float> values) {
  if (size() == 1) return endpoint_->health();
  while (!values.empty()) {
    const auto piece = values.first(std::min(values.size(), kSumElements));
    const bool short_way = size() == 2 || piece.size_bytes() <= kOneWayBytes;
    BUNDLE_CHECK(short_way ? sum_one_way(piece) : sum_by_owner(piece));
    values = values.subspan(piece.size());
  }
  return {};
}

Status EndpointCommunicator::all_gather(Bytes part, std::span<std::byte> all) {
  const std::vector<Bytes> parts(members_.size(), part);
  std::vector<std::span<std::byte>> received;
  for (std::size_t r = 0; r < members_.size(); ++r) {
    received.push_back(all.subspan(r * part.size(), part.size()));
  }
  return swap(Purpose::kGather, parts, received);
}

Status EndpointCommunicator::all_to_all(std::span<const Bytes> parts,
                                        std::span<const std::span<std::byte>> received) {
  return swap(Purpose::kExchange, parts, received);
}

Status EndpointCommunicator::broadcast(std::span<std::byte> bytes, int root) {
  std::vector<Outgoing> out;
  std::vector<Incoming> in;
  if (rank_ != root) in.push_back({member(root), bytes});
  for (int r = 0; rank_ == root && r < size(); ++r) {
    if (r != root) out.push_back({member(r), bytes});
  }
  return endpoint_->exchange(Purpose::kBroadcast, out, in);
}

Status EndpointCommunicator::send(Bytes bytes, int to) {
  Outgoing out{member(to), bytes};
  return endpoint_->exchange(Purpose::kMessage, {&out, 1}, {});
}

Status EndpointCommunicator::receive(std::span<std::byte> bytes, int from) {
  Incoming in{member(from), bytes};
  return endpoint_->exchange(Purpose::kMessage, {}, {&in, 1});
}

Status EndpointCommunicator::barrier() {
  const std::vector<Bytes> parts(members_.size());
  const std::vector<std::span<std::byte>> received(members_.size());
  return swap(Purpose::kBarrier, parts, received);
}

}  // namespace

std::unique_ptr<Communicator> make_communicator(std::shared_ptr<Endpoint> endpoint) {
  std::vector<int> everyone;
  for (int r = 0; r < endpoint->ranks(); ++r) everyone.push_back(r);
  return std::make_unique<EndpointCommunicator>(std::move(endpoint), std::move(everyone));
}

}  // namespace bundle::comm
