#include "cli/gpu_names.h"

#include <gtest/gtest.h>

namespace bundle::cli {
namespace {

std::string named(std::string_view target, const std::string& gpu_type) {
  static const catalog::Catalog catalog = catalog::Catalog::built_in().value();
  return gpu_type_on(target, gpu_type, catalog);
}

TEST(GpuNames, EveryNameOfTheCatalogueBecomesTheTargets) {
  for (const char* name : {"h100_sxm", "H100", "H100 SXM5 80GB", "NVIDIA-H100-80GB-HBM3"}) {
    EXPECT_EQ(named("kubernetes", name), "NVIDIA-H100-80GB-HBM3") << name;
    EXPECT_EQ(named("skypilot", name), "H100") << name;
  }
  EXPECT_EQ(named("kubernetes", "H200"), "NVIDIA-H200");
  EXPECT_EQ(named("skypilot", "a100_sxm_80"), "A100-80GB");
}

TEST(GpuNames, OtherNamesAndTargetsAreLeftAlone) {
  EXPECT_EQ(named("kubernetes", "Tesla-T4-SHARED"), "Tesla-T4-SHARED");
  EXPECT_EQ(named("systemd", "H100"), "H100");
}

TEST(GpuNames, EveryNvidiaGpuHasADriverName) {
  const catalog::Catalog catalog = catalog::Catalog::built_in().value();
  for (const sizing::GpuSpec& gpu : catalog.gpus()) {
    if (gpu.vendor != "NVIDIA") continue;
    EXPECT_FALSE(gpu.driver_name.empty()) << gpu.id;
    const auto found = catalog.gpu(gpu.driver_name);
    ASSERT_TRUE(found) << gpu.id;
    EXPECT_EQ((*found)->id, gpu.id);
  }
}

}  // namespace
}  // namespace bundle::cli
