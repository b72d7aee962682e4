#include "runtime/format/safetensors.h"

#include "tests/format/refusal.h"
#include "tests/format/safetensors_bytes.h"

namespace bundle::format {
namespace {

/// Tensors point into the bytes, which live until the next call.
Result<std::vector<TensorView>> parse(std::string bytes) {
  static std::string kept;
  kept = std::move(bytes);
  return parse_safetensors(as_bytes(kept), "test.safetensors");
}
Result<std::vector<TensorView>> parse(std::string_view header, std::string_view data) {
  return parse(safetensors_bytes(header, data));
}

TEST(Safetensors, ReadsTensorsInAnyOrder) {
  const auto tensors = parse(
      R"({"__metadata__":{"format":"pt"},
          "b":{"dtype":"BF16","shape":[2,2],"data_offsets":[4,12]},
          "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
          "none":{"dtype":"F16","shape":[3,0],"data_offsets":[4,4]}}   )",
      "aaaabbbbbbbb");
  ASSERT_TRUE(tensors) << tensors.error().message();
  ASSERT_EQ(tensors->size(), 3u);
  for (const TensorView& tensor : *tensors) {
    if (tensor.name == "a") {
      EXPECT_EQ(tensor.elements(), 1);
      EXPECT_EQ(as_text(tensor.data), "aaaa");
    } else if (tensor.name == "b") {
      EXPECT_EQ(tensor.type, DType::kBF16);
      EXPECT_EQ(tensor.shape, (std::vector<std::int64_t>{2, 2}));
      EXPECT_EQ(as_text(tensor.data), "bbbbbbbb");
    } else {
      EXPECT_EQ(tensor.elements(), 0);
      EXPECT_TRUE(tensor.data.empty());
    }
  }
}

TEST(Safetensors, KnowsEveryType) {
  for (const char* name : {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "I32", "I16",
                           "I8", "U8", "BOOL"}) {
    const auto size = std::string_view(name).ends_with("64")   ? 8
                      : std::string_view(name).ends_with("32") ? 4
                      : std::string_view(name).ends_with("16") ? 2
                                                               : 1;
    const std::string header = R"({"t":{"dtype":")" + std::string(name) +
                               R"(","shape":[1],"data_offsets":[0,)" + std::to_string(size) + "]}}";
    const auto tensors = parse(header, std::string(size, 'x'));
    ASSERT_TRUE(tensors) << tensors.error().message();
    EXPECT_EQ(dtype_info((*tensors)[0].type).name, name);
  }
  for (const char* name : {"U16", "C64", "F4", "F8_E8M0", "Q4_0", "f32", ""}) {
    const std::string header =
        R"({"t":{"dtype":")" + std::string(name) + R"(","shape":[1],"data_offsets":[0,4]}})";
    expect_refused(parse(header, "1234"), "dtype '" + std::string(name) + "' is not supported");
  }
}

TEST(Safetensors, RefusesALyingHeaderLength) {
  expect_refused(parse(std::string()), "header's length");
  expect_refused(parse(std::string(7, '\0')), "header's length");
  expect_refused(parse(std::string(8, '\0')), "not a JSON object");
  expect_refused(parse(wire<std::uint64_t>(100) + "{}"), "the header needs 100 bytes");
  expect_refused(parse(wire<std::uint64_t>(100'000'001) + "{}"), "over 100 MB");
  expect_refused(parse(std::string(16, '\xFF')), "over 100 MB");
}

TEST(Safetensors, RefusesLooseJson) {
  expect_refused(parse("[]", ""), "not a JSON object");
  expect_refused(parse(" {}", ""), "not a JSON object");
  expect_refused(parse("{", ""), "not valid JSON");
  expect_refused(parse("{} x", ""), "not valid JSON");
  expect_refused(parse(std::string("{}\0", 3), ""), "not valid JSON");
  expect_refused(parse("{\"a\xFF\":1}", ""), "not valid JSON");
  const std::string entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  expect_refused(parse("{\"a\":" + entry + ",\"a\":" + entry + "}", ""), "comes twice");
  expect_refused(parse("{\"\":" + entry + "}", ""), "empty");
  EXPECT_TRUE(parse("{}", ""));
}

