#include "runtime/format/gguf.h"

#include <limits>

#include "tests/format/gguf_builder.h"
#include "tests/format/refusal.h"

namespace bundle::format {
namespace {

constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kQ4_0 = 2;

/// Tensors point into the bytes, which live until the next call.
Result<GgufFile> parse(std::string bytes) {
  static std::string kept;
  kept = std::move(bytes);
  return parse_gguf(as_bytes(kept), "test.gguf");
}
Result<GgufFile> parse(const GgufBuilder& builder) { return parse(builder.build()); }

TEST(Gguf, ReadsEveryTypeOfMetadata) {
  GgufBuilder builder;
  builder.number<std::uint8_t>("u8", 255)
      .number<std::int8_t>("i8", -128)
      .number<std::uint16_t>("u16", 65535)
      .number<std::int16_t>("i16", -32768)
      .number<std::uint32_t>("u32", 4294967295u)
      .number<std::int32_t>("i32", -2147483647)
      .number<std::uint64_t>("u64", std::numeric_limits<std::uint64_t>::max())
      .number<std::int64_t>("i64", std::numeric_limits<std::int64_t>::min())
      .number<float>("f32", 0.5f)
      .number<double>("f64", 0.1)
      .flag("yes", true)
      .flag("no", false)
      .text("text", "Grüße")
      .text("empty", "")
      .numbers<std::uint8_t>("u8s", {1, 2})
      .numbers<std::int8_t>("i8s", {-1, 2})
      .numbers<std::uint16_t>("u16s", {1, 2})
      .numbers<std::int16_t>("i16s", {-1, 2})
      .numbers<std::uint32_t>("u32s", {1, 2})
      .numbers<std::int32_t>("i32s", {-1, 2})
      .numbers<std::uint64_t>("u64s", {1, 2})
      .numbers<std::int64_t>("i64s", {-1, 2})
      .numbers<float>("f32s", {0.5f, 2.0f})
      .numbers<double>("f64s", {0.1, 2.0})
      .raw_array("flags", kBoolNumber, 2, std::string("\1\0", 2))
      .texts("texts", {"a", "", "ccc"})
      .texts("none", {});
  const auto file = parse(builder);
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->version, 3u);
  const GgufMetadata& meta = file->metadata;
  const auto value = [&](const char* key) { return *meta.find(key); };
  EXPECT_EQ(value("u8"), GgufValue(std::uint64_t{255}));
  EXPECT_EQ(value("i8"), GgufValue(std::int64_t{-128}));
  EXPECT_EQ(value("u16"), GgufValue(std::uint64_t{65535}));
  EXPECT_EQ(value("i16"), GgufValue(std::int64_t{-32768}));
  EXPECT_EQ(value("u32"), GgufValue(std::uint64_t{4294967295u}));
  EXPECT_EQ(value("i32"), GgufValue(std::int64_t{-2147483647}));
  EXPECT_EQ(value("u64"), GgufValue(std::numeric_limits<std::uint64_t>::max()));
  EXPECT_EQ(value("i64"), GgufValue(std::numeric_limits<std::int64_t>::min()));
  EXPECT_EQ(value("f32"), GgufValue(0.5));
  EXPECT_EQ(value("f64"), GgufValue(0.1));
  EXPECT_EQ(value("yes"), GgufValue(true));
  EXPECT_EQ(value("no"), GgufValue(false));
  EXPECT_EQ(value("text"), GgufValue(std::string("Grüße")));
  EXPECT_EQ(value("empty"), GgufValue(std::string()));
  for (const char* key : {"u8s", "u16s", "u32s", "u64s"}) {
    EXPECT_EQ(value(key), GgufValue(std::vector<std::uint64_t>{1, 2})) << key;
  }
  for (const char* key : {"i8s", "i16s", "i32s", "i64s"}) {
    EXPECT_EQ(value(key), GgufValue(std::vector<std::int64_t>{-1, 2})) << key;
  }
  EXPECT_EQ(value("f32s"), GgufValue(std::vector<double>{0.5, 2.0}));
  EXPECT_EQ(value("f64s"), GgufValue(std::vector<double>{0.1, 2.0}));
  EXPECT_EQ(value("flags"), GgufValue(std::vector<bool>{true, false}));
  EXPECT_EQ(value("texts"), GgufValue(std::vector<std::string>{"a", "", "ccc"}));
  EXPECT_EQ(value("none"), GgufValue(std::vector<std::string>{}));
  EXPECT_EQ(meta.find("absent"), nullptr);
}

TEST(Gguf, TurnsShapesRoundAndPlacesData) {
  GgufBuilder builder;
  builder.version = 2;
  builder.tensor("a", kF32, {3, 2}, std::string(24, 'a'))
      .tensor("b", kQ4_0, {64, 2}, std::string(4 * 18, 'b'))
      .tensor("scalar", kF32, {}, "1234");
  const auto file = parse(builder);
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->version, 2u);
  ASSERT_EQ(file->tensors.size(), 3u);
  EXPECT_EQ(file->tensors[0].shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(as_text(file->tensors[0].data), std::string(24, 'a'));
  EXPECT_EQ(file->tensors[1].type, DType::kQ4_0);
  EXPECT_EQ(as_text(file->tensors[1].data), std::string(72, 'b'));
  EXPECT_EQ(file->tensors[2].elements(), 1);
  EXPECT_EQ(as_text(file->tensors[2].data), "1234");
}

TEST(Gguf, KnowsEverySupportedTensorType) {
  const std::vector<std::pair<std::uint32_t, DType>> types = {
      {0, DType::kF32},    {1, DType::kF16},    {2, DType::kQ4_0}, {3, DType::kQ4_1},
      {6, DType::kQ5_0},   {7, DType::kQ5_1},   {8, DType::kQ8_0}, {10, DType::kQ2K},
      {11, DType::kQ3K},   {12, DType::kQ4K},   {13, DType::kQ5K}, {14, DType::kQ6K},
      {20, DType::kIQ4NL}, {23, DType::kIQ4XS}, {24, DType::kI8},  {25, DType::kI16},
      {26, DType::kI32},   {27, DType::kI64},   {28, DType::kF64}, {30, DType::kBF16}};
  for (const auto& [number, type] : types) {
    GgufBuilder builder;
    builder.tensor("t", number, {512}, std::string(*storage_bytes(type, 512), 'x'));
    const auto file = parse(builder);
    ASSERT_TRUE(file) << number << ": " << file.error().message();
    EXPECT_EQ(file->tensors[0].type, type);
  }
}

TEST(Gguf, RefusesOtherTensorTypesByName) {
  const std::vector<std::pair<std::uint32_t, const char*>> types = {
      {4, "Q4_2"},   {9, "Q8_1"},   {15, "Q8_K"},      {16, "IQ2_XXS"},
      {19, "IQ1_S"}, {22, "IQ2_S"}, {29, "IQ1_M"},     {31, "Q4_0_4_4"},
      {34, "TQ1_0"}, {39, "MXFP4"}, {42, "number 42"}, {0xFFFFFFFF, "number 4294967295"}};
  for (const auto& [number, name] : types) {
    GgufBuilder builder;
    builder.tensor("blk.0.odd", number, {256}, std::string(1024, 'x'));
    const auto file = parse(builder);
    expect_refused(file, name);
    expect_refused(file, "'blk.0.odd'");
  }
}

TEST(Gguf, ObeysTheAlignmentThatTheFileStates) {
  for (const std::uint32_t alignment : {1u, 8u, 64u, 4096u}) {
    GgufBuilder builder;
    builder.alignment = alignment;
    builder.u32("general.alignment", alignment).tensor("a", kF32, {1}, "aaaa");
    builder.tensor("b", kF32, {1}, "bbbb");
    const auto file = parse(builder);
    ASSERT_TRUE(file) << alignment << ": " << file.error().message();
    EXPECT_EQ(as_text(file->tensors[1].data), "bbbb");
  }
  for (const std::uint32_t alignment : {0u, 3u, 48u}) {
    expect_refused(parse(GgufBuilder().u32("general.alignment", alignment)), "power of two");
  }
  expect_refused(parse(GgufBuilder().text("general.alignment", "32")), "general.alignment");
  // So large that the data section lies past the end: fine without data, refused with.
  GgufBuilder far;
  far.number<std::uint64_t>("general.alignment", std::uint64_t{1} << 62);
  EXPECT_TRUE(parse(far));
  far.table_entry("a", kF32, {1}, 0);
  expect_refused(parse(far), "leaves the file");
}

TEST(Gguf, RefusesWhatIsNoGguf) {
  expect_refused(parse(std::string()), "magic");
  expect_refused(parse(std::string("ggjt\3\0\0\0", 8)), "not a GGUF file");
  GgufBuilder builder;
  builder.version = 1;
  expect_refused(parse(builder), "GGUF version 1 is not supported");
  builder.version = 4;
  expect_refused(parse(builder), "GGUF version 4 is not supported");
  builder.version = 0x03000000;
  expect_refused(parse(builder), "big-endian");
}

TEST(Gguf, CapsCountsByTheBytesThatAreLeft) {
  GgufBuilder builder;
  builder.told_tensors = std::numeric_limits<std::uint64_t>::max();
  expect_refused(parse(builder), "tensor count");
  builder.told_tensors = 1;
  expect_refused(parse(builder), "tensor count");
  builder.told_tensors.reset();
  builder.told_keys = std::uint64_t{1} << 60;
  expect_refused(parse(builder), "metadata count");
  GgufBuilder more;
  more.text("a", std::string(100, 'x')).u32("b", 1);
  more.told_keys = 3;
  expect_refused(parse(more), "needs");
}

TEST(Gguf, RefusesLyingStringsAndArrays) {
  const std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
  expect_refused(parse(GgufBuilder().raw("k", kStringNumber, wire(huge))), "64 MiB");
  expect_refused(parse(GgufBuilder().raw("k", kStringNumber, wire<std::uint64_t>(1000))),
                 "are left");
  for (const std::uint32_t type : {0u, 4u, 7u, 8u, 10u, 12u}) {
    expect_refused(parse(GgufBuilder().raw_array("list", type, huge, "12345678")), "'list'");
    expect_refused(parse(GgufBuilder().raw_array("list", type, huge / 8 + 2, "12345678")),
                   "'list'");
  }
  expect_refused(parse(GgufBuilder().raw_array("list", kArrayNumber, 1, std::string(12, '\0'))),
                 "array of arrays");
  expect_refused(parse(GgufBuilder().raw_array("list", 13, 1, "1")), "unknown type 13");
  expect_refused(parse(GgufBuilder().raw("k", 13, "1")), "unknown type 13");
  expect_refused(parse(GgufBuilder().raw("k", kBoolNumber, "\2")), "boolean of value 2");
  expect_refused(parse(GgufBuilder().raw_array("k", kBoolNumber, 1, "\2")), "boolean");
}

TEST(Gguf, CapsTheValuesOfAllArraysTogether) {
  GgufBuilder builder;
  const std::string bytes((1u << 23) + 1, '\0');
  builder.raw_array("first", 0, bytes.size(), bytes).raw_array("second", 0, bytes.size(), bytes);
  expect_refused(parse(builder), "'second'");
}

TEST(Gguf, RefusesBadNames) {
  expect_refused(parse(GgufBuilder().u32("twice", 1).u32("twice", 2)), "'twice' comes twice");
  expect_refused(parse(GgufBuilder().u32("", 1)), "empty");
  expect_refused(parse(GgufBuilder().u32("\xFF", 1)), "not UTF-8");
  expect_refused(parse(GgufBuilder().u32(std::string(65536, 'k'), 1)), "more than 65535");
  expect_refused(parse(GgufBuilder().tensor("", kF32, {1}, "aaaa")), "empty");
  expect_refused(parse(GgufBuilder().tensor("\xC3", kF32, {1}, "aaaa")), "not UTF-8");
  expect_refused(parse(GgufBuilder().tensor("t", kF32, {1}, "aaaa").tensor("t", kF32, {1}, "bbbb")),
                 "'t' comes twice");
}

TEST(Gguf, RefusesImpossibleShapes) {
  const std::uint64_t big = std::uint64_t{1} << 62;
  expect_refused(parse(GgufBuilder().table_entry("t", kF32, {1, 1, 1, 1, 1}, 0)), "5 dimensions");
  expect_refused(parse(GgufBuilder().table_entry("t", kF32, {big, 2}, 0)), "impossible size");
  expect_refused(parse(GgufBuilder().table_entry("t", 24, {big}, 0)), "leaves the file");
  expect_refused(parse(GgufBuilder().table_entry("t", 28, {big}, 0)), "impossible size");
  expect_refused(parse(GgufBuilder().table_entry("t", kF32, {~std::uint64_t{0}}, 0)),
                 "impossible size");
  expect_refused(parse(GgufBuilder().table_entry("t", kQ4_0, {48}, 0)), "whole blocks of 32");
  expect_refused(parse(GgufBuilder().table_entry("t", kQ4_0, {16, 2}, 0)), "whole blocks of 32");
  expect_refused(parse(GgufBuilder().table_entry("t", kQ4_0, {}, 0)), "whole blocks of 32");
  expect_refused(parse(GgufBuilder().table_entry("t", 14, {32}, 0)), "whole blocks of 256");
}

TEST(Gguf, AcceptsATensorWithoutElements) {
  const auto file =
      parse(GgufBuilder().tensor("t", kF32, {0, 7}, "").tensor("u", kF32, {1}, "abcd"));
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_TRUE(file->tensors[0].data.empty());
  EXPECT_EQ(file->tensors[0].elements(), 0);
}

TEST(Gguf, RefusesDataOutOfPlace) {
  const std::string data(96, 'x');
  const auto with = [&](std::uint64_t offset, std::uint64_t elements) {
    return parse(GgufBuilder().table_entry("t", kF32, {elements}, offset).data(data));
  };
  EXPECT_TRUE(with(64, 8));
  expect_refused(with(4, 8), "not aligned to 32");
  expect_refused(with(64, 9), "leaves the file");
  expect_refused(with(128, 1), "leaves the file");
  expect_refused(with(~std::uint64_t{31}, 16), "leaves the file");
  GgufBuilder overlap;
  overlap.table_entry("one", kF32, {16}, 0).table_entry("two", kF32, {8}, 32).data(data);
  expect_refused(parse(overlap), "'one' and 'two' overlap");
  GgufBuilder same;
  same.table_entry("one", kF32, {8}, 0).table_entry("two", kF32, {8}, 0).data(data);
  expect_refused(parse(same), "overlap");
}

}  // namespace
}  // namespace bundle::format
