// Row-wise operations of every instruction set against double.
#include <cmath>
#include <gtest/gtest.h>

#include "runtime/kernels/cpu_device.h"
#include "tests/kernels/random_weights.h"

namespace bundle::kernels {
namespace {

class Rows : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Device> device_ = std::move(make_cpu_device({2, GetParam()})).value();
};

TEST_P(Rows, RmsNorm) {
  for (const std::int64_t cols : {1, 7, 16, 64, 65, 576, 5000}) {
    const std::int64_t rows = 9;
    std::vector<float> x = random_floats(rows * cols, 1, 30.0f);
    const std::vector<float> weight = random_floats(cols, 2);
    std::vector<float> out(x.size());
    device_->rms_norm({x.data(), rows, cols}, {weight.data(), cols}, 1e-5f,
                      {out.data(), rows, cols});
    for (std::int64_t r = 0; r < rows; ++r) {
      double squares = 0;
      for (std::int64_t c = 0; c < cols; ++c) squares += std::pow(x[r * cols + c], 2);
      const double inverse = 1 / std::sqrt(squares / static_cast<double>(cols) + 1e-5);
      for (std::int64_t c = 0; c < cols; ++c) {
        const double expected = x[r * cols + c] * inverse * weight[c];
        ASSERT_NEAR(out[r * cols + c], expected, 1e-6 * std::abs(expected) + 1e-12);
      }
    }
    device_->rms_norm({x.data(), rows, cols}, {weight.data(), cols}, 1e-5f, {x.data(), rows, cols});
    EXPECT_EQ(x, out);
  }
}

TEST_P(Rows, RmsNormOfZerosIsZero) {
  std::vector<float> x(64, 0.0f);
  const std::vector<float> weight(64, 1.0f);
  device_->rms_norm({x.data(), 1, 64}, {weight.data(), 64}, 1e-6f, {x.data(), 1, 64});
  for (const float value : x) EXPECT_EQ(value, 0.0f);
}

TEST_P(Rows, SiluMul) {
  for (const std::int64_t cols : {1, 15, 64, 1537}) {
    const std::int64_t rows = 5;
    std::vector<float> in = random_floats(rows * 2 * cols, 3, 20.0f);
    std::vector<float> out(static_cast<std::size_t>(rows * cols));
    device_->silu_mul({in.data(), rows, 2 * cols}, {out.data(), rows, cols});
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < cols; ++c) {
        const double gate = in[r * 2 * cols + c];
        const double expected = gate / (1 + std::exp(-gate)) * in[r * 2 * cols + cols + c];
        ASSERT_NEAR(out[r * cols + c], expected, 1e-6 * std::abs(expected) + 1e-30) << gate;
      }
  }
}

TEST_P(Rows, SiluMulOfExtremes) {
  std::vector<float> in = {-1e30f, -100.0f, -88.0f, 0.0f, 88.0f, 1e30f, 2, 2, 2, 2, 2, 2};
  std::vector<float> out(6);
  device_->silu_mul({in.data(), 1, 12}, {out.data(), 1, 6});
  EXPECT_NEAR(out[0], 0.0, 1e-6);
  EXPECT_NEAR(out[1], 0.0, 1e-30);
  EXPECT_NEAR(out[2], 0.0, 1e-30);
  EXPECT_EQ(out[3], 0.0f);
  EXPECT_EQ(out[4], 176.0f);
  EXPECT_EQ(out[5], 2e30f);
}

TEST_P(Rows, GatherAndRead) {
  std::vector<float> x = random_floats(10 * 33, 4);
  const std::vector<std::int64_t> rows = {9, 0, 0, 5};
  std::vector<float> out(rows.size() * 33);
  device_->gather_rows({x.data(), 10, 33}, rows, {out.data(), 4, 33});
  std::vector<float> host(out.size());
  device_->read({out.data(), 4, 33}, host.data());
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::int64_t c = 0; c < 33; ++c)
      ASSERT_EQ(host[i * 33 + static_cast<std::size_t>(c)], x[rows[i] * 33 + c]);
}

TEST_P(Rows, ArenaGivesAlignedDisjointMemoryAgainAfterReset) {
  const auto arena = device_->make_arena();
  auto* a = static_cast<char*>(arena->take(100));
  auto* b = static_cast<char*>(arena->take(50 << 20));
  auto* c = static_cast<char*>(arena->take(1));
  for (char* p : {a, b, c}) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 64, 0u);
  std::fill_n(a, 100, 'a');
  std::fill_n(b, 50 << 20, 'b');
  *c = 'c';
  EXPECT_EQ(a[99], 'a');
  EXPECT_EQ(b[0], 'b');
  arena->reset();
  EXPECT_EQ(arena->take(100), a);
}

INSTANTIATE_TEST_SUITE_P(Isas, Rows, testing::ValuesIn(available_isas()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bundle::kernels
