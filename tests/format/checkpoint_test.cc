#include "runtime/format/checkpoint.h"

#include "tests/format/model_folder.h"
#include "tests/format/refusal.h"
#include "tests/format/safetensors_bytes.h"

namespace bundle::format {
namespace {

constexpr std::uint32_t kF32 = 0;

std::string index_json(std::string_view weight_map) {
  return R"({"metadata":{"total_size":8},"weight_map":)" + std::string(weight_map) + "}";
}

/// Two shards with one tensor each, and their index.
ModelFolder& two_shards(ModelFolder& folder) {
  return folder.write("s1.safetensors", one_tensor_file("a", "U8", 4, "aaaa"))
      .write("s2.safetensors", one_tensor_file("b", "F32", 1, "bbbb"))
      .write("model.safetensors.index.json",
             index_json(R"({"a":"s1.safetensors","b":"s2.safetensors"})"));
}

GgufBuilder part(std::uint16_t number, std::uint16_t count, const std::string& tensor) {
  GgufBuilder builder;
  builder.number<std::uint16_t>("split.no", number)
      .number<std::uint16_t>("split.count", count)
      .number<std::int32_t>("split.tensors.count", count)
      .tensor(tensor, kF32, {2}, tensor + "1234567");
  return builder;
}

TEST(Checkpoint, OpensOneSafetensorsFileOfAnyName) {
  ModelFolder folder;
  folder.write("weights.safetensors", one_tensor_file("a", "U8", 4, "aaaa")).write("x.txt", "");
  const auto checkpoint = folder.open();
  ASSERT_TRUE(checkpoint) << checkpoint.error().message();
  EXPECT_FALSE(checkpoint->is_gguf());
  EXPECT_EQ(checkpoint->gguf(), nullptr);
  ASSERT_NE(checkpoint->find("a"), nullptr);
  EXPECT_EQ(as_text(checkpoint->find("a")->data), "aaaa");
  EXPECT_EQ(checkpoint->find("b"), nullptr);
  EXPECT_EQ(checkpoint->weight_bytes(), 4u);
}

TEST(Checkpoint, PrefersModelSafetensorsAsTransformersDoes) {
  ModelFolder folder;
  two_shards(folder).write("model.safetensors", one_tensor_file("c", "U8", 1, "c"));
  const auto checkpoint = folder.open();
  ASSERT_TRUE(checkpoint) << checkpoint.error().message();
  EXPECT_EQ(checkpoint->tensors().size(), 1u);
  EXPECT_NE(checkpoint->find("c"), nullptr);
}

TEST(Checkpoint, OpensShardsByTheirIndex) {
  ModelFolder folder;
  two_shards(folder).write("consolidated.safetensors", "not looked at");
  const auto checkpoint = folder.open();
  ASSERT_TRUE(checkpoint) << checkpoint.error().message();
  EXPECT_EQ(checkpoint->tensors().size(), 2u);
  EXPECT_EQ(as_text(checkpoint->find("b")->data), "bbbb");
  EXPECT_EQ(checkpoint->weight_bytes(), 8u);
}

TEST(Checkpoint, RefusesAnIndexThatDisagreesWithItsShards) {
  const auto with = [](std::string_view weight_map) {
    ModelFolder folder;
    two_shards(folder).write("model.safetensors.index.json", index_json(weight_map));
    return folder.open();
  };
  expect_refused(with(R"({"a":"s1.safetensors","b":"s3.safetensors"})"), "'s3.safetensors'");
  expect_refused(with(R"({"a":"s1.safetensors","b":"s2.safetensors","lost":"s2.safetensors"})"),
                 "'lost'");
  expect_refused(with(R"({"a":"s1.safetensors","x":"s2.safetensors"})"), "'b' is not in the index");
  expect_refused(with(R"({"a":"s1.safetensors","b":"s1.safetensors"})"), "'b' of the index");
  expect_refused(with(R"({"a":"s2.safetensors","b":"s2.safetensors"})"), "'a' of the index");
  ModelFolder swapped;
  two_shards(swapped).write("s2.safetensors", one_tensor_file("a", "U8", 4, "aaaa"));
  expect_refused(swapped.open(), "puts the tensor 'a' into 's1.safetensors'");
}

TEST(Checkpoint, RefusesAMalformedIndex) {
  const auto with = [](std::string_view text) {
    ModelFolder folder;
    two_shards(folder).write("model.safetensors.index.json", text);
    return folder.open();
  };
  expect_refused(with("{"), "not valid JSON");
  expect_refused(with("{}"), "no weight_map");
  expect_refused(with(R"({"weight_map":[]})"), "no weight_map");
  expect_refused(with(R"({"weight_map":{}})"), "empty");
  expect_refused(with(index_json(R"({"a":7})")), "no file name for 'a'");
  for (const char* name : {"../s1.safetensors", "/etc/s1.safetensors", "sub/s1.safetensors",
                           "..\\\\s1.safetensors", "..", "", "s1.bin", "..safetensors"}) {
    expect_refused(with(index_json(R"({"a":")" + std::string(name) + R"("})")),
                   "no name of a .safetensors file");
  }
}

TEST(Checkpoint, RefusesAFolderWithoutOneClearModel) {
  ModelFolder none;
  none.write("config.json", "{}").write("pytorch_model.bin", "");
  expect_refused(none.open(), "no weights", ErrorCode::kNotFound);
  ModelFolder shards;
  shards.write("s1.safetensors", one_tensor_file("a", "U8", 1, "a"))
      .write("s2.safetensors", one_tensor_file("b", "U8", 1, "b"));
  expect_refused(shards.open(), "no model.safetensors.index.json");
  ModelFolder ggufs;
  ggufs.write("a.gguf", GgufBuilder().build()).write("b.gguf", GgufBuilder().build());
  expect_refused(ggufs.open(), "'a.gguf' and 'b.gguf'");
}

TEST(Checkpoint, CopiesTensorsThatLieAskew) {
  ModelFolder folder;
  const std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                             R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})";
  for (int pad = 0; pad < 4; ++pad) {
    folder.write("model.safetensors",
                 safetensors_bytes(header + std::string(pad, ' '), "aaaabbbb"));
    const auto checkpoint = folder.open();
    ASSERT_TRUE(checkpoint) << checkpoint.error().message();
    const TensorView* tensor = checkpoint->find("b");
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor->data.data()) % 4, 0u);
    EXPECT_EQ(as_text(tensor->data), "bbbb");
    checkpoint->drop(*tensor);
    EXPECT_EQ(as_text(tensor->data), "bbbb");
  }
}

