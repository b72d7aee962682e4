// A model over TCP: bit for bit what the same form gives over shared memory.
#include <gtest/gtest.h>

#include "tests/comm/rank_threads.h"
#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

struct Case {
  const char* model;
  Parallel parallel;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.model << " on " << c.parallel.ranks() << " ranks";
}

class ParallelTcpTest : public testing::TestWithParam<Case> {};

TEST_P(ParallelTcpTest, GivesTheBitsOfSharedMemory) {
  const golden::Golden golden = load_golden(GetParam().model);
  const golden::TempFolder folder;
  golden::make_checkpoint(golden, folder.path()).value();
  const TestDevice device = test_devices().front();
  const Parallel& parallel = GetParam().parallel;
  const int ranks = static_cast<int>(parallel.ranks());
  TeamRunner shared(folder.path(), device, parallel);
  TeamRunner apart(folder.path(), device, parallel, DType::kF32, 64, {},
                   comm::make_tcp_ranks(ranks, ranks));
  for (const golden::Prompt& prompt : golden.prompts) {
    const auto rows = static_cast<std::int64_t>(prompt.tokens.size());
    for (TeamRunner* runner : {&shared, &apart}) runner->set_prompt(rows);
    EXPECT_EQ(shared.run(prompt.tokens, 0, rows), apart.run(prompt.tokens, 0, rows));
    EXPECT_EQ(shared.greedy(prompt.tokens, 8), apart.greedy(prompt.tokens, 8));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Forms, ParallelTcpTest,
    testing::Values(Case{"llama_tied", {2, 1, 1, 1}}, Case{"llama_tied", {1, 2, 1, 1}},
                    Case{"llama_tied", {4, 1, 1, 2}}, Case{"qwen3_moe", {4, 1, 2, 1}},
                    Case{"deepseek_v3", {2, 2, 2, 1}}, Case{"deepseek_v3", {4, 1, 4, 4}}));

}  // namespace
}  // namespace bundle::model
