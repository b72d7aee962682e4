// The reference implementation's answers on many ranks, in every form that divides a model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <tuple>

#include "runtime/comm/shared_memory.h"
#include "runtime/model/step_message.h"
#include "runtime/model/team.h"
#include "tests/golden/temp_folder.h"
#include "tests/model/checkpoint_builder.h"
#include "tests/model/gguf_checkpoint.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

using testing::HasSubstr;

std::string text(const Parallel& p) {
  return "TP" + std::to_string(p.tensor) + "_PP" + std::to_string(p.pipeline) + "_EP" +
         std::to_string(p.expert) + "_DP" + std::to_string(p.data);
}

/// The reference device and the best one that multiplies in float32: exact enough to compare.
std::vector<TestDevice> exact_devices() {
  std::vector<TestDevice> exact;
  for (const TestDevice& device : test_devices()) {
    if (device.tolerance <= 1e-4f && exact.size() < 2) exact.push_back(device);
  }
  return exact;
}

/// Its folder, written once.
const Path& checkpoint(const golden::Golden& golden) {
  static std::map<std::string, golden::TempFolder> folders;
  const auto [at, fresh] = folders.try_emplace(golden.name);
  if (fresh) golden::make_checkpoint(golden, at->second.path()).value();
  return at->second.path();
}

/// A golden model and a form that divides it.
struct Case {
  std::string model;
  Parallel parallel;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.model << " " << text(c.parallel); }

/// Every form on the fast device, and the first of each kind on the slow one too.
std::vector<std::tuple<Case, TestDevice>> cases() {
  std::vector<std::tuple<Case, TestDevice>> all;
  const std::vector<TestDevice> devices = exact_devices();
  const auto add = [&](const std::string& model, std::vector<Parallel> forms) {
    const bool both = model == "qwen3_moe" || model == "deepseek_v3" || model == "deepseek_v3_fp8";
    for (std::size_t i = 0; i < forms.size(); ++i) {
      all.emplace_back(Case{model, forms[i]}, devices.back());
      if (both && i < 4 && devices.size() > 1) {
        all.emplace_back(Case{model, forms[i]}, devices.front());
      }
    }
  };
  const std::vector<Parallel> dense = {{1, 1, 1, 1}, {2, 1, 1, 1}, {4, 1, 1, 1}, {1, 2, 1, 1},
                                       {2, 2, 1, 1}, {1, 3, 1, 1}, {2, 1, 1, 2}, {4, 1, 1, 2},
                                       {4, 1, 1, 4}, {2, 2, 1, 2}};
  for (const char* model : {"llama_tied", "qwen2_bias"}) add(model, dense);
  for (const char* model : {"llama3_rope", "qwen3_qknorm"}) {
    add(model, {{2, 1, 1, 1}, {4, 1, 1, 1}, {1, 2, 1, 1}, {4, 1, 1, 2}});
  }
  const std::vector<Parallel> experts = {{2, 1, 2, 1}, {4, 1, 2, 1}, {4, 1, 4, 1},
                                         {2, 1, 2, 2}, {4, 1, 4, 2}, {4, 1, 4, 4},
                                         {4, 1, 2, 2}, {2, 2, 2, 1}, {2, 2, 2, 2}};
  for (const char* model : {"qwen3_moe", "mixtral", "deepseek_v2_lite", "deepseek_v3"}) {
    add(model, dense);
    add(model, experts);
  }
  // Experts are one block of 8-bit floats wide: they are spread, not cut.
  add("deepseek_v3_fp8", {{1, 1, 1, 1},
                          {1, 2, 1, 1},
                          {1, 4, 1, 1},
                          {2, 1, 2, 1},
                          {4, 1, 4, 1},
                          {2, 1, 2, 2},
                          {4, 1, 4, 2},
                          {4, 1, 4, 4},
                          {2, 2, 2, 1},
                          {2, 2, 2, 2}});
  add("deepseek_v3_mtp", {{2, 1, 2, 1}, {1, 2, 1, 1}, {2, 2, 1, 2}});
  return all;
}

