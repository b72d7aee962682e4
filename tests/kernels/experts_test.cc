// Experts of every instruction set against the reference device, with every kind of weights, and
// their independence of the batch.
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
#include <random>

#include "runtime/kernels/cpu_device.h"
#include "tests/golden/fp8_blocks.h"
#include "tests/golden/gguf_writer.h"
#include "tests/kernels/random_weights.h"

namespace bundle::kernels {
namespace {

struct Sizes {
  std::int64_t experts;
  std::int64_t hidden;
  std::int64_t width;
  std::int64_t top_k;
};

/// Published bytes of random experts.
class RandomExperts {
 public:
  RandomExperts(const Sizes& sizes, DType type) {
    for (std::int64_t e = 0; e < sizes.experts; ++e) {
      const auto seed = static_cast<std::uint64_t>(10 * e);
      views_.push_back({add(type, sizes.width, sizes.hidden, seed + 1),
                        add(type, sizes.width, sizes.hidden, seed + 2),
                        add(type, sizes.hidden, sizes.width, seed + 3)});
    }
  }

  std::span<const ExpertView> views() const { return views_; }

 private:
  WeightView add(DType type, std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
    const std::vector<float> values = random_floats(rows * cols, seed);
    auto blocks = std::make_unique<golden::Fp8Blocks>();
    if (type == DType::kF8E4M3) {
      *blocks = golden::to_fp8_blocks(values, rows, cols);
    } else {
      blocks->codes = golden::quantize(type, values);
    }
    WeightView view{type, as_bytes(blocks->codes), rows, cols};
    if (type == DType::kF8E4M3) {
      view.block_scales = blocks->scales.data();
      view.scale_stride = (cols + kScaleBlock - 1) / kScaleBlock;
    }
    memory_.push_back(std::move(blocks));
    return view;
  }

  std::vector<std::unique_ptr<golden::Fp8Blocks>> memory_;
  std::vector<ExpertView> views_;
};

/// Each row's experts and weights: any, but without repetition.
struct RandomRouting {
  std::vector<std::int32_t> experts;
  std::vector<float> weights;

