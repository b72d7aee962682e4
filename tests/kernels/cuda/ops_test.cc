// Every operation under the emulator, in several orders of threads and blocks.
#include <gtest/gtest.h>

#include "runtime/kernels/cuda/emulator/emulated_collectives.h"
#include "runtime/kernels/cuda/emulator/emulated_driver.h"
#include "tests/kernels/cuda/op_checks.h"

namespace bundle::kernels::cuda {
namespace {

class CudaOps : public testing::TestWithParam<NamedCheck> {};

TEST_P(CudaOps, AgreeWithFloat64) {
  for (const std::uint32_t seed : {1u, 2u}) {
    const auto driver = make_emulated_driver({.seed = seed});
    const Stream stream = driver->make_stream();
    const auto results =
        GetParam().run({*driver, kOps, stream, seed, false, &kEmulatedCollectives});
    EXPECT_FALSE(results.empty());
    for (const CheckResult& result : results) {
      EXPECT_EQ(result.problem, "") << result.name;
      EXPECT_LE(result.error, result.tolerance) << result.name << " seed " << seed;
    }
    driver->free_stream(stream);
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudaOps, testing::ValuesIn(kChecks),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace bundle::kernels::cuda
