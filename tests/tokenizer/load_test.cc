#include <cstdlib>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "runtime/tokenizer/tokenizer.h"

namespace bundle::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kJson =
    R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}})";

class LoadTest : public ::testing::Test {
 protected:
  LoadTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tokenizerXXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~LoadTest() override { std::filesystem::remove_all(folder_); }

  Path write(const char* name, std::string_view text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }

  Path folder_;
};

TEST_F(LoadTest, TellsFilesApartByContent) {
  EXPECT_THAT((*load_tokenizer_file(write("x", kJson)))->encode("ab"), ElementsAre(2));
  EXPECT_THAT(load_tokenizer_file(write("y", "YQ== 0\nYg== 1\n")).error().message(),
              HasSubstr("2 ranks"));
  EXPECT_THAT((*load_tokenizer_file(write("y", "YQ== 0\nYg== 1\n"), "llama3"))->encode("ab"),
              ElementsAre(0, 1));
}

TEST_F(LoadTest, FindsTheTokenizerOfAModel) {
  // The smallest safetensors file: an empty header.
  write("model.safetensors", std::string("\x02\0\0\0\0\0\0\0{}", 10));
  write("config.json", "{}");
  const auto open = [&] {
    auto source = format::ModelSource::open(folder_);
    EXPECT_FALSE(source.has_error()) << source.error().message();
    auto checkpoint = format::Checkpoint::open(*source);
    EXPECT_FALSE(checkpoint.has_error()) << checkpoint.error().message();
    return load_tokenizer(*checkpoint);
  };
  EXPECT_EQ(open().error().code, ErrorCode::kNotFound);
  write("tokenizer.json", kJson);
  write("tokenizer_config.json", R"({"bos_token":"a","eos_token":{"content":"b"}})");
  const auto tokenizer = open();
  ASSERT_FALSE(tokenizer.has_error());
  EXPECT_EQ((*tokenizer)->bos_id(), 0);
  EXPECT_EQ((*tokenizer)->eos_id(), 1);
}

TEST_F(LoadTest, RefusesOtherFiles) {
  for (const char* text :
       {"hello world\n", "{", "[]", "GGUF", "GGUF\x03", "\x0a", "\x0a\x05\x0a", "{}"}) {
    const auto loaded = load_tokenizer_file(write("bad", text));
    ASSERT_TRUE(loaded.has_error()) << text;
    EXPECT_FALSE(loaded.error().where.empty()) << text;
  }
  EXPECT_TRUE(load_tokenizer_file(folder_ / "missing").has_error());
  EXPECT_TRUE(load_tokenizer_file(write("empty", "")).has_error());
}

TEST_F(LoadTest, EncodesFromManyThreads) {
  const auto tokenizer = *load_tokenizer_file(write("x", kJson));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) EXPECT_THAT(tokenizer->encode("aba"), ElementsAre(2, 0));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace bundle::tokenizer
