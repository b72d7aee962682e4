// `bundle size` and `bundle catalog` from outside.
#include <chrono>
#include <gmock/gmock.h>

#include "base/json.h"
#include "tests/cli/bundle_program.h"
#include "tests/golden/golden_weights.h"

namespace bundle {
namespace {

using testing::HasSubstr;

class SizeProgram : public BundleProgram {
 protected:
  Json document(const std::string& arguments, int code = 0) {
    const Ran ran = run(arguments + " --output json");
    EXPECT_EQ(ran.code, code) << ran.out << ran.err;
    const auto parsed = parse_json(ran.out, "stdout");
    EXPECT_TRUE(parsed) << ran.out;
    return parsed ? *parsed : Json();
  }

  std::string file(const std::string& name, const std::string& text) {
    const Path path = home_ / name;
    EXPECT_TRUE(write_file_atomic(path, text));
    return path.string();
  }
};

TEST_F(SizeProgram, AnswersForDeepseekR1) {
  const Json answer = document("size deepseek-r1");
  EXPECT_EQ(answer.at("schema"), Json("bundle-size/1"));
  EXPECT_EQ(answer.at("model").at("stored").at("F8_E4M3").at("elements"), Json(680571043840));
  const Json& best = answer.at("best");
  EXPECT_EQ(best.at("gpu"), Json("h200_sxm"));
  EXPECT_EQ(best.at("gpus"), Json(8));
  EXPECT_EQ(best.at("layout").at("text"), Json("TP8 EP8"));
  EXPECT_NEAR(best.at("memory_per_gpu").at("weights_gib").as_double(), 79.3, 0.05);
  EXPECT_TRUE(best.at("price").at("machine").is_string());
  EXPECT_GT(best.at("speed").at("tpot_ms").as_double(),
            best.at("speed").at("tpot_bound_ms").as_double());
  bool refused = false;
  for (const Json& refusal : answer.at("refused").as_array()) {
    refused |= refusal.at("gpu") == Json("h100_sxm") && refusal.at("gpus") == Json(8) &&
               refusal.at("missing_gib").to_number<double>() > 10;
  }
  EXPECT_TRUE(refused) << print_json(answer.at("refused"));
}

TEST_F(SizeProgram, PeopleSeeTheReasons) {
  const Ran ran = run("size deepseek-r1 --explain --what-if 'gpu=b200 concurrency=64'");
  EXPECT_EQ(ran.code, 0) << ran.err;
  for (const char* piece : {"8x H200 SXM TP8 EP8", "79.3 GiB weights", "GiB lacking on each GPU",
                            "8x H100 SXM5 80GB", "MEMORY OF A GPU", "WHAT IF", "B200"}) {
    EXPECT_THAT(ran.out, HasSubstr(piece));
  }
}

TEST_F(SizeProgram, AnswersWithinAFifthOfASecond) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(run("size deepseek-r1").code, 0);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  RecordProperty("seconds", std::to_string(best));
  EXPECT_LT(best, 2.0);  // a loaded machine; docs/sizing.md has the measured time
}

TEST_F(SizeProgram, NamesWhatIsNearToAWrongName) {
  const Json error = document("size deepsek-r1", 4).at("error");
  EXPECT_THAT(std::string(error.at("remedy").as_string()), HasSubstr("deepseek-r1"));
  const Json gpu = document("size deepseek-r1 --gpu h20x", 4).at("error");
  EXPECT_THAT(std::string(gpu.at("remedy").as_string()), HasSubstr("h20"));
  EXPECT_EQ(document("size deepseek-r1 --cloud awss", 4).at("error").at("where"), Json("--cloud"));
}

TEST_F(SizeProgram, SaysWhichObjectiveCannotBeMetAndByHowMuch) {
  const Json answer = document("size llama-3.3-70b --tpot 0.1ms", 1);
  EXPECT_TRUE(answer.at("best").is_null());
  EXPECT_THAT(std::string(answer.at("error").at("message").as_string()),
              HasSubstr("--tpot 0.1 ms"));
  EXPECT_THAT(std::string(answer.at("error").at("message").as_string()),
              HasSubstr("times as long"));
}

TEST_F(SizeProgram, RefusesAContextBeyondTheModels) {
  EXPECT_EQ(run("size deepseek-r1 --context 10M").code, 2);
  EXPECT_EQ(run("size deepseek-r1 --context 1k --input-tokens 2k").code, 2);
}

TEST_F(SizeProgram, TakesABareConfig) {
  const std::string config =
      file("config.json",
           R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 32000, "hidden_size": 4096,
          "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
          "max_position_embeddings": 4096, "torch_dtype": "float16"})");
  const Json answer = document("size " + config);
  EXPECT_EQ(answer.at("model").at("parameters"), Json(6738415616));  // Llama 2 7B
  EXPECT_EQ(answer.at("model").at("format"), Json("f16"));
}

