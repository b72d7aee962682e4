#include "runtime/launch/contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::launch {
namespace {

using testing::HasSubstr;

constexpr const char* kDocument = R"({
  "version": 1, "name": "smollm2", "content_digest": "sha256:ab",
  "model": [{"name": "model.gguf", "path": "/store/blobs/sha256/aa", "offset": 4096,
             "length": 10, "sha256": ""}],
  "runtime": {"context_length": 2048}})";

Result<LaunchSpec> read(const std::string& text) {
  return LaunchSpec::from_json(*parse_json(text, "launch.json"), "launch.json");
}

std::string refusal(std::string_view from, std::string_view to) {
  std::string text = kDocument;
  text.replace(text.find(from), from.size(), to);
  const auto spec = read(text);
  return spec ? "accepted" : spec.error().message();
}

TEST(LaunchSpec, ComesBackAsItWas) {
  const LaunchSpec spec = *read(kDocument);
  EXPECT_EQ(spec.name, "smollm2");
  EXPECT_EQ(spec.content_digest, "sha256:ab");
  ASSERT_EQ(spec.model.files().size(), 1u);
  EXPECT_EQ(spec.model.files()[0].offset, 4096u);
  EXPECT_EQ(spec.runtime.at("context_length"), 2048);
  const LaunchSpec again = *LaunchSpec::from_json(spec.to_json(), "again");
  EXPECT_EQ(print_json(again.to_json()), print_json(spec.to_json()));
}

TEST(LaunchSpec, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(refusal("\"version\": 1", "\"version\": 2"), HasSubstr("launch version 2"));
  EXPECT_THAT(refusal("\"version\": 1,", ""), HasSubstr("version"));
  EXPECT_THAT(refusal("\"runtime\"", "\"runtim\""), HasSubstr("Did you mean \"runtime\"?"));
  EXPECT_THAT(refusal("\"name\": \"smollm2\",", ""), HasSubstr("name"));
  EXPECT_THAT(refusal("{\"context_length\": 2048}", "7"), HasSubstr("runtime must be an object"));
  EXPECT_FALSE(LaunchSpec::from_json(Json(3), "x"));
  EXPECT_FALSE(LaunchSpec::from_json(JsonObject{{"version", 1}, {"name", "a"}}, "x"));
}

}  // namespace
}  // namespace bundle::launch
