#include "runtime/kernels/cuda/host/gpu_communicator.h"

#include <algorithm>

namespace bundle::kernels::cuda {
namespace {

/// A long sum that is taken in order goes in pieces of so many elements.
constexpr std::size_t kSumElements = std::size_t{1} << 20;

Parcel parcel(int rank, Bytes bytes) {
  return {rank, const_cast<std::byte*>(bytes.data()), bytes.size()};  // NOLINT: NCCL reads alone
}

}  // namespace

GpuCommunicator::GpuCommunicator(GroupGround& ground, comm::Communicator& host,
                                 std::unique_ptr<comm::Communicator> owned)
    : ground_(ground),
      owned_(std::move(owned)),
      host_(host),
      parts_(ground.driver, ground.stream, ground.changes, "sums over ranks") {
  ground_.groups.push_back(this);
}

GpuCommunicator::~GpuCommunicator() {
  std::erase(ground_.groups, this);
  if (collectives_ == nullptr) return;
  if (health()) {
    ground_.driver.wait(ground_.stream);
  } else {
    collectives_->abort();  // what is queued may never end
  }
}

/// The first rank names the group, and all come together under that name.
Status GpuCommunicator::join() {
  GroupId id;
  char problem[512] = "";
  if (rank() == 0 && !ground_.collectives.make_id(size(), &id, problem, sizeof problem)) {
    return failed(problem);
  }
  BUNDLE_CHECK(host_.broadcast(std::as_writable_bytes(std::span(&id, 1)), 0));
  collectives_.reset(ground_.collectives.join(id, rank(), size(), problem, sizeof problem));
  if (collectives_ == nullptr) return failed(problem);
  return {};
}

Result<std::unique_ptr<GpuCommunicator>> GpuCommunicator::make(GroupGround& ground,
                                                               comm::Communicator& host) {
  std::unique_ptr<GpuCommunicator> made(new GpuCommunicator(ground, host, nullptr));
  if (const Status joined = made->join(); !joined) {
    host.abort(joined.error());
    return joined.error();
  }
  return made;
}

std::unique_ptr<comm::Communicator> GpuCommunicator::subgroup(std::span<const int> ranks) {
  auto host = host_.subgroup(ranks);
  comm::Communicator& group = *host;
  std::unique_ptr<GpuCommunicator> made(new GpuCommunicator(ground_, group, std::move(host)));
  made->problem_ = made->join();
  if (!made->problem_) host_.abort(made->problem_.error());
  return made;
}

Status GpuCommunicator::health() const {
  BUNDLE_CHECK(problem_);
  BUNDLE_CHECK(host_.health());
  const char* wrong = collectives_->status();
  if (wrong != nullptr) return failed(wrong);
  return {};
}

void GpuCommunicator::abort(const Error& why) {
  host_.abort(why);
  for (GpuCommunicator* group : ground_.groups) {
    if (group->collectives_ != nullptr) group->collectives_->abort();
  }
}

/// Every rank gets all parts and adds them up by itself.
Status GpuCommunicator::sum_in_order(std::span<float> values) {
  const auto ranks = static_cast<std::size_t>(size());
  while (!values.empty()) {
    const auto piece = values.first(std::min(values.size(), kSumElements));
    BUNDLE_CHECK(parts_.reserve(ranks * piece.size_bytes()));
    collectives_->all_gather(ground_.stream, piece.data(), parts_.data(), piece.size_bytes());
    ground_.ops.add_parts(ground_.stream,
                          {parts_.floats(), piece.data(), static_cast<std::int64_t>(piece.size()),
                           static_cast<int>(ranks)});
    values = values.subspan(piece.size());
  }
  return {};
}

Status GpuCommunicator::all_reduce(std::span<float> values) {
  BUNDLE_CHECK(problem_);
  if (size() == 1 || values.empty()) return {};
  if (ground_.ordered || values.size_bytes() <= kOneWayBytes) return sum_in_order(values);
  collectives_->all_reduce(ground_.stream, values.data(), values.size());
  return {};
}

Status GpuCommunicator::all_gather(Bytes part, std::span<std::byte> all) {
  BUNDLE_CHECK(problem_);
  if (!part.empty()) {
    collectives_->all_gather(ground_.stream, part.data(), all.data(), part.size());
  }
  return {};
}

Status GpuCommunicator::all_to_all(std::span<const Bytes> parts,
                                   std::span<const std::span<std::byte>> received) {
  BUNDLE_CHECK(problem_);
  std::vector<Parcel> out, in;
  for (int r = 0; r < size(); ++r) {
    const auto i = static_cast<std::size_t>(r);
    if (r == rank()) {
      ground_.driver.copy_within(ground_.stream, received[i].data(), parts[i].data(),
                                 parts[i].size());
      continue;
    }
    if (!parts[i].empty()) out.push_back(parcel(r, parts[i]));
    if (!received[i].empty()) in.push_back(parcel(r, received[i]));
  }
  collectives_->exchange(ground_.stream, out.data(), out.size(), in.data(), in.size());
  return {};
}

Status GpuCommunicator::broadcast(std::span<std::byte> bytes, int root) {
  BUNDLE_CHECK(problem_);
  if (!bytes.empty()) {
    collectives_->broadcast(ground_.stream, bytes.data(), bytes.size(), root);
  }
  return {};
}

Status GpuCommunicator::send(Bytes bytes, int to) {
  BUNDLE_CHECK(problem_);
  const Parcel one = parcel(to, bytes);
  if (!bytes.empty()) collectives_->exchange(ground_.stream, &one, 1, nullptr, 0);
  return {};
}

Status GpuCommunicator::receive(std::span<std::byte> bytes, int from) {
  BUNDLE_CHECK(problem_);
  const Parcel one = parcel(from, bytes);
  if (!bytes.empty()) collectives_->exchange(ground_.stream, nullptr, 0, &one, 1);
  return {};
}

}  // namespace bundle::kernels::cuda
