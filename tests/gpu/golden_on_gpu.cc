// The golden models on the machine's first GPU: the last part of scripts/gpu-suite. The tests run
// the same program over the emulator, which the environment then names as the backend.
#include <cstdlib>

#include "tests/model/golden_fixture.h"

namespace bundle::model {
namespace {

/// Over the emulator, what it has time for.
TestDevice gpu(const char* name, float tolerance) {
  TestDevice device{name, tolerance, 5e-4f};
  if (std::getenv("BUNDLE_GOLDEN_MOST_TOKENS") != nullptr) {
    device.most_tokens = std::strtoul(std::getenv("BUNDLE_GOLDEN_MOST_TOKENS"), nullptr, 10);
    device.most_steps = 2;
  }
  return device;
}

// The GPU's own exp and rsqrt are of 22 bits. As it serves, products of many tokens round the
// activations of dense models to bfloat16.
INSTANTIATE_TEST_SUITE_P(
    OnGpu, GoldenTest,
    testing::Combine(golden_models(),
                     testing::Values(gpu(kGpuDeterministic, 5e-4f), gpu(kGpu, 6e-2f))),
    [](const auto& test) { return std::get<0>(test.param) + "_" + std::get<1>(test.param).name; });

}  // namespace
}  // namespace bundle::model
