#include "runtime/kernels/cuda/host/choice_runner.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace bundle::kernels::cuda {
namespace {

constexpr double kMostScale = 1e30;

/// The same numbers, rounded in the same places, as the host's sampler works with.
RowChoice for_kernel(const TokenChoice& choice) {
  RowChoice row{};
  row.row = choice.row;
  row.uniform = choice.uniform;
  row.top_p = choice.top_p;
  row.offset = choice.min_p > 0.0 ? choice.temperature * std::log(choice.min_p)
                                  : -std::numeric_limits<double>::infinity();
  row.scale = choice.temperature > 0.0
                  ? static_cast<float>(std::min(1.0 / choice.temperature, kMostScale))
                  : -1.0f;
  row.top_k = choice.top_k;
  return row;
}

bool weighs_all(const RowChoice& row, std::int64_t cols) {
  return row.scale >= 0.0f && (row.top_k <= 0 || row.top_k >= cols);
}

}  // namespace

/// Room for twice what is asked for, so that a growing batch seldom moves it.
Status ChoiceRunner::reserve(std::int64_t count, std::int64_t cols) {
  const auto rows = std::bit_ceil(static_cast<std::size_t>(count));
  const auto runs = static_cast<std::size_t>(choice_runs(cols));
  const std::size_t each = sizeof(RowChoice) + sizeof(std::int32_t);
  BUNDLE_CHECK(memory_.reserve(rows * (each + runs * (sizeof(double) + sizeof(float)))));
  if (staging_.bytes() < rows * each) {
    BUNDLE_TRY(staging_, HostBuffer::make(driver_, rows * each));
  }
  return {};
}

Status ChoiceRunner::run(Tensor logits, std::span<const TokenChoice> choices, std::int32_t* ids) {
  const auto count = static_cast<std::int64_t>(choices.size());
  const std::int64_t runs = choice_runs(logits.cols);
  BUNDLE_CHECK(reserve(count, logits.cols));
  ChooseArgs args{};
  args.logits = logits.f32();
  args.count = count;
  args.cols = logits.cols;
  auto* rows = reinterpret_cast<RowChoice*>(staging_.data());
  for (std::size_t i = 0; i < choices.size(); ++i) {
    rows[i] = for_kernel(choices[i]);
    args.weighs_all |= weighs_all(rows[i], logits.cols);
  }
  // Of doubles first, so that all are aligned.
  args.run_sums = reinterpret_cast<double*>(memory_.data());
  auto* on_device = reinterpret_cast<RowChoice*>(args.run_sums + count * runs);
  args.choices = on_device;
  args.run_max = reinterpret_cast<float*>(on_device + count);
  args.ids = reinterpret_cast<std::int32_t*>(args.run_max + count * runs);
  driver_.copy_in(stream_, on_device, rows, choices.size() * sizeof(RowChoice));
  ops_.choose(stream_, args);
  auto* chosen = reinterpret_cast<std::int32_t*>(rows + count);
  driver_.copy_out(stream_, chosen, args.ids, choices.size() * sizeof(std::int32_t));
  BUNDLE_CHECK(wait_.wait());
  std::memcpy(ids, chosen, choices.size() * sizeof(std::int32_t));
  return {};
}

}  // namespace bundle::kernels::cuda