/// The golden model's prompts that the device is asked.
golden::Golden golden_for(const std::string& model, const TestDevice& device) {
  golden::Golden golden = load_golden(model);
  std::erase_if(golden.prompts, [&](const golden::Prompt& prompt) {
    return device.most_tokens > 0 && prompt.tokens.size() > device.most_tokens;
  });
  return golden;
}

class ParallelTest : public testing::TestWithParam<std::tuple<Case, TestDevice>> {
 protected:
  TestDevice device_ = std::get<1>(GetParam());
  golden::Golden golden_ = golden_for(std::get<0>(GetParam()).model, device_);
  Parallel parallel_ = std::get<0>(GetParam()).parallel;
  std::unique_ptr<TeamRunner> runner_ =
      std::make_unique<TeamRunner>(checkpoint(golden_), device_, parallel_);
};

TEST_P(ParallelTest, GivesTheReferenceLogits) {
  std::int64_t group = 0;
  for (const golden::Prompt& prompt : golden_.prompts) {
    const auto vocab = static_cast<std::size_t>(runner_->model().config().vocab_size);
    const auto rows = static_cast<std::int64_t>(prompt.tokens.size());
    runner_->set_prompt(rows);
    runner_->set_group(group++ % parallel_.data);
    const std::vector<float> logits = runner_->run(prompt.tokens, 0, rows);
    ASSERT_EQ(logits.size(), prompt.tokens.size() * vocab);
    const std::span<const float> all(logits);
    EXPECT_LE(largest_difference(all.last(vocab), prompt.last), device_.tolerance)
        << rows << " tokens";
    for (std::size_t i = 0; i < prompt.tokens.size(); ++i) {
      if (prompt.margin[i] < 2 * device_.tolerance) continue;
      EXPECT_EQ(argmax(all.subspan(i * vocab, vocab)), prompt.argmax[i]) << "position " << i;
    }
  }
}

TEST_P(ParallelTest, ContinuesAsTheReferenceDoes) {
  std::int64_t group = 0;
  for (const golden::Prompt& prompt : golden_.prompts) {
    runner_->set_group(group++ % parallel_.data);
    const auto output =
        runner_->greedy(prompt.tokens, std::min(prompt.greedy.size(), device_.most_steps));
    for (std::size_t i = 0; i < output.size(); ++i) {
      if (prompt.greedy_margin[i] < 2 * device_.tolerance) break;
      ASSERT_EQ(output[i], prompt.greedy[i])
          << "step " << i << " after " << prompt.tokens.size() << " tokens";
    }
  }
}

/// Several sequences in one step, of all groups, with and without logits: bit for bit what each
/// gives alone.
TEST_P(ParallelTest, NeighboursChangeNoBit) {
  const auto& prompts = golden_.prompts;
  const auto per_sequence = runner_->blocks().size() / 4;
  std::vector<SequenceChunk> chunks;
  for (std::size_t i = 1; i < prompts.size(); ++i) {
    const auto tokens = std::span(prompts[i].tokens);
    const auto part = tokens.first(std::min<std::size_t>(tokens.size(), 40));
    const auto blocks = std::span(runner_->blocks()).subspan(i * per_sequence, per_sequence);
    chunks.push_back({part, 0, blocks, i == 1 ? 0 : static_cast<std::int64_t>(i),
                      static_cast<std::int64_t>(part.size()), false,
                      static_cast<std::int64_t>(i) % parallel_.data});
  }
  const std::vector<float> together = runner_->step(chunks);
  std::vector<float> alone;
  for (const SequenceChunk& chunk : chunks) {
    const auto logits = runner_->step({&chunk, 1});
    alone.insert(alone.end(), logits.begin(), logits.end());
  }
  EXPECT_EQ(together, alone);
}