TEST_F(SizeProgram, SaysWhetherItFitsWhatIsOwned) {
  const std::string one = file("one.yaml", "hosts:\n  - {name: n1, gpu: H100, gpus: 8}\n");
  EXPECT_EQ(run("size deepseek-r1 --inventory " + one).code, 1);
  const Json small = document("size deepseek-r1-distill-llama-70b --inventory " + one);
  EXPECT_EQ(small.at("best").at("price").at("provider"), Json("on-prem"));
  const std::string two = std::string(BUNDLE_SOURCE_DIR) + "/examples/inventory.yaml";
  EXPECT_EQ(document("size deepseek-r1 --inventory " + two).at("best").at("gpus"), Json(16));
  EXPECT_EQ(run("size deepseek-r1 --inventory " + file("bad.yaml", "hosts: 3\n")).code, 3);
}

TEST_F(SizeProgram, WritesChartAndResources) {
  const std::string manifest = file("bundle.yaml", "# mine\nname: r1\n");
  const std::string chart = (home_ / "chart.svg").string();
  EXPECT_EQ(run("size deepseek-r1 --write " + manifest + " --chart " + chart).code, 0);
  EXPECT_THAT(read_file(manifest).value(), HasSubstr("# mine\nname: r1\n\nresources:\n  gpu: 8\n"));
  const std::string svg = read_file(chart).value();
  EXPECT_THAT(svg, HasSubstr("<svg"));
  EXPECT_THAT(svg, HasSubstr("weights 79.3 GiB"));
  EXPECT_THAT(svg, HasSubstr("</svg>"));
}

TEST_F(SizeProgram, KeepsUpdatesOfTheCatalogue) {
  const std::string update = file("prices.yaml",
                                  "instances:\n"
                                  "  - provider: cheap\n"
                                  "    instance_type: box\n"
                                  "    gpu: h200_sxm\n"
                                  "    gpu_count: 8\n"
                                  "    on_demand_usd_per_hour: 1.25\n"
                                  "    price_as_of: '2026-11-25'\n");
  EXPECT_EQ(run("catalog update " + update).code, 0);
  const Json answer = document("size deepseek-r1");
  EXPECT_EQ(answer.at("best").at("price").at("provider"), Json("cheap"));
  EXPECT_EQ(answer.at("best").at("price").at("usd_per_hour").to_number<double>(), 1.25);
  EXPECT_THAT(run("catalog list machines").out, HasSubstr("cheap"));
  EXPECT_EQ(run("catalog update " + file("bad.yaml", "gpus: 1\n")).code, 3);
  EXPECT_EQ(run("catalog update " + (home_ / "absent.yaml").string()).code, 4);
}

TEST_F(SizeProgram, AsksTheDriverForGpus) {
  ::setenv("LD_LIBRARY_PATH", BUNDLE_BINARY_DIR "/tests/fake_nvml", 1);
  const Json checks = document("doctor").at("checks");
  bool found = false;
  for (const Json& check : checks.as_array()) {
    if (check.at("name") != Json("gpu")) continue;
    found = true;
    EXPECT_THAT(std::string(check.at("finding").as_string()), HasSubstr("NVIDIA H100 80GB HBM3"));
    EXPECT_THAT(std::string(check.at("finding").as_string()), HasSubstr("580.65.06"));
  }
  EXPECT_TRUE(found);
  const Json here = document("size smollm2-135m --here --input-tokens 16 --output-tokens 16");
  ::unsetenv("LD_LIBRARY_PATH");
  EXPECT_EQ(here.at("gpus").as_array().size(), 2u);
  const Json& best = here.at("gpu_answer").at("best");
  EXPECT_EQ(best.at("gpu"), Json("h100_sxm"));
  EXPECT_EQ(best.at("price").at("machine"), Json("this machine"));
}