  RandomRouting(const Sizes& sizes, std::int64_t rows) {
    std::mt19937 random(5);
    std::vector<std::int32_t> all(static_cast<std::size_t>(sizes.experts));
    std::iota(all.begin(), all.end(), 0);
    for (std::int64_t i = 0; i < rows; ++i) {
      std::shuffle(all.begin(), all.end(), random);
      experts.insert(experts.end(), all.begin(), all.begin() + sizes.top_k);
    }
    weights = random_floats(rows * sizes.top_k, 6);
  }
};

std::vector<float> run(Device& device, const Experts& experts, const Sizes& sizes,
                       std::vector<float> x, std::int32_t* chosen, float* weights) {
  const auto rows = static_cast<std::int64_t>(x.size()) / sizes.hidden;
  std::vector<float> y(x.size(), 0.25f);
  device.run_experts(experts, {x.data(), rows, sizes.hidden}, {chosen, weights, rows, sizes.top_k},
                     {y.data(), rows, sizes.hidden});
  return y;
}

class ExpertsTest : public testing::TestWithParam<std::tuple<std::string, DType>> {
 protected:
  std::unique_ptr<Device> device(int threads = 2) const {
    return std::move(make_cpu_device({threads, std::get<0>(GetParam())})).value();
  }
};

TEST_P(ExpertsTest, GiveTheReferenceAndDoNotDependOnTheBatch) {
  const auto& [isa, type] = GetParam();
  const Sizes sizes{7, 256, 160, 3};
  const RandomExperts weights(sizes, type);
  auto reference = make_reference_device();
  auto machine = device();
  const auto plain = std::move(reference->pack_experts(weights.views())).value();
  const auto packed = std::move(machine->pack_experts(weights.views())).value();
  constexpr std::int64_t kRows = 45;
  const std::vector<float> x = random_floats(kRows * sizes.hidden, 4);
  RandomRouting routing(sizes, kRows);
  const auto wanted =
      run(*reference, *plain, sizes, x, routing.experts.data(), routing.weights.data());
  const auto given =
      run(*machine, *packed, sizes, x, routing.experts.data(), routing.weights.data());
  float largest = 0.0f;
  for (const float value : wanted) largest = std::max(largest, std::abs(value));
  const bool rounds = type == DType::kBF16 && isa == "avx512bf16";
  const float tolerance = (rounds ? 2e-2f : is_quantized(type) ? 2e-3f : 2e-5f) * largest;
  for (std::size_t i = 0; i < given.size(); ++i) ASSERT_NEAR(given[i], wanted[i], tolerance) << i;

  const auto hidden = static_cast<std::size_t>(sizes.hidden);
  for (std::int64_t row = 0; row < kRows; ++row) {
    const auto at = static_cast<std::size_t>(row);
    const auto alone =
        run(*machine, *packed, sizes, {x.begin() + at * hidden, x.begin() + (at + 1) * hidden},
            routing.experts.data() + row * sizes.top_k, routing.weights.data() + row * sizes.top_k);
    ASSERT_TRUE(std::equal(alone.begin(), alone.end(), given.begin() + at * hidden)) << row;
  }
}

/// Ranks have some of the experts each; what they give adds up to what all of them give.
TEST_P(ExpertsTest, PartsAddUp) {
  const Sizes sizes{6, 128, 128, 3};
  const RandomExperts weights(sizes, std::get<1>(GetParam()));
  constexpr std::int64_t kRows = 20;
  const std::vector<float> x = random_floats(kRows * sizes.hidden, 4);
  RandomRouting routing(sizes, kRows);
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(device());
  devices.push_back(make_reference_device());
  for (const auto& machine : devices) {
    const auto all = std::move(machine->pack_experts(weights.views())).value();
    const auto whole =
        run(*machine, *all, sizes, x, routing.experts.data(), routing.weights.data());
    std::vector<float> sum(x.size(), 0.25f), input = x;
    for (const std::int64_t first : {0, 2, 5}) {
      const std::int64_t count = first == 0 ? 2 : first == 2 ? 3 : 1;
      const auto views =
          weights.views().subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
      const auto part = std::move(machine->pack_experts(views)).value();
      machine->run_experts(
          *part, {input.data(), kRows, sizes.hidden},
          {routing.experts.data(), routing.weights.data(), kRows, sizes.top_k, first},
          {sum.data(), kRows, sizes.hidden});
    }
    for (std::size_t i = 0; i < sum.size(); ++i) ASSERT_NEAR(sum[i], whole[i], 1e-3f) << i;
  }
}

TEST_P(ExpertsTest, ManyRowsGoInWaves) {
  const auto& [isa, type] = GetParam();
  const Sizes sizes{5, 128, 128, 5};
  const RandomExperts weights(sizes, type);
  auto machine = device();
  const auto packed = std::move(machine->pack_experts(weights.views())).value();
  constexpr std::int64_t kRows = 600;
  RandomRouting routing(sizes, kRows);
  const std::vector<float> x = random_floats(kRows * sizes.hidden, 4);
  const auto all = run(*machine, *packed, sizes, x, routing.experts.data(), routing.weights.data());
  const auto one = run(*machine, *packed, sizes, {x.begin(), x.begin() + sizes.hidden},
                       routing.experts.data(), routing.weights.data());
  EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin()));
}

TEST_P(ExpertsTest, PackingRefusesExpertsThatDoNotFit) {
  const DType type = std::get<1>(GetParam());
  const Sizes sizes{2, 128, 128, 1};
  const RandomExperts weights(sizes, type);
  std::vector<ExpertView> views(weights.views().begin(), weights.views().end());
  views[1].down.rows /= 2;
  views[1].down.data = views[1].down.data.first(views[1].down.data.size() / 2);
  for (auto* make : {+[] { return make_reference_device(); },
                     +[] { return std::move(make_cpu_device({})).value(); }})
    EXPECT_EQ(make()->pack_experts(views).error().code, ErrorCode::kBadInput);
}

INSTANTIATE_TEST_SUITE_P(All, ExpertsTest,
                         testing::Combine(testing::ValuesIn(available_isas()),
                                          testing::Values(DType::kF32, DType::kBF16, DType::kF16,
                                                          DType::kF8E4M3, DType::kQ8_0,
                                                          DType::kQ4_0)),
                         [](const auto& test) {
                           return std::get<0>(test.param) + "_" +
                                  std::string(dtype_info(std::get<1>(test.param)).name);
                         });

}  // namespace
}  // namespace bundle::kernels