std::string name_of(const testing::TestParamInfo<std::tuple<Case, TestDevice>>& test) {
  const Case& c = std::get<0>(test.param);
  return c.model + "_" + text(c.parallel) + "_" + std::get<1>(test.param).name;
}

INSTANTIATE_TEST_SUITE_P(All, ParallelTest, testing::ValuesIn(cases()), name_of);

/// Ranks with an emulated GPU each: what they exchange lies in its memory and is part of its
/// graphs.
INSTANTIATE_TEST_SUITE_P(Cuda, ParallelTest,
                         testing::Combine(testing::Values(Case{"llama_tied", {2, 1, 1, 1}},
                                                          Case{"llama_tied", {1, 3, 1, 1}},
                                                          Case{"qwen2_bias", {4, 1, 1, 2}},
                                                          Case{"qwen3_moe", {2, 1, 2, 1}},
                                                          Case{"deepseek_v3", {4, 1, 4, 1}},
                                                          Case{"deepseek_v3", {2, 2, 2, 2}},
                                                          Case{"deepseek_v3_fp8", {2, 1, 2, 1}},
                                                          Case{"deepseek_v3_fp8", {1, 2, 1, 1}}),
                                          testing::Values(emulated_cuda())),
                         name_of);

/// One rank with a GPU, one that has fallen back to its CPU: said, not waited for.
TEST(CudaTeam, RanksHaveOneKindOfDevice) {
  for (const auto& [first, second] :
       {std::pair("reference", kEmulatedCuda), std::pair("reference", "reference")}) {
    const Fd shared = comm::make_shared_memory(2).value();
    const std::unique_ptr<kernels::Device> devices[] = {TestDevice{first}.make(1),
                                                        TestDevice{second}.make(1)};
    std::vector<Result<std::unique_ptr<Team>>> teams;
    int rank = 0;
    for (const auto& device : devices) {
      teams.push_back(
          Team::make(comm::join_shared_memory(shared, rank++).value(), {2, 1, 1, 1}, *device));
    }
    ASSERT_TRUE(teams[0]);
    if (second == std::string("reference")) {
      EXPECT_TRUE(teams[1]);
      continue;
    }
    ASSERT_FALSE(teams[1]);
    EXPECT_THAT(teams[1].error().message(),
                HasSubstr("rank 1 computes on 'cuda', rank 0 on 'cpu'"));
    EXPECT_FALSE((*teams[0])->health());
  }
}

/// Greedy tokens that the first rank's device chooses from what all ranks scored.
TEST(CudaChoices, AreOfTheWholeVocabulary) {
  for (const Parallel& form : {Parallel{2, 1, 1, 1}, Parallel{1, 2, 1, 1}, Parallel{2, 2, 2, 2}}) {
    const golden::Golden golden = load_golden("deepseek_v3");
    TeamRunner runner(checkpoint(golden), emulated_cuda(), form);
    ASSERT_TRUE(runner.model().gives_choices()) << text(form);
    const golden::Prompt& prompt = golden.prompts.at(1);
    const auto size = static_cast<std::int64_t>(prompt.tokens.size());
    const auto vocab = static_cast<std::size_t>(runner.model().config().vocab_size);
    runner.set_prompt(size);
    const std::vector<float> logits = runner.run(prompt.tokens, 0, 2);
    const std::vector<kernels::TokenChoice> greedy(2);
    SequenceChunk chunk{prompt.tokens, 0, runner.blocks(), 2, size};
    chunk.choices = greedy;
    EXPECT_TRUE(runner.step({&chunk, 1}).empty());
    EXPECT_THAT(runner.model().choices(),
                testing::ElementsAre(argmax(std::span(logits).first(vocab)),
                                     argmax(std::span(logits).last(vocab))))
        << text(form);
  }
}

/// The draft layer on ranks.
class ParallelDraftTest : public testing::TestWithParam<Parallel> {};

