// Whole files, cut at every length and changed at random: the parsers answer with an error or with
// tensors that may be read. What else could happen, the address sanitizer sees.
#include <cstdint>
#include <random>

#include "runtime/format/model_config.h"
#include "runtime/format/safetensors.h"
#include "tests/format/model_folder.h"
#include "tests/format/refusal.h"
#include "tests/format/safetensors_bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace bundle::format {
namespace {

void feed(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

std::string sample_gguf() {
  GgufBuilder builder;
  small_model(builder, "llama")
      .u32("general.alignment", 32)
      .u32("tokenizer.ggml.eos_token_id", 1)
      .texts("tokenizer.ggml.tokens", {"<s>", "</s>", "a"})
      .numbers<std::int32_t>("tokenizer.ggml.token_type", {3, 3, 1})
      .numbers<float>("tokenizer.ggml.scores", {0.0f, 0.5f, 1.0f})
      .raw_array("flags", kBoolNumber, 2, std::string("\1\0", 2))
      .tensor("token_embd.weight", 0, {4, 2}, std::string(32, 'e'))
      .tensor("blk.0.ffn_up_exps.weight", 2, {32, 1, 2}, std::string(36, 'q'))
      .tensor("output_norm.weight", 0, {4}, std::string(16, 'n'));
  return builder.build();
}

std::string sample_safetensors() {
  return safetensors_bytes(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
      R"("b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]}})",
      "0123456789abcdefuvwxyz");
}

std::string sample_config() {
  return R"({"architectures":["DeepseekV3ForCausalLM"],"vocab_size":512,"hidden_size":256,)"
         R"("intermediate_size":384,"num_hidden_layers":4,"num_attention_heads":4,)"
         R"("max_position_embeddings":2048,"n_routed_experts":16,"num_experts_per_tok":4,)"
         R"("moe_intermediate_size":128,"n_group":4,"topk_group":2,"eos_token_id":[1,2],)"
         R"("rope_scaling":{"type":"yarn","factor":16.0,"beta_fast":32},"temperature":0.5})";
}

/// A few changes of the kinds that find parser defects: random bytes, bits, counts gone large,
/// pieces removed or repeated.
std::string mutate(std::string bytes, std::mt19937& random) {
  const auto below = [&](std::size_t n) { return random() % n; };
  for (std::size_t changes = 1 + below(4); changes > 0 && !bytes.empty(); --changes) {
    const std::size_t at = below(bytes.size());
    switch (below(6)) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 2:
        bytes.replace(at, 8,
                      below(2) == 0 ? std::string(8, '\xFF') : wire(std::uint64_t{1} << below(64)));
        break;
      case 3:
        bytes.erase(at, 1 + below(16));
        break;
      case 4:
        bytes.insert(at, bytes.substr(below(bytes.size()), 1 + below(16)));
        break;
      default:
        bytes[at] = static_cast<char>(below(3));
        break;
    }
  }
  return bytes;
}

TEST(Damage, SamplesAreValid) {
  EXPECT_TRUE(parse_gguf(as_bytes(sample_gguf()), "gguf"));
  ModelFolder folder;
  folder.write("model.safetensors", sample_safetensors()).write("config.json", sample_config());
  const auto checkpoint = folder.open();
  ASSERT_TRUE(checkpoint) << checkpoint.error().message();
  const auto config = read_model_config(*checkpoint);
  EXPECT_TRUE(config) << config.error().message();
}

TEST(Damage, FilesCutAtEveryLengthAreRefused) {
  const std::string gguf = sample_gguf();
  for (std::size_t n = 0; n < gguf.size(); ++n) {
    const std::string cut = gguf.substr(0, n);
    EXPECT_FALSE(parse_gguf(as_bytes(cut), "cut")) << n;
    feed(cut);
  }
  const std::string safetensors = sample_safetensors();
  for (std::size_t n = 0; n < safetensors.size(); ++n) {
    const std::string cut = safetensors.substr(0, n);
    EXPECT_FALSE(parse_safetensors(as_bytes(cut), "cut")) << n;
    feed(cut);
  }
  const std::string config = sample_config();
  for (std::size_t n = 0; n < config.size(); ++n) {
    EXPECT_FALSE(parse_model_config(std::string_view(config).substr(0, n))) << n;
  }
}

TEST(Damage, CutFilesAreRefusedFromDiskToo) {
  ModelFolder folder;
  const std::string file = sample_safetensors();
  for (std::size_t n = 0; n < file.size(); n += 3) {
    folder.write("model.safetensors", std::string_view(file).substr(0, n));
    EXPECT_FALSE(folder.open()) << n;
  }
}

TEST(Damage, ChangedFilesNeverHarm) {
  std::mt19937 random(20240229);
  for (const std::string& sample : {sample_gguf(), sample_safetensors(), sample_config()}) {
    for (int i = 0; i < 20000; ++i) feed(mutate(sample, random));
  }
}

TEST(Damage, ChangedFilesNeverHarmTheConfiguration) {
  std::mt19937 random(7);
  const std::string sample = sample_gguf();
  ModelFolder folder;
  int parsed = 0;
  for (int i = 0; i < 3000; ++i) {
    folder.write("m.gguf", mutate(sample, random));
    const auto checkpoint = folder.open();
    if (checkpoint && read_model_config(*checkpoint)) ++parsed;
  }
  EXPECT_GT(parsed, 0);
  EXPECT_LT(parsed, 3000);
}

}  // namespace
}  // namespace bundle::format