TEST_F(SizeProgram, MeasuresThisMachine) {
  const Json here = document("size smollm2-135m --here --input-tokens 32 --output-tokens 16");
  EXPECT_EQ(here.at("schema"), Json("bundle-size-here/1"));
  EXPECT_TRUE(here.at("memory").at("fits").as_bool());
  EXPECT_EQ(here.at("memory").at("weight_bytes"), Json(269030016));
  EXPECT_GT(here.at("cpu").at("decode_tok_s").to_number<double>(), 0);
  EXPECT_GT(here.at("cpu").at("prefill_tok_s").to_number<double>(),
            here.at("cpu").at("decode_tok_s").to_number<double>());
  EXPECT_EQ(run("size deepseek-r1 --here").code, 2);
}

TEST_F(SizeProgram, MeasuresEveryArchitectureWhoseFilesAreHere) {
  for (const char* name : {"qwen3_qknorm", "mixtral", "qwen3_moe", "deepseek_v2_lite",
                           "deepseek_v3", "deepseek_v3_fp8", "deepseek_v3_mtp"}) {
    const auto golden = golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden") / name);
    ASSERT_TRUE(golden) << golden.error().message();
    const Path folder = home_ / name;
    ASSERT_TRUE(golden::make_checkpoint(*golden, folder));
    const Json here =
        document("size " + folder.string() + " --here --input-tokens 32 --output-tokens 16");
    EXPECT_GT(here.at("cpu").at("decode_tok_s").to_number<double>(), 0) << name;
    EXPECT_GT(here.at("cpu").at("decode_bound_tok_s").to_number<double>(), 0) << name;
  }
}

TEST_F(SizeProgram, RefusesWeightsThatAreNotTheConfigurations) {
  const auto golden = golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden/llama_tied"));
  ASSERT_TRUE(golden) << golden.error().message();
  ASSERT_TRUE(golden::make_checkpoint(*golden, home_ / "model"));
  const std::string config = (home_ / "model" / "config.json").string();
  std::string text = read_file(config).value();
  const std::size_t at = text.find("\"num_hidden_layers\": ");
  ASSERT_NE(at, std::string::npos);
  text.insert(at + 21, "9");
  ASSERT_TRUE(write_file_atomic(config, text));
  const Ran ran = run("size " + (home_ / "model").string());
  EXPECT_EQ(ran.code, 3) << ran.out;
  EXPECT_THAT(ran.err, HasSubstr("its configuration describes"));
}

TEST_F(SizeProgram, InventoriesAreChecked) {
  const Ran slip = run("size qwen2.5-7b --inventory " +
                       file("slip.yaml", "hosts: [{gpu: H200, gpu_count: 8}]\n"));
  EXPECT_EQ(slip.code, 3);
  EXPECT_THAT(slip.err, HasSubstr("unknown key 'gpu_count'"));
  EXPECT_EQ(run("size qwen2.5-7b --inventory " +
                file("net.yaml", "hosts: [{gpu: H200, network_gbps: -5}]\n"))
                .code,
            3);
  const std::string pair =
      file("pair.yaml", "hosts: [{name: a, gpu: H200, gpus: 4}, {name: b, gpu: H200, gpus: 4}]\n");
  EXPECT_EQ(document("size deepseek-r1 --inventory " + pair).at("best").at("gpus"), Json(8));
}

TEST_F(SizeProgram, SaysWhatContradictsItself) {
  EXPECT_EQ(run("size qwen2.5-7b --rate 1 --concurrency 4").code, 2);
  EXPECT_EQ(run("size smollm2-135m --here --chart a.svg").code, 2);
  EXPECT_EQ(run("size smollm2-135m --here --input-tokens 99999999").code, 2);
}

TEST_F(SizeProgram, ChartsAreSvg) {
  const Ran ran = run("size deepseek-r1 --chart " + (home_ / "chart.png").string());
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("SVG"));
}

}  // namespace
}  // namespace bundle
