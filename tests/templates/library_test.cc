#include "templates/library.h"

#include <gtest/gtest.h>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "packager/manifest.h"
#include "runtime/format/model_config.h"
#include "runtime/launch/runtime_settings.h"
#include "runtime/model/placement.h"

namespace bundle::templates {
namespace {

packager::Manifest manifest(std::string_view name) {
  const auto found = model_template(name);
  EXPECT_TRUE(found) << name;
  if (!found) return {};
  auto parsed = packager::parse_manifest(found->text, found->name + ".yaml");
  EXPECT_TRUE(parsed) << parsed.error().message();
  return parsed ? *parsed : packager::Manifest();
}

std::string name_of(std::string_view wanted) {
  const auto found = model_template(wanted);
  return found ? found->name : "ERROR " + found.error().message();
}

TEST(ModelTemplates, AreGoodManifestsThatTheServerTakes) {
  for (const std::string& name : model_template_names()) {
    const packager::Manifest parsed = manifest(name);
    EXPECT_FALSE(parsed.name.empty()) << name;
    EXPECT_TRUE(parsed.model.starts_with("./")) << name;
    const auto settings = launch::read_runtime_settings(parsed.runtime, name);
    EXPECT_TRUE(settings) << settings.error().message();
  }
}

TEST(ModelTemplates, AreNamedAsTheirBundles) {
  for (const std::string& name : model_template_names()) {
    if (name == "generic" || name.starts_with("smollm2")) continue;
    const packager::Manifest parsed = manifest(name);
    EXPECT_EQ(parsed.name, name);
    EXPECT_FALSE(parsed.license.empty()) << name;
    EXPECT_TRUE(parsed.runtime.contains("context_length")) << name;
    EXPECT_TRUE(parsed.runtime.contains("reasoning_parser")) << name;
  }
}

TEST(ModelTemplates, ReasonersAreSetUpAsTheirAuthorsAdvise) {
  for (const char* name : {"deepseek-r1", "deepseek-r1-zero", "deepseek-r1-distill-qwen-1.5b",
                           "deepseek-r1-distill-qwen-7b", "deepseek-r1-distill-qwen-14b",
                           "deepseek-r1-distill-qwen-32b", "deepseek-r1-distill-llama-8b",
                           "deepseek-r1-distill-llama-70b"}) {
    const packager::Manifest parsed = manifest(name);
    const auto settings = launch::read_runtime_settings(parsed.runtime, name);
    ASSERT_TRUE(settings) << settings.error().message();
    EXPECT_EQ(settings->reasoning_parser, "deepseek_r1") << name;
    EXPECT_EQ(settings->thinking, true) << name;
    EXPECT_EQ(settings->sampling.temperature, 0.6) << name;
    EXPECT_EQ(settings->sampling.top_p, 0.95) << name;
    EXPECT_TRUE(parsed.license.starts_with("MIT")) << name;
  }
  EXPECT_EQ(manifest("deepseek-v3.1").runtime.at("thinking"), false);
}

TEST(ModelTemplates, EveryPublishedModelOfTheFamilyHasOne) {
  for (const char* id : {"deepseek-ai/DeepSeek-V3-Base",
                         "deepseek-ai/DeepSeek-V3",
                         "deepseek-ai/DeepSeek-V3-0324",
                         "deepseek-ai/DeepSeek-R1-Zero",
                         "deepseek-ai/DeepSeek-R1",
                         "deepseek-ai/DeepSeek-R1-0528",
                         "deepseek-ai/DeepSeek-V3.1",
                         "deepseek-ai/DeepSeek-V2-Lite",
                         "deepseek-ai/DeepSeek-V2",
                         "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
                         "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
                         "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
                         "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
                         "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
                         "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
                         "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B",
                         "Qwen/Qwen3-30B-A3B",
                         "Qwen/Qwen3-235B-A22B",
                         "mistralai/Mixtral-8x7B-Instruct-v0.1",
                         "mistralai/Mixtral-8x22B-Instruct-v0.1"}) {
    const packager::Manifest parsed = manifest(id);
    const std::string folder = std::string(id).substr(std::string(id).rfind('/') + 1);
    EXPECT_EQ(parsed.model, "./" + folder);
    EXPECT_FALSE(parsed.license.empty()) << id;
    for (const char* key : {"context_length", "reasoning_parser"})
      EXPECT_TRUE(parsed.runtime.contains(key)) << id << " " << key;
    // What it runs on, spread how: in the file for people to change.
    const bool small = std::string_view(id).ends_with("-1.5B");  // runs on any processor
    if (!small) {
      EXPECT_NE(model_template(id)->text.find("\nresources:\n"), std::string::npos) << id;
    }
  }
}

std::int64_t gpus_of(const packager::Manifest& manifest) {
  const Json* gpus = manifest.resources.if_contains("gpu");
  return gpus == nullptr ? 0 : gpus->as_int64();
}

/// What decides how a model of the catalogue divides.
format::ModelConfig config_of(const std::string& folder) {
  const auto listed = read_file(Path(BUNDLE_SOURCE_DIR) / "tests/sizing/models.json").value();
  const Json models = parse_json(listed, "models.json").value();
  std::string name = folder.substr(0, folder.find("-Instruct"));
  const bool is_v2 = name == "DeepSeek-V2" || name == "DeepSeek-V2-Chat";
  for (const Json& model : models.as_array()) {
    if (model.at("name") != Json(is_v2 ? "DeepSeek-V2-Lite" : name)) continue;
    Json config = model.at("config");
    if (is_v2) {
      for (const auto& [key, value] :
           {std::pair("num_attention_heads", 128), std::pair("num_key_value_heads", 128),
            std::pair("n_routed_experts", 160), std::pair("moe_intermediate_size", 1536)})
        config.as_object()[key] = value;
    }
    return format::parse_model_config(print_json(config)).value();
  }
  ADD_FAILURE() << folder;
  return {};
}

TEST(ModelTemplates, SayHowSeveralGpusShareThem) {
  int divided = 0;
  for (const std::string& name : model_template_names()) {
    const packager::Manifest whole = manifest(name);
    ASSERT_EQ(whole.runtime.contains("parallel"), gpus_of(whole) > 1) << name;
    if (gpus_of(whole) <= 1) continue;
    ++divided;
    const auto settings = launch::read_runtime_settings(whole.runtime, name);
    ASSERT_TRUE(settings) << settings.error().message();
    EXPECT_EQ(settings->parallel.ranks(), gpus_of(whole)) << name;
    const format::ModelConfig config = config_of(whole.model.substr(2));
    EXPECT_EQ(settings->parallel.expert, config.moe ? gpus_of(whole) : 1) << name;
    const Status divides = model::check_parallel(config, settings->parallel);
    EXPECT_TRUE(divides) << name << ": " << divides.error().message();
  }
  EXPECT_GE(divided, 13);
}

TEST(ModelTemplates, HaveManyNames) {
  EXPECT_EQ(name_of("deepseek-r1"), "deepseek-r1");
  EXPECT_EQ(name_of("deepseek-ai/DeepSeek-R1"), "deepseek-r1");
  EXPECT_EQ(name_of("R1"), "deepseek-r1");
  EXPECT_EQ(name_of("deepseek-r1:7b"), "deepseek-r1-distill-qwen-7b");
  EXPECT_EQ(name_of("deepseek-ai/DeepSeek-R1-Distill-Llama-70B"), "deepseek-r1-distill-llama-70b");
  EXPECT_EQ(name_of("deepseek-v3.1"), "deepseek-v3.1");
  EXPECT_EQ(name_of("Qwen/Qwen3-30B-A3B"), "qwen3-30b-a3b");
  EXPECT_EQ(name_of("mistralai/Mixtral-8x7B-Instruct-v0.1"), "mixtral-8x7b-instruct");
}

TEST(ModelTemplates, NoNameMeansTwoOfThem) {
  std::set<std::string> seen;
  for (const std::string& name : model_template_names()) {
    const std::string text = model_template(name)->text;
    EXPECT_TRUE(seen.insert(name).second) << name;
    const std::size_t at = text.find("# Also known as: ");
    if (at == std::string::npos) continue;
    std::string list = text.substr(at + 17, text.find('\n', at) - at - 17) + ", ";
    for (std::size_t comma; (comma = list.find(", ")) != std::string::npos;
         list.erase(0, comma + 2)) {
      const std::string alias = list.substr(0, comma);
      EXPECT_TRUE(seen.insert(alias).second) << alias;
      EXPECT_EQ(name_of(alias), name);
    }
  }
}

TEST(ModelTemplates, AWrongNameLeadsToTheNearest) {
  EXPECT_NE(name_of("deepsek-r1").find("Did you mean 'deepseek-r1'?"), std::string::npos);
  EXPECT_NE(name_of("deepseek-r1-distill-qwen-6b").find("'deepseek-r1-distill-qwen-7b'"),
            std::string::npos);
  EXPECT_NE(name_of("a model of no kind").find("bundle init --help"), std::string::npos);
}

}  // namespace
}  // namespace bundle::templates