TEST_P(ParallelDraftTest, GivesTheReferenceLogits) {
  const golden::Golden golden = load_golden("deepseek_v3_mtp");
  const TestDevice device = exact_devices().back();
  TeamRunner runner(checkpoint(golden), device, GetParam(), DType::kF32, 64, {.draft = true});
  ASSERT_TRUE(runner.model().can_draft());
  std::int64_t group = 0;
  for (const golden::Prompt& prompt : golden.prompts) {
    const auto size = static_cast<std::int64_t>(prompt.tokens.size());
    runner.set_prompt(size);
    runner.set_group(group++ % GetParam().data);
    const auto logits = runner.run(prompt.tokens, 0, 1);
    EXPECT_LE(largest_difference(logits, prompt.last), device.tolerance);
    std::vector<std::int32_t> following(prompt.tokens.begin() + 1, prompt.tokens.end());
    following.push_back(prompt.greedy[0]);
    const DraftChunk rows{
        0, following, 0, runner.blocks(), true, size, (group - 1) % GetParam().data};
    std::vector<float> drafted;
    runner.model().draft({&rows, 1}, runner.cache(), drafted);
    ASSERT_TRUE(runner.model().health());
    EXPECT_LE(largest_difference(drafted, prompt.mtp_last), device.tolerance) << size << " tokens";
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, ParallelDraftTest,
                         testing::Values(Parallel{2, 1, 1, 1}, Parallel{2, 1, 2, 1},
                                         Parallel{4, 1, 4, 1}, Parallel{1, 2, 1, 1},
                                         Parallel{2, 2, 2, 1}, Parallel{2, 1, 2, 2},
                                         Parallel{2, 2, 2, 2}),
                         [](const auto& test) { return text(test.param); });

class ParallelBytesTest : public testing::Test {
 protected:
  std::vector<std::uint64_t> bytes(const std::string& name, const Parallel& parallel) {
    return TeamRunner(checkpoint(load_golden(name)), test_devices().front(), parallel)
        .weight_bytes();
  }
};

/// What ranks read: their shares, plus small things that each needs (norms, routers, and of latent
/// attention what belongs to all heads).
TEST_F(ParallelBytesTest, EachRankReadsItsShare) {
  for (const auto& [name, shared] : {std::pair{"llama3_rope", 0.02},
                                     {"mixtral", 0.02},
                                     {"deepseek_v3", 0.20},
                                     {"deepseek_v3_fp8", 0.30}}) {
    const double whole = static_cast<double>(bytes(name, {}).at(0));
    for (const Parallel& form :
         {Parallel{2, 1, 1, 1}, Parallel{2, 1, 2, 1}, Parallel{4, 1, 4, 1}}) {
      const bool dense = std::string(name) == "llama3_rope";
      const bool cut = std::string(name) == "deepseek_v3_fp8" && form.expert == 1;
      if ((dense && form.expert > 1) || cut) continue;
      const double share = whole / static_cast<double>(form.tensor);
      for (const std::uint64_t rank : bytes(name, form)) {
        EXPECT_LE(static_cast<double>(rank), share + shared * whole) << name << " " << text(form);
        EXPECT_GE(static_cast<double>(rank), share * 0.85) << name << " " << text(form);
      }
    }
  }
}

TEST_F(ParallelBytesTest, StagesReadEveryByteOnce) {
  const std::uint64_t whole = bytes("deepseek_v3", {}).at(0);
  std::uint64_t sum = 0;
  for (const std::uint64_t rank : bytes("deepseek_v3", {1, 4, 1, 1})) {
    EXPECT_LT(rank, whole / 2);
    sum += rank;
  }
  EXPECT_EQ(sum, whole);
}

class ParallelRefusalTest : public testing::Test {
 protected:
  std::string refusal(const std::string& name, const Parallel& parallel) {
    try {
      TeamRunner runner(checkpoint(load_golden(name)), test_devices().front(), parallel);
    } catch (const BadResult& refused) {
      return refused.what();
    }
    return "";
  }
};

TEST_F(ParallelRefusalTest, WhatDoesNotDivideIsNamed) {
  EXPECT_THAT(refusal("llama_tied", {3, 1, 1, 1}), HasSubstr("4 heads do not divide over 3 ranks"));
  EXPECT_THAT(refusal("llama_tied", {2, 1, 2, 1}), HasSubstr("no experts to spread"));
  EXPECT_THAT(refusal("llama_tied", {1, 4, 1, 1}), HasSubstr("3 layers do not divide into 4"));
  EXPECT_THAT(refusal("llama_tied", {4, 1, 1, 3}), HasSubstr("attention in 3 groups of 4"));
  EXPECT_THAT(refusal("qwen3_moe", {4, 1, 3, 1}), HasSubstr("experts over 3 of 4"));
  EXPECT_THAT(refusal("qwen3_moe", {3, 1, 3, 3}), HasSubstr("8 experts do not divide over 3"));
  EXPECT_THAT(refusal("deepseek_v3_fp8", {2, 1, 1, 1}), HasSubstr("pieces of 128"));
}

/// Quantized blocks stay whole: widths of 11 or 3 blocks go to ranks unevenly.
class ParallelGgufTest : public testing::TestWithParam<std::tuple<std::string, DType>> {};

TEST_P(ParallelGgufTest, GivesWhatOneRankGives) {
  const auto& [name, type] = GetParam();
  const golden::Golden golden = load_golden(name);
  const golden::TempFolder folder;
  const Path path = folder.path() / "model.gguf";
  const GgufOptions options{.split_latent_heads = name == "deepseek_v3"};
  write_file_atomic(path, golden_gguf(golden, encode_as(type), options)).value();
  const TestDevice device = test_devices().front();
  const std::vector<std::int32_t>& tokens = golden.prompts[2].tokens;
  const auto alone = ModelRunner(path, device).run(tokens, 0, 5);
  const bool experts = golden.config_json.find("experts_per_tok") != std::string::npos;
  std::vector<Parallel> forms = {{2, 1, 1, 1}, {4, 1, 1, 1}, {2, 2, 1, 1}, {4, 1, 1, 2}};
  // Three blocks of an expert are too few for four pieces.
  if (name == "qwen3_moe") forms[1] = {4, 1, 2, 1}, forms[3] = {4, 1, 4, 2};
  if (experts) forms.push_back({2, 1, 2, 2});
  for (const Parallel& form : forms) {
    TeamRunner team(path, device, form);
    EXPECT_LE(largest_difference(team.run(tokens, 0, 5), alone), 1e-4f) << text(form);
  }
}

INSTANTIATE_TEST_SUITE_P(All, ParallelGgufTest,
                         testing::Combine(testing::Values("llama_tied", "qwen3_moe", "deepseek_v3"),
                                          testing::Values(DType::kBF16, DType::kQ8_0,
                                                          DType::kQ4_0)),
                         [](const auto& test) {
                           return std::get<0>(test.param) + "_" +
                                  std::string(dtype_info(std::get<1>(test.param)).name);
                         });

TEST_F(ParallelRefusalTest, ColumnsThatWouldCutABlockAreNamed) {
  const golden::TempFolder folder;
  const Path path = folder.path() / "model.gguf";
  const Encode blocks_of_256 = [](const std::string& name, const std::vector<std::int64_t>& shape,
                                  const std::vector<float>& values) {
    if (shape.size() < 2) return encode_as(DType::kF32)(name, shape, values);
    const auto bytes = storage_bytes(DType::kQ4K, static_cast<std::int64_t>(values.size()));
    return golden::StoredTensor{name, DType::kQ4K, shape, std::string(*bytes, '\0')};
  };
  write_file_atomic(path, golden_gguf(dense_golden({}), blocks_of_256)).value();
  try {
    TeamRunner runner(path, test_devices().front(), {2, 1, 1, 1});
    ADD_FAILURE() << "it was loaded";
  } catch (const BadResult& refused) {
    EXPECT_THAT(refused.what(),
                HasSubstr("columns 0 to 128 of a rank would cut the blocks of 256"));
    EXPECT_THAT(refused.what(), HasSubstr("attn_output.weight"));
  }
}

TEST(ParallelPlacement, PartsCoverEverythingOnce) {
  for (const std::int64_t total : {1, 7, 384, 1000}) {
    for (const std::int64_t unit : {1, 32, 128}) {
      for (const std::int64_t parts : {1, 2, 3, 4, 8}) {
        std::int64_t next = 0;
        for (std::int64_t i = 0; i < parts; ++i) {
          const Part part = part_of(total, unit, parts, i);
          EXPECT_EQ(part.first, next);
          EXPECT_TRUE(part.first % unit == 0 || part.count == 0);
          next += part.count;
        }
        EXPECT_EQ(next, total);
      }
    }
  }
}

TEST(ParallelPlacement, SeveralRanksShareAKeyValueHead) {
  format::ModelConfig config;
  config.num_heads = 8;
  config.num_kv_heads = 2;
  for (std::int64_t rank = 0; rank < 8; ++rank) {
    const Placement place{{8, 1, 1, 1}, rank};
    EXPECT_EQ(place.heads(config), (Part{rank, 1}));
    EXPECT_EQ(place.kv_heads(config), (Part{rank / 4, 1}));
  }
}

TEST(StepMessages, ComeBackAsTheyWent) {
  const std::vector<std::int32_t> tokens = {4, 5, 6}, blocks = {9, 1};
  const SequenceChunk chunk{tokens, 32, blocks, 2, 40, false, 3};
  const auto forward = decode_step_message(as_bytes(encode_forward({&chunk, 1}))).value();
  ASSERT_EQ(forward.kind, StepMessage::Kind::kForward);
  const SequenceChunk back = forward.sequence_chunks().at(0);
  EXPECT_TRUE(std::ranges::equal(back.tokens, tokens));
  EXPECT_TRUE(std::ranges::equal(back.blocks, blocks));
  EXPECT_EQ(std::tuple(back.position, back.logits, back.prompt, back.group),
            std::tuple(32, 2, 40, 3));
  const DraftChunk draft{7, tokens, 32, blocks, true, 40, 1};
  const auto drafted = decode_step_message(as_bytes(encode_draft({&draft, 1}))).value();
  EXPECT_EQ(drafted.draft_chunks().at(0).first_row, 7);
  EXPECT_TRUE(drafted.draft_chunks().at(0).logits);
  const auto prepared =
      decode_step_message(as_bytes(encode_prepare({8, 16, DType::kBF16, true}))).value();
  EXPECT_EQ(prepared.cache.blocks, 8);
  EXPECT_TRUE(prepared.cache.drafting);
  EXPECT_EQ(decode_step_message(as_bytes(encode_stop()))->kind, StepMessage::Kind::kStop);
}

TEST(StepMessages, CutShortOrSpoiltTheyAreRefused) {
  const std::vector<std::int32_t> tokens = {4, 5, 6}, blocks = {9, 1};
  const SequenceChunk chunk{tokens, 32, blocks, 2, 40, false, 3};
  const std::string whole = encode_forward({&chunk, 1});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decode_step_message(as_bytes(whole).first(size))) << size;
  }
  EXPECT_FALSE(decode_step_message(as_bytes(whole + "x")));
  std::string wrong = whole;
  wrong[0] = 17;
  EXPECT_FALSE(decode_step_message(as_bytes(wrong)));
  wrong = whole;
  wrong[8 + 16] = 9;  // more logits than tokens
  EXPECT_FALSE(decode_step_message(as_bytes(wrong)));
  EXPECT_FALSE(decode_step_message(as_bytes(encode_prepare({0, 16, DType::kF16, false}))));
}

}  // namespace
}  // namespace bundle::model
