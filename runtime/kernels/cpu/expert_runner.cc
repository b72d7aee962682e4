#include "runtime/kernels/cpu/expert_runner.h"

#include <algorithm>

#include "runtime/kernels/cpu/matrix_inputs.h"

namespace bundle::kernels::cpu {
namespace {

/// Slots of a wave, at most, unless one expert alone has more: bounds the scratch memory.
constexpr std::int64_t kWaveSlots = 1024;
/// Slots that are converted together: whole tiles of every instruction set.
constexpr std::int64_t kRunSlots = 8;
/// Work that is worth a thread's while, in weight bytes and in elements.
constexpr std::int64_t kGrainWeightBytes = 16384;
constexpr std::int64_t kGrainElements = 16384;
/// Columns of one item when results are added to rows.
constexpr std::int64_t kAddColumns = 256;

std::int64_t grain(std::int64_t elements_each) {
  return std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(1, elements_each));
}

}  // namespace

/// Fills slots_ and groups_: by expert, then by row.
void ExpertRunner::sort(std::int64_t experts, Routing routing) {
  const std::int64_t count = routing.rows * routing.top_k;
  const auto have = [&](std::int64_t expert) { return expert >= 0 && expert < experts; };
  starts_.assign(static_cast<std::size_t>(experts) + 1, 0);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t expert = routing.experts[i] - routing.first;
    if (have(expert)) ++starts_[expert + 1];
  }
  groups_.clear();
  for (std::int64_t e = 0; e < experts; ++e) {
    if (starts_[e + 1] > 0) groups_.push_back({e, starts_[e], starts_[e + 1]});
    starts_[e + 1] += starts_[e];
  }
  slots_.resize(static_cast<std::size_t>(starts_.back()));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t expert = routing.experts[i] - routing.first;
    if (!have(expert)) continue;
    slots_[starts_[expert]++] = {static_cast<std::int32_t>(i / routing.top_k), routing.weights[i]};
  }
}

void ExpertRunner::run(const PackedExperts& experts, Tensor x, Routing routing, Tensor y) {
  sort(experts.count(), routing);
  const std::span<const Group> groups(groups_);
  for (std::size_t begin = 0; begin < groups.size();) {
    std::size_t end = begin + 1;
    std::int64_t slots = groups[begin].count;
    while (end < groups.size() && slots + groups[end].count <= kWaveSlots)
      slots += groups[end++].count;
    run_wave(experts, groups.subspan(begin, end - begin), x, y);
    begin = end;
  }
}

void ExpertRunner::run_wave(const PackedExperts& experts, std::span<const Group> wave, Tensor x,
                            Tensor y) {
  const std::int64_t slots = wave.back().first + wave.back().count - wave.front().first;
  const std::int64_t width = experts.width();
  float* both = both_.floats(slots * 2 * width);
  float* active = active_.floats(slots * width);
  float* results = results_.floats(slots * y.cols);
  multiply(experts, wave, &PackedExperts::gate_up, x, true, both);
  pool_.run(slots, grain(width), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* gate = both + i * 2 * width;
      table_.silu_mul(gate, gate + width, width, active + i * width);
    }
  });
  multiply(experts, wave, &PackedExperts::down, {active, slots, width}, false, results);
  add_to_rows(wave, results, y);
}

void ExpertRunner::multiply(const PackedExperts& experts, std::span<const Group> wave,
                            MatrixOf matrix, Tensor x, bool by_row, float* out) {
  const std::int64_t origin = wave.front().first;
  const std::int64_t slots = wave.back().first + wave.back().count - origin;
  const PackedMatrix& model = (experts.*matrix)(wave.front().expert);
  const MatrixInputs inputs(table_, model, slots);
  std::byte* memory = activations_.at_least(inputs.bytes());
  runs_.clear();
  for (std::size_t g = 0; g < wave.size(); ++g)
    for (std::int64_t i = 0; i < wave[g].count; i += kRunSlots)
      runs_.push_back({static_cast<std::int64_t>(g), wave[g].first + i,
                       std::min(kRunSlots, wave[g].count - i)});
  pool_.run(static_cast<std::int64_t>(runs_.size()), grain(kRunSlots * x.cols),
            [&](std::int64_t begin, std::int64_t end, int) {
              for (std::int64_t r = begin; r < end; ++r) {
                const Run& run = runs_[static_cast<std::size_t>(r)];
                const float* rows[kRunSlots];
                for (std::int64_t i = 0; i < run.count; ++i) {
                  const std::int64_t slot = run.first + i;
                  const std::int64_t row = by_row ? slots_[slot].row : slot - origin;
                  rows[i] = x.f32() + row * x.cols;
                }
                PrepareArgs args;
                args.rows = rows;
                args.tokens = run.count;
                for (const MatrixInputs::Input& input : inputs.all()) {
                  if (!input.used) continue;
                  args.layout = input.layout;
                  args.out = memory + input.at + (run.first - origin) * input.layout.token_bytes();
                  table_.prepare(args);
                }
              }
            });
  const std::int64_t blocks = model.blocks();
  const std::int64_t stride = model.parts()[0].layout.stride;
  pool_.run(static_cast<std::int64_t>(wave.size()) * blocks,
            std::max<std::int64_t>(1, kGrainWeightBytes / stride),
            [&](std::int64_t begin, std::int64_t end, int) {
              while (begin < end) {
                const Group& group = wave[static_cast<std::size_t>(begin / blocks)];
                const std::int64_t first = begin % blocks;
                const std::int64_t last = std::min(blocks, first + end - begin);
                GemmArgs args;
                args.tokens = group.count;
                args.y = out + (group.first - origin) * model.rows();
                args.y_stride = model.rows();
                multiply_blocks(table_, (experts.*matrix)(group.expert), inputs, memory, first,
                                last, args, group.first - origin);
                begin += last - first;
              }
            });
}

/// By columns, so that no two threads share a row's element and the order of the sum is fixed.
void ExpertRunner::add_to_rows(std::span<const Group> wave, const float* results, Tensor y) {
  const std::int64_t origin = wave.front().first;
  const std::int64_t end_slot = wave.back().first + wave.back().count;
  const std::int64_t items = (y.cols + kAddColumns - 1) / kAddColumns;
  pool_.run(items, grain((end_slot - origin) * kAddColumns),
            [&](std::int64_t begin, std::int64_t end, int) {
              const std::int64_t from = begin * kAddColumns;
              const std::int64_t to = std::min(y.cols, end * kAddColumns);
              for (std::int64_t slot = origin; slot < end_slot; ++slot) {
                const float* result = results + (slot - origin) * y.cols;
                float* row = y.f32() + slots_[slot].row * y.cols;
                const float weight = slots_[slot].weight;
                for (std::int64_t c = from; c < to; ++c) row[c] += weight * result[c];
              }
            });
}

}  // namespace bundle::kernels::cpu