TEST(Safetensors, RefusesBadMetadata) {
  expect_refused(parse(R"({"__metadata__":[]})", ""), "__metadata__ is not an object");
  expect_refused(parse(R"({"__metadata__":{"a":1}})", ""), "not a string");
}

TEST(Safetensors, RefusesBadEntries) {
  const auto entry = [](std::string_view text) {
    return parse("{\"t\":" + std::string(text) + "}", "1234");
  };
  expect_refused(entry("7"), "not an object");
  expect_refused(entry(R"({"shape":[4],"data_offsets":[0,4]})"), "no dtype");
  expect_refused(entry(R"({"dtype":3,"shape":[4],"data_offsets":[0,4]})"), "no dtype");
  expect_refused(entry(R"({"dtype":"U8","data_offsets":[0,4]})"), "no list 'shape'");
  expect_refused(entry(R"({"dtype":"U8","shape":4,"data_offsets":[0,4]})"), "no list 'shape'");
  expect_refused(entry(R"({"dtype":"U8","shape":[4]})"), "no list 'data_offsets'");
  expect_refused(entry(R"({"dtype":"U8","shape":[4],"data_offsets":[0]})"), "begin and an end");
  expect_refused(entry(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4,4]})"), "begin and an end");
  expect_refused(entry(R"({"dtype":"U8","shape":[4],"data_offsets":[4,0]})"), "begin and an end");
  expect_refused(entry(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4],"extra":1})"), "'extra'");
  for (const char* number : {"-4", "4.0", "\"4\"", "18446744073709551612", "1e1", "null"}) {
    expect_refused(
        entry(R"({"dtype":"U8","shape":[)" + std::string(number) + R"(],"data_offsets":[0,4]})"),
        "not a whole number");
    expect_refused(
        entry(R"({"dtype":"U8","shape":[4],"data_offsets":[0,)" + std::string(number) + "]}"),
        "not a whole number");
  }
  expect_refused(entry(R"({"dtype":"U8","shape":[5],"data_offsets":[0,4]})"), "takes 5 bytes");
  expect_refused(entry(R"({"dtype":"F32","shape":[4],"data_offsets":[0,4]})"), "takes 16 bytes");
  expect_refused(entry(R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]})"),
                 "impossible");
  expect_refused(entry(R"({"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]})"),
                 "impossible");
  expect_refused(
      entry(R"({"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,4],"data_offsets":[0,4]})"),
      "too long");
}

TEST(Safetensors, DataMustCoverTheFileExactly) {
  const auto two = [](int a_begin, int a_end, int b_begin, int b_end, std::string_view data) {
    const auto entry = [](int begin, int end) {
      return R"({"dtype":"U8","shape":[)" + std::to_string(end - begin) + R"(],"data_offsets":[)" +
             std::to_string(begin) + "," + std::to_string(end) + "]}";
    };
    return parse("{\"a\":" + entry(a_begin, a_end) + ",\"b\":" + entry(b_begin, b_end) + "}", data);
  };
  EXPECT_TRUE(two(0, 2, 2, 4, "1234"));
  EXPECT_TRUE(two(2, 4, 0, 2, "1234"));
  expect_refused(two(0, 2, 1, 4, "1234"), "'b' overlaps");
  expect_refused(two(0, 2, 0, 2, "12"), "overlaps");
  expect_refused(two(0, 1, 2, 4, "1234"), "hole of 1 bytes");
  expect_refused(two(1, 2, 2, 4, "1234"), "'a' leaves a hole");
  expect_refused(two(0, 2, 2, 5, "1234"), "ends at 5");
  expect_refused(two(0, 2, 2, 4, "12345"), "1 bytes after the last tensor");
}

}  // namespace
}  // namespace bundle::format