TEST(Checkpoint, ReadsTensorsAfterTheirPagesWereDropped) {
  ModelFolder folder;
  const std::string data(1 << 20, 'd');
  folder.write("model.safetensors", one_tensor_file("a", "U8", data.size(), data));
  const auto checkpoint = folder.open();
  ASSERT_TRUE(checkpoint) << checkpoint.error().message();
  EXPECT_EQ(as_text(checkpoint->find("a")->data), data);
  checkpoint->drop(*checkpoint->find("a"));
  EXPECT_EQ(as_text(checkpoint->find("a")->data), data);
}

TEST(Checkpoint, MapsAFileInsideABlob) {
  ModelFolder folder;
  const std::string file = one_tensor_file("a", "F32", 2, "aaaabbbb");
  folder.write("blob", std::string(4096, '#') + file + std::string(100, '#'));
  const auto checkpoint = Checkpoint::open(
      ModelSource({{"model.safetensors", folder.path("blob"), 4096, file.size(), ""}}));
  ASSERT_TRUE(checkpoint) << checkpoint.error().message();
  EXPECT_EQ(as_text(checkpoint->find("a")->data), "aaaabbbb");
}

TEST(Checkpoint, KeepsItsTensorsWhenMoved) {
  ModelFolder folder;
  folder.write("model.safetensors", one_tensor_file("a", "U8", 4, "aaaa"));
  auto first = folder.open();
  ASSERT_TRUE(first);
  const Checkpoint second = *std::move(first);
  EXPECT_EQ(as_text(second.find("a")->data), "aaaa");
}

TEST(Checkpoint, OpensGguf) {
  ModelFolder folder;
  GgufBuilder builder;
  folder.write(
      "model.gguf",
      builder.text("general.architecture", "llama").tensor("t", kF32, {2}, "12345678").build());
  for (const char* name : {"", "model.gguf"}) {
    const auto checkpoint = folder.open(name);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message();
    EXPECT_TRUE(checkpoint->is_gguf());
    EXPECT_EQ(*checkpoint->gguf()->get_string("general.architecture"), "llama");
    EXPECT_EQ(as_text(checkpoint->find("t")->data), "12345678");
  }
}

