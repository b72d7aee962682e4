// The whole program on the CUDA backend, with the emulator in libbundle_cuda.so's place: found,
// loaded, planned by the GPU's memory, and served.
#include <algorithm>
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/golden/golden_weights.h"
#include "tests/golden/temp_folder.h"
#include "tests/launch/running_server.h"

namespace bundle::launch {
namespace {

using testing::HasSubstr;

class CudaServer : public testing::Test {
 protected:
  CudaServer() {
    ::setenv("BUNDLE_CUDA_BACKEND", BUNDLE_BINARY_DIR "/tests/libbundle_cuda_emulated.so", 1);
    ::setenv("BUNDLE_CUDA_DRIVER_DIR", BUNDLE_BINARY_DIR "/tests/emulated_driver", 1);
    golden_ = golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden/llama_tied")).value();
    golden::make_checkpoint(golden_, model()).value();
  }
  ~CudaServer() override {
    for (const char* name :
         {"BUNDLE_CUDA_BACKEND", "BUNDLE_CUDA_DRIVER_DIR", "BUNDLE_EMULATED_DRIVER_VERSION",
          "BUNDLE_EMULATED_GPUS", "BUNDLE_EMULATED_MEMORY"}) {
      ::unsetenv(name);
    }
  }

  Path model() const { return folder_.path() / "golden"; }
  std::vector<std::string> arguments(const std::string& backend) const {
    return {"--model", model().string(),     "--port", "0",          "--name", "golden",
            "--set",   "backend=" + backend, "--set",  "kv_type=f32"};
  }
  std::vector<std::string> two_ranks(const std::string& backend) const {
    std::vector<std::string> all = arguments(backend);
    all.insert(all.end(), {"--set", "parallel.tensor=2"});
    return all;
  }
  /// The last words of a server that is to end by itself.
  std::string failure() const {
    RunningServer server(arguments("cuda"), folder_.path());
    EXPECT_NE(server.wait_exit().value_or(0), 0);
    return server.log();
  }

  /// The shortest prompt, continued greedily.
  void expect_reference(RunningServer& server) const;

  golden::TempFolder folder_;
  golden::Golden golden_;
};

void CudaServer::expect_reference(RunningServer& server) const {
  ASSERT_TRUE(server.wait_ready()) << server.log();
  const golden::Prompt& prompt = *std::min_element(
      golden_.prompts.begin(), golden_.prompts.end(),
      [](const auto& a, const auto& b) { return a.tokens.size() < b.tokens.size(); });
  JsonArray ids;
  for (const std::int32_t token : prompt.tokens) ids.emplace_back(token);
  const auto response = server.post("/v1/completions", JsonObject{{"model", "golden"},
                                                                  {"prompt", ids},
                                                                  {"max_tokens", 4},
                                                                  {"temperature", 0},
                                                                  {"ignore_eos", true},
                                                                  {"return_token_ids", true}});
  ASSERT_TRUE(response) << response.error().message();
  ASSERT_EQ(response->status, 200) << response->body;
  const Json body = *parse_json(response->body, "answer");
  const JsonArray& got = body.at("choices").at(0).at("token_ids").as_array();
  ASSERT_EQ(got.size(), 4u);
  for (std::size_t i = 0; i < got.size() && prompt.greedy_margin[i] > 2e-4; ++i) {
    EXPECT_EQ(got[i].to_number<std::int32_t>(), prompt.greedy[i]) << "step " << i;
  }
}

TEST_F(CudaServer, AnswersWhatTheReferenceImplementationAnswers) {
  RunningServer server(arguments("cuda"), folder_.path());
  expect_reference(server);
}

TEST_F(CudaServer, TwoGpusShareOneModel) {
  ::setenv("BUNDLE_EMULATED_GPUS", "2", 1);
  RunningServer server(two_ranks("cuda"), folder_.path());
  expect_reference(server);
}

TEST_F(CudaServer, RanksWithoutAGpuEachAreRefusedOrTakeTheCpus) {
  RunningServer refused(two_ranks("cuda"), folder_.path());
  EXPECT_NE(refused.wait_exit().value_or(0), 0);
  EXPECT_THAT(refused.log(), HasSubstr("2 ranks need a GPU each, and there are 1"));
  RunningServer server(two_ranks("auto"), folder_.path());
  expect_reference(server);
  EXPECT_THAT(server.log(), HasSubstr("running on the CPU: 2 ranks need a GPU each"));
}

TEST_F(CudaServer, OutOfMemorySaysHowMuchIsMissing) {
  ::setenv("BUNDLE_EMULATED_MEMORY", "100000", 1);
  const std::string said = failure();
  EXPECT_THAT(said, HasSubstr("the GPU's memory does not hold the weights"));
  EXPECT_THAT(said, HasSubstr("all weights take"));
  EXPECT_THAT(said, HasSubstr("more than were free"));
  EXPECT_THAT(said, HasSubstr("`bundle size` names the GPUs that hold this model"));
}

TEST_F(CudaServer, AnOldDriverNamesBothVersions) {
  ::setenv("BUNDLE_EMULATED_DRIVER_VERSION", "12040", 1);
  EXPECT_THAT(failure(), HasSubstr("supports CUDA 12.4, and CUDA 13.0 needs 580"));
}

}  // namespace
}  // namespace bundle::launch
