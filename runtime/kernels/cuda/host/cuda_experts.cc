#include "runtime/kernels/cuda/host/cuda_experts.h"

#include <string>

namespace bundle::kernels::cuda {
namespace {

bool alike(const WeightView& a, const WeightView& b) {
  return a.type == b.type && a.rows == b.rows && a.cols == b.cols;
}

Status check_experts(std::span<const ExpertView> experts) {
  if (experts.empty()) return bad_input("a mixture of no experts");
  if (experts.size() > kMostExperts) {
    return bad_input(std::to_string(experts.size()) +
                     " experts are more than the CUDA kernels route to, " +
                     std::to_string(kMostExperts));
  }
  const ExpertView& front = experts.front();
  for (const ExpertView& expert : experts) {
    if (!alike(expert.gate, front.gate) || !alike(expert.up, front.up) ||
        !alike(expert.down, front.down)) {
      return bad_input("the experts of a layer differ in shape or type");
    }
  }
  const bool fit = front.gate.rows == front.up.rows && front.gate.cols == front.up.cols &&
                   front.down.cols == front.gate.rows && front.down.rows == front.gate.cols;
  if (!fit) return bad_input("an expert's matrices do not fit each other");
  return {};
}

}  // namespace

Result<std::unique_ptr<CudaExperts>> CudaExperts::make(Driver& driver, Uploader& uploader,
                                                       std::span<const ExpertView> experts) {
  BUNDLE_CHECK(check_experts(experts));
  std::unique_ptr<CudaExperts> made(new CudaExperts);
  made->count_ = static_cast<std::int64_t>(experts.size());
  const auto add = [&](std::int64_t first, const std::vector<WeightView>& parts) -> Status {
    BUNDLE_TRY(auto stack, CudaMatrix::make(driver, uploader, parts));
    made->gate_up_.push_back({std::move(stack), first});
    return {};
  };
  std::vector<WeightView> gates, ups, both, downs;
  for (const ExpertView& expert : experts) {
    gates.push_back(expert.gate);
    ups.push_back(expert.up);
    both.push_back(expert.gate);
    both.push_back(expert.up);
    downs.push_back(expert.down);
  }
  if (gates.front().type == ups.front().type) {
    BUNDLE_CHECK(add(0, both));
  } else {
    BUNDLE_CHECK(add(0, gates));
    BUNDLE_CHECK(add(gates.front().rows, ups));
  }
  BUNDLE_TRY(made->down_, CudaMatrix::make(driver, uploader, downs));
  return made;
}

}  // namespace bundle::kernels::cuda
