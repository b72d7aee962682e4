#include "runtime/format/source.h"

#include <filesystem>
#include <fstream>

#include "tests/format/refusal.h"
#include "tests/golden/temp_folder.h"

namespace bundle::format {
namespace {

namespace fs = std::filesystem;

void write(const Path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::vector<std::string> names(const ModelSource& source) {
  std::vector<std::string> list;
  for (const SourceFile& file : source.files()) list.push_back(file.name);
  return list;
}

TEST(ModelSource, ListsTheRegularFilesOfAFolderByName) {
  const golden::TempFolder folder;
  write(folder.path() / "b.txt", "bb");
  write(folder.path() / "a.txt", "a");
  fs::create_directory(folder.path() / "sub");
  write(folder.path() / "sub" / "c.txt", "c");
  fs::create_symlink("b.txt", folder.path() / "link");
  fs::create_symlink("nowhere", folder.path() / "dangling");
  const auto source = ModelSource::open(folder.path());
  ASSERT_TRUE(source) << source.error().message();
  EXPECT_EQ(names(*source), (std::vector<std::string>{"a.txt", "b.txt", "link"}));
  EXPECT_EQ(source->find("b.txt")->length, 2u);
  EXPECT_TRUE(source->find("b.txt")->path.is_absolute());
  EXPECT_EQ(*source->read("link"), "bb");
  EXPECT_EQ(source->find("c.txt"), nullptr);
  expect_refused(source->read("c.txt"), "'c.txt'", ErrorCode::kNotFound);
  expect_refused(source->map("c.txt"), "'c.txt'", ErrorCode::kNotFound);
  expect_refused(source->read("b.txt", 1), "more than the 1");
}

TEST(ModelSource, RefusesWhatHoldsNothing) {
  const golden::TempFolder folder;
  expect_refused(ModelSource::open(folder.path()), "no files", ErrorCode::kNotFound);
  expect_refused(ModelSource::open(folder.path() / "absent"), "no such file", ErrorCode::kNotFound);
  expect_refused(ModelSource::open("/dev/null"), "neither a file nor a folder");
}

TEST(ModelSource, FindsTheSiblingsOfASplitModel) {
  const golden::TempFolder folder;
  for (const char* name : {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                           "m-00003-of-00003.gguf", "m.gguf", "m-00001-of-00002.gguf"}) {
    write(folder.path() / name, name);
  }
  for (const char* start : {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf"}) {
    const auto source = ModelSource::open(folder.path() / start);
    ASSERT_TRUE(source) << source.error().message();
    EXPECT_EQ(names(*source),
              (std::vector<std::string>{"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                        "m-00003-of-00003.gguf"}));
  }
  EXPECT_EQ(ModelSource::open(folder.path() / "m.gguf")->files().size(), 1u);
  expect_refused(ModelSource::open(folder.path() / "m-00001-of-00002.gguf"),
                 "part 2 of 2 of the split model is missing");
}

TEST(ModelSource, ReadsAFileThatLiesInsideAnother) {
  const golden::TempFolder folder;
  write(folder.path() / "blob", "....content....");
  const ModelSource source({{"file", folder.path() / "blob", 4, 7, ""}});
  EXPECT_EQ(*source.read("file"), "content");
  EXPECT_EQ(as_text(source.map("file")->bytes()), "content");
  const ModelSource lying({{"file", folder.path() / "blob", 4, 12, ""}});
  expect_refused(lying.map("file"), "too few");
  expect_refused(lying.read("file"), "too few");
  const ModelSource empty({{"file", folder.path() / "blob", 4, 0, ""}});
  EXPECT_EQ(*empty.read("file"), "");
}

TEST(ModelSource, SurvivesJson) {
  const ModelSource source({{"z.bin", "/somewhere/blob", 512, 100, std::string(64, 'a')},
                            {"a.bin", "/else where/ü", 0, 0, ""}});
  const auto again = ModelSource::from_json(source.to_json(), "test");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->files(), source.files());
  EXPECT_EQ(again->files()[0].name, "a.bin");
}

TEST(ModelSource, RefusesBadJson) {
  const auto from = [](std::string_view text) {
    return ModelSource::from_json(*parse_json(text, "test"), "test");
  };
  expect_refused(from("{}"), "not a list");
  expect_refused(from("[{}]"), "'name' is missing");
  expect_refused(from(R"([{"name":"a","length":1}])"), "'path' is missing");
  expect_refused(from(R"([{"name":"a","path":"/x"}])"), "'length' is missing");
  expect_refused(from(R"([{"name":"a","path":"","length":1}])"), "no usable path");
  expect_refused(from(R"([{"name":"a","path":"/x","length":-1}])"), "negative");
  expect_refused(from(R"([{"name":"a","path":"/x","offset":-1,"length":1}])"), "negative");
  expect_refused(from(R"([{"name":"a","path":"/x","length":1,"sha256":"abc"}])"), "sha256");
  for (const char* name : {"", ".", "..", "a/b", "../a", "a\\u0000b"}) {
    expect_refused(from(R"([{"name":")" + std::string(name) + R"(","path":"/x","length":1}])"),
                   "no plain file name");
  }
  expect_refused(
      from(R"([{"name":"a","path":"/x","length":1},{"name":"a","path":"/y","length":1}])"),
      "comes twice");
}

}  // namespace
}  // namespace bundle::format
