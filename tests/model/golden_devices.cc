// The golden models on every device of this machine, and on the emulated GPU.
#include "tests/model/golden_fixture.h"

namespace bundle::model {
namespace {

INSTANTIATE_TEST_SUITE_P(All, GoldenTest,
                         testing::Combine(golden_models(), testing::ValuesIn(test_devices())),
                         [](const auto& test) {
                           return std::get<0>(test.param) + "_" + std::get<1>(test.param).name;
                         });

INSTANTIATE_TEST_SUITE_P(Cuda, GoldenTest,
                         testing::Combine(golden_models(), testing::Values(emulated_cuda())),
                         [](const auto& test) { return std::get<0>(test.param); });

INSTANTIATE_TEST_SUITE_P(CudaTensorCores, GoldenTest,
                         testing::Combine(testing::Values("llama_tied"),
                                          testing::Values(emulated_tensor_cores(6e-2f))),
                         [](const auto& test) { return std::get<0>(test.param); });

// In a mixture a rounding would choose other experts.
INSTANTIATE_TEST_SUITE_P(CudaTensorCoresOfMixtures, GoldenTest,
                         testing::Combine(testing::Values("mixtral", "deepseek_v3_fp8"),
                                          testing::Values(emulated_tensor_cores(1e-3f))),
                         [](const auto& test) { return std::get<0>(test.param); });

}  // namespace
}  // namespace bundle::model
