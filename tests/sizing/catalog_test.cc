#include "cloud/catalog/catalog.h"

#include <gmock/gmock.h>
#include <set>

namespace bundle::catalog {
namespace {

using testing::HasSubstr;

const Catalog& built_in() {
  static const Catalog catalog = Catalog::built_in().value();
  return catalog;
}

TEST(Catalog, HasASourceForEveryModel) {
  EXPECT_GE(built_in().models().size(), 48u);
  EXPECT_GE(built_in().gpus().size(), 25u);
  EXPECT_GE(built_in().machines().size(), 100u);
  for (const ModelEntry& model : built_in().models()) {
    EXPECT_NE(find(model.document, "source"), nullptr) << model.name;
  }
  for (const sizing::MachineSpec& machine : built_in().machines()) {
    EXPECT_TRUE(!machine.usd_per_hour || !machine.price_date.empty()) << machine.type;
  }
}

TEST(Catalog, KnowsNamesHubIdsAndAliases) {
  for (const char* name : {"DeepSeek-R1", "deepseek-r1", "deepseek-ai/DeepSeek-R1"}) {
    const auto model = built_in().model(name);
    ASSERT_TRUE(model) << name;
    EXPECT_EQ((*model)->name, "DeepSeek-R1");
  }
  EXPECT_EQ((*built_in().model("SmolLM2-135M-Instruct"))->name, "SmolLM2-135M");
  for (const char* name : {"h200", "H200", "h200_sxm", "H200 SXM", "NVIDIA H200"}) {
    const auto gpu = built_in().gpu(name);
    ASSERT_TRUE(gpu) << name;
    EXPECT_EQ((*gpu)->id, "h200_sxm");
  }
}

TEST(Catalog, NamesTheNearest) {
  const auto model = built_in().model("deepsek-r1");
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(model.error().remedy, HasSubstr("deepseek-r1"));
  const auto gpu = built_in().gpu("h2000");
  ASSERT_FALSE(gpu);
  EXPECT_THAT(gpu.error().remedy, HasSubstr("h200"));
}

TEST(Catalog, TakesOverrides) {
  Catalog catalog = built_in();
  const Json document = parse_json(R"({
    "gpus": {"h200_sxm": {"name": "H200", "vendor": "NVIDIA", "compute_capability": "9.0",
      "memory_gb": 141, "memory_gib_usable": 100, "memory_bandwidth_gb_s": 4800,
      "dense_tflops": {"bf16": 989, "fp8": 1979}}},
    "instances": [{"provider": "mine", "instance_type": "x", "gpu": "h200_sxm", "gpu_count": 8,
      "on_demand_usd_per_hour": 1.5, "price_as_of": "2026-11-01"}]})",
                                   "test")
                            .value();
  const std::size_t machines = catalog.machines().size();
  ASSERT_TRUE(catalog.merge(document, "test"));
  EXPECT_EQ((*catalog.gpu("h200"))->usable_gib, 100);
  EXPECT_EQ(catalog.gpus().size(), built_in().gpus().size());
  EXPECT_EQ(catalog.machines().size(), machines + 1);
  ASSERT_TRUE(catalog.merge(document, "test"));
  EXPECT_EQ(catalog.machines().size(), machines + 1);
}

TEST(Catalog, RefusesWhatIsMalformedAndChangesNothing) {
  Catalog catalog = built_in();
  for (const char* text :
       {"[]", "{}", R"({"gpus": []})", R"({"gpus": {"x": {"vendor": "NVIDIA"}}})",
        R"({"gpus": {"x": {"vendor": "N", "memory_gb": -1, "memory_bandwidth_gb_s": 1,
            "dense_tflops": {"bf16": 1}}}})",
        R"({"gpus": {"x": {"vendor": "N", "memory_gb": 1, "memory_bandwidth_gb_s": 1,
            "dense_tflops": {}}}})",
        R"({"models": {"m": {}}})", R"({"instances": [{}]})",
        R"({"instances": [{"provider": "p", "instance_type": "t", "gpu": "none",
            "gpu_count": 1}]})"}) {
    const auto status = catalog.merge(parse_json(text, "test").value(), "test");
    ASSERT_FALSE(status) << text;
    EXPECT_EQ(status.error().code, ErrorCode::kBadInput) << text;
  }
  EXPECT_EQ(catalog.gpus().size(), built_in().gpus().size());
}

TEST(Catalog, EstimatesWhatNobodyReports) {
  const auto* gpu = *built_in().gpu("a10");
  EXPECT_TRUE(gpu->usable_estimated);
  EXPECT_NEAR(gpu->usable_gib, 22.35, 0.01);
  EXPECT_FALSE((*built_in().gpu("h200"))->usable_estimated);
}

TEST(Inventory, ReadsHosts) {
  const auto machines =
      read_inventory(parse_json(R"({"hosts": [{"name": "a", "gpu": "H100", "gpus": 8, "count": 2,
          "network_gbps": 400}, {"gpu": "l40s"}]})",
                                "i")
                         .value(),
                     built_in(), "i");
  ASSERT_TRUE(machines) << machines.error().message();
  ASSERT_EQ(machines->size(), 2u);
  EXPECT_EQ((*machines)[0].gpu, "h100_sxm");
  EXPECT_EQ((*machines)[0].machines, 2);
  EXPECT_EQ((*machines)[1].gpu_count, 1);
}

TEST(Inventory, NamesTheHostAtFault) {
  for (const char* text : {R"({})", R"({"hosts": []})", R"({"hosts": [{"gpus": 1}]})",
                           R"({"hosts": [{"gpu": "h100", "gpus": 0}]})",
                           R"({"hosts": [{"gpu": "h100", "count": -1}]})"}) {
    const auto machines = read_inventory(parse_json(text, "i").value(), built_in(), "inv.yaml");
    ASSERT_FALSE(machines) << text;
    EXPECT_THAT(machines.error().where, HasSubstr("inv.yaml"));
  }
  EXPECT_FALSE(
      read_inventory(parse_json(R"({"hosts": [{"gpu": "h1000"}]})", "i").value(), built_in(), "i"));
}

TEST(JoinDocuments, ReplacesEntriesOfOneName) {
  Json kept = JsonObject{};
  const Json first = parse_json(R"({"gpus": {"a": 1, "b": 2}, "instances": [
      {"provider": "p", "instance_type": "t", "gpu": "g", "x": 1}]})",
                                "t")
                         .value();
  const Json second = parse_json(R"({"gpus": {"b": 3}, "instances": [
      {"provider": "p", "instance_type": "t", "gpu": "g", "x": 2}]})",
                                 "t")
                          .value();
  join_documents(kept, first);
  const JsonObject counts = join_documents(kept, second);
  EXPECT_EQ(counts.at("gpus"), Json(1));
  EXPECT_EQ(kept.at("gpus").at("a"), Json(1));
  EXPECT_EQ(kept.at("gpus").at("b"), Json(3));
  ASSERT_EQ(kept.at("instances").as_array().size(), 1u);
  EXPECT_EQ(kept.at("instances").as_array()[0].at("x"), Json(2));
}

}  // namespace
}  // namespace bundle::catalog