TEST(Checkpoint, OpensASplitGguf) {
  ModelFolder folder;
  folder.write("m-00001-of-00002.gguf", part(0, 2, "a").text("general.name", "first").build())
      .write("m-00002-of-00002.gguf", part(1, 2, "b").build());
  for (const char* name : {"", "m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
    const auto checkpoint = folder.open(name);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message();
    EXPECT_EQ(checkpoint->tensors().size(), 2u);
    EXPECT_EQ(as_text(checkpoint->find("b")->data), "b1234567");
    EXPECT_EQ(*checkpoint->gguf()->get_string("general.name"), "first");
  }
}

TEST(Checkpoint, RefusesPartsThatDoNotBelongTogether) {
  const auto with = [](const GgufBuilder& first, const GgufBuilder& second) {
    ModelFolder folder;
    folder.write("m-00001-of-00002.gguf", first.build())
        .write("m-00002-of-00002.gguf", second.build());
    return folder.open();
  };
  ASSERT_TRUE(with(part(0, 2, "a"), part(1, 2, "b")));
  expect_refused(with(part(0, 3, "a"), part(1, 2, "b")), "3 parts (split.count), but 2 are here");
  expect_refused(with(part(0, 2, "a"), GgufBuilder()), "0 parts (split.count)");
  expect_refused(with(part(1, 2, "a"), part(0, 2, "b")), "it is part 2 (split.no)");
  expect_refused(with(part(0, 2, "a"), part(1, 2, "a")), "'a' is also in another file");
  GgufBuilder more = part(1, 2, "b");
  more.tensor("c", kF32, {1}, "cccc");
  expect_refused(with(part(0, 2, "a"), more), "hold 3 tensors, but the first says 2");
  ModelFolder renamed;
  renamed.write("m.gguf", part(0, 2, "a").build());
  expect_refused(renamed.open(), "2 parts (split.count), but 1 are here");
  ModelFolder missing;
  missing.write("m-00002-of-00002.gguf", part(1, 2, "b").build());
  expect_refused(missing.open(), "'m-00001-of-00002.gguf'");
  ModelFolder mixed;
  mixed.write("m-00001-of-00001.gguf", GgufBuilder().build())
      .write("n.gguf", GgufBuilder().build());
  expect_refused(mixed.open(), "more than one GGUF model");
}

TEST(Checkpoint, SlicesStackedExperts) {
  ModelFolder folder;
  const std::string experts = "0000111122223333444455556666777788889999aaaabbbb";
  GgufBuilder builder;
  builder.tensor("blk.0.ffn_up_exps.weight", kF32, {2, 2, 3}, experts);
  folder.write("m.gguf", builder.build());
  const auto checkpoint = folder.open();
  ASSERT_TRUE(checkpoint) << checkpoint.error().message();
  EXPECT_EQ(checkpoint->tensors().size(), 1u);
  EXPECT_EQ(checkpoint->weight_bytes(), experts.size());
  for (int i = 0; i < 3; ++i) {
    const TensorView* expert =
        checkpoint->find("blk.0.ffn_up_exps.weight[" + std::to_string(i) + "]");
    ASSERT_NE(expert, nullptr);
    EXPECT_EQ(expert->shape, (std::vector<std::int64_t>{2, 2}));
    EXPECT_EQ(as_text(expert->data), experts.substr(static_cast<std::size_t>(i) * 16, 16));
  }
  EXPECT_EQ(checkpoint->find("blk.0.ffn_up_exps.weight[3]"), nullptr);
}

TEST(Checkpoint, RefusesMoreExpertsThanAnyModelHas) {
  ModelFolder folder;
  GgufBuilder builder;
  const std::size_t count = (1u << 18) + 1;
  builder.tensor("blk.0.ffn_up_exps.weight", 24, {1, 1, count}, std::string(count, 'x'));
  folder.write("m.gguf", builder.build());
  expect_refused(folder.open(), "experts");
}

}  // namespace
}  // namespace bundle::format
