// A golden model on one device. Which devices are asked is said where the tests are instantiated:
// golden_devices.cc, and tests/gpu/golden_on_gpu.cc.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <tuple>

#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {

class GoldenTest : public testing::TestWithParam<std::tuple<std::string, TestDevice>> {
 protected:
  void SetUp() override {
    const Status made = golden::make_checkpoint(golden_, folder_.path());
    ASSERT_TRUE(made.has_value()) << made.error().message();
    runner_ = std::make_unique<ModelRunner>(folder_.path(), device_);
    std::erase_if(golden_.prompts, [&](const golden::Prompt& prompt) {
      return device_.most_tokens > 0 && prompt.tokens.size() > device_.most_tokens;
    });
    ASSERT_FALSE(golden_.prompts.empty());
  }

  golden::Golden golden_ = load_golden(std::get<0>(GetParam()));
  TestDevice device_ = std::get<1>(GetParam());
  golden::TempFolder folder_;
  std::unique_ptr<ModelRunner> runner_;
};

/// Every golden model.
inline auto golden_models() {
  return testing::Values("llama_tied", "llama3_rope", "qwen2_bias", "qwen3_qknorm", "qwen3_moe",
                         "mixtral", "deepseek_v2_lite", "deepseek_v3", "deepseek_v3_fp8",
                         "deepseek_v3_mtp");
}

}  // namespace bundle::model
