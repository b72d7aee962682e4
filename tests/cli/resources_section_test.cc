#include "cli/resources_section.h"

#include <gtest/gtest.h>

namespace bundle::cli {
namespace {

const JsonObject kResources{{"gpu", 8}, {"gpu_type", "h200_sxm"}, {"disk", "700Gi"}};

std::string changed(const std::string& text) {
  const auto result = with_resources(text, kResources, "bundle.yaml");
  return result ? *result : "error: " + result.error().message();
}

TEST(ResourcesSection, IsAddedAtTheEnd) {
  EXPECT_EQ(changed("name: a  # mine\n"),
            "name: a  # mine\n\nresources:\n  gpu: 8\n  gpu_type: h200_sxm\n  disk: 700Gi\n");
}

TEST(ResourcesSection, ReplacesItsKeysAndKeepsTheRest) {
  EXPECT_EQ(changed("# head\nresources:\n  gpu: 1\n  cpu: 4  # enough\nname: a\n"),
            "# head\nresources:\n  gpu: 8\n  gpu_type: h200_sxm\n  disk: 700Gi\n"
            "  cpu: 4  # enough\nname: a\n");
}

TEST(ResourcesSection, LeavesOtherSectionsAlone) {
  const std::string text = changed("scaling:\n  max_replicas: 2\nruntime:\n  threads: 2\n");
  EXPECT_EQ(text.find("scaling:\n  max_replicas: 2\nruntime:\n  threads: 2\n"), 0u);
}

TEST(ResourcesSection, IsTheSameWrittenTwice) {
  const std::string once = changed("name: a\n");
  EXPECT_EQ(changed(once), once);
}

TEST(ResourcesSection, RefusesWhatItCannotKeep) {
  EXPECT_EQ(changed("resources: {gpu: 1}\n").find("error"), 0u);
  EXPECT_EQ(changed("nonsense: 1\n").find("error"), 0u);
}

}  // namespace
}  // namespace bundle::cli
