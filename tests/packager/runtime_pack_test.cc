#include "packager/runtime_pack.h"

#include <cstdlib>
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sha256.h"
#include "packager/build.h"
#include "packager/elf.h"
#include "packager/oci.h"
#include "packager/store_files.h"
#include "packager/tar_layer.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

/// A program of the system that stands for the server.
const Path kProgram = "/bin/cat";

class RuntimePack : public testing::Test {
 protected:
  golden::TempFolder folder_;
  Path cache_ = folder_.path() / "runtime";
  Store store_ = *Store::open(folder_.path() / "store");

  StoredBundle build_with_program() {
    EXPECT_TRUE(sample::write_model(folder_.path() / "tiny"));
    BuildOptions options;
    options.server = kProgram;
    const auto built = build(folder_.path() / "tiny", store_, options, {});
    EXPECT_TRUE(built) << built.error().message();
    return *store_.resolve("tiny");
  }
};

/// What a command prints, run in an empty environment and in /.
std::string output_of(std::vector<std::string> command) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], 1);
    ::close(ends[0]);
    if (::chdir("/") != 0) ::_exit(126);
    std::vector<char*> argv;
    for (std::string& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    char* const environment[] = {nullptr};
    ::execve(argv[0], argv.data(), environment);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string text;
  char chunk[4096];
  for (ssize_t n; (n = ::read(ends[0], chunk, sizeof chunk)) > 0;) text.append(chunk, n);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return text;
}

TEST_F(RuntimePack, CollectsTheProgramItsLibrariesAndItsLoader) {
  const auto files = collect_runtime(kProgram);
  ASSERT_TRUE(files) << files.error().message();
  std::vector<std::string> paths;
  for (const PackFile& file : *files) {
    paths.push_back(file.image);
    EXPECT_TRUE(std::filesystem::is_regular_file(file.host)) << file.host;
    EXPECT_THAT(file.host.string(), testing::Not(HasSubstr("hwcaps")));
  }
  EXPECT_THAT(paths, Contains("runtime/bin/bundle-server"));
  EXPECT_THAT(paths, Contains("runtime/lib/ld-linux-x86-64.so.2"));
  EXPECT_THAT(paths, Contains("runtime/lib/libc.so.6"));
  EXPECT_TRUE(std::ranges::is_sorted(paths));
}

TEST_F(RuntimePack, FollowsLibrariesOfLibraries) {
  // This program needs libstdc++, which needs libm: the closure holds what only a library names.
  const auto files = collect_runtime("/proc/self/exe");
  ASSERT_TRUE(files) << files.error().message();
  std::vector<std::string> paths;
  for (const PackFile& file : *files) paths.push_back(file.image);
  EXPECT_THAT(paths, Contains("runtime/lib/libstdc++.so.6"));
  EXPECT_THAT(paths, Contains("runtime/lib/libm.so.6"));
}

TEST_F(RuntimePack, RefusesWhatIsNoProgram) {
  const Path file = folder_.path() / "x";
  for (const std::string& text : {std::string(), std::string("#!/bin/sh\n"),
                                  std::string("\x7f"
                                              "ELF"),
                                  "\x7f"
                                  "ELF" +
                                      std::string(100, '\x02')}) {
    sample::write_text(file, text);
    EXPECT_EQ(collect_runtime(file).error().code, ErrorCode::kBadInput);
  }
  EXPECT_EQ(collect_runtime(folder_.path() / "none").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(collect_runtime(folder_.path()).has_error());
}

// Every cut and many changes of a real program: refused or read, never a crash.
TEST_F(RuntimePack, SurvivesDamagedElfFiles) {
  const std::string whole = *read_file(kProgram);
  const Path file = folder_.path() / "x";
  for (std::size_t size = 0; size < whole.size(); size += 1 + size / 3) {
    sample::write_text(file, whole.substr(0, size));
    (void)read_elf(file);
  }
  for (std::size_t at = 0; at < 1500; at += 3) {
    std::string changed = whole;
    changed[at] = static_cast<char>(0xff);
    sample::write_text(file, changed);
    (void)read_elf(file);
  }
}

TEST_F(RuntimePack, NamesTheLibraryThatIsMissing) {
  std::string program = *read_file(kProgram);
  const std::size_t name = program.find(std::string("libc.so.6") + '\0');
  ASSERT_NE(name, std::string::npos);
  program.replace(name, 4, "libq");
  sample::write_text(folder_.path() / "x", program);
  const auto files = collect_runtime(folder_.path() / "x");
  ASSERT_TRUE(files.has_error());
  EXPECT_EQ(files.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(files.error().message(), HasSubstr("'libq.so.6'"));
}

/// A server with libraries of the system in the backend's and NCCL's place, "../lib" from it.
struct ServerForGpus {
  explicit ServerForGpus(const Path& folder) : program(folder / "bin" / "server") {
    const auto libraries = collect_runtime(kProgram).value();
    const auto loader =
        std::ranges::find(libraries, "runtime/lib/libc.so.6", &PackFile::image)->host;
    for (const Path& made : {folder / "bin", folder / "lib"}) {
      std::filesystem::create_directories(made);
    }
    std::filesystem::copy_file(kProgram, program);
    std::filesystem::copy_file(loader, folder / "lib" / "libbundle_cuda.so");
    std::filesystem::copy_file(loader, folder / "lib" / "libnccl.so.2");
  }
  Path program;
};

TEST_F(RuntimePack, TheBackendForGpusIsALayerOfItsOwn) {
  const ServerForGpus server(folder_.path() / "product");
  ASSERT_TRUE(sample::write_model(folder_.path() / "tiny"));
  BuildOptions options;
  options.server = server.program;
  const auto built = build(folder_.path() / "tiny", store_, options, {});
  ASSERT_TRUE(built) << built.error().message();
  const StoredBundle bundle = *store_.resolve("tiny");
  ASSERT_EQ(bundle.layers.size(), 4u);
  // What the server has already is not there twice.
  EXPECT_THAT(bundle.layers.back().files,
              ElementsAre("runtime/lib/libbundle_cuda.so", "runtime/lib/libnccl.so.2"));
  EXPECT_EQ(bundle.bundle.at("server").at("variant"), "cuda");
  const auto command = unpack_runtime(bundle, cache_);
  ASSERT_TRUE(command) << command.error().message();
  EXPECT_TRUE(std::filesystem::exists(Path(command->at(2)) / "libbundle_cuda.so"));

  const Json index = bundle.index;
  std::vector<std::string> variants;
  for (const Json& entry : index.at("manifests").as_array()) {
    variants.emplace_back(entry.at("annotations").at(oci::kVariant).as_string());
  }
  EXPECT_THAT(variants, ElementsAre("cuda", "cpu", "modelpack"));
  const auto image_of = [&](std::size_t variant) {
    const std::string digest(index.at("manifests").at(variant).at("digest").as_string());
    const auto text = read_file(StorePaths{store_.root()}.blob(digest), 1u << 20);
    return parse_json(*text, digest).value();
  };
  EXPECT_EQ(image_of(0).at("layers").as_array().size(), 4u);
  EXPECT_EQ(image_of(1).at("layers").as_array().size(), 3u);
}

TEST_F(RuntimePack, TheBackendForGpusCanBeLeftOut) {
  const ServerForGpus server(folder_.path() / "product");
  ASSERT_TRUE(sample::write_model(folder_.path() / "tiny"));
  BuildOptions options;
  options.server = server.program;
  options.with_cuda = false;
  ASSERT_TRUE(build(folder_.path() / "tiny", store_, options, {}));
  const StoredBundle bundle = *store_.resolve("tiny");
  EXPECT_EQ(bundle.layers.size(), 3u);
  EXPECT_EQ(bundle.bundle.at("server").at("variant"), "cpu");
}

TEST_F(RuntimePack, RunsOutOfTheBundleWithNothingElse) {
  const StoredBundle bundle = build_with_program();
  auto command = unpack_runtime(bundle, cache_);
  ASSERT_TRUE(command) << command.error().message();
  ASSERT_EQ(command->size(), 4u);
  for (const int i : {0, 2, 3}) EXPECT_TRUE((*command)[i].starts_with(cache_.string()));
  sample::write_text(folder_.path() / "text", "hello");
  command->push_back((folder_.path() / "text").string());
  EXPECT_EQ(output_of(*command), "hello");
}

TEST_F(RuntimePack, UnpacksOnceAndHealsAnInterruptedUnpacking) {
  const StoredBundle bundle = build_with_program();
  sample::write_text(cache_ / "unfinished-abc" / "runtime" / "bin" / "x", "half");
  const auto command = unpack_runtime(bundle, cache_);
  ASSERT_TRUE(command);
  EXPECT_FALSE(std::filesystem::exists(cache_ / "unfinished-abc"));
  struct stat first {};
  ASSERT_EQ(::stat(command->back().c_str(), &first), 0);
  EXPECT_EQ(first.st_mode & 0777u, 0755u);
  EXPECT_EQ(*unpack_runtime(bundle, cache_), *command);
  struct stat second {};
  ASSERT_EQ(::stat(command->back().c_str(), &second), 0);
  EXPECT_EQ(first.st_ino, second.st_ino);
}

TEST_F(RuntimePack, RefusesARuntimeThatIsNotWhatItsDigestSays) {
  const StoredBundle bundle = build_with_program();
  const Path blob = bundle.layers.back().blob;
  std::string changed = *read_file(blob);
  changed[700] = static_cast<char>(changed[700] ^ 1);
  sample::write_text(blob, changed);
  EXPECT_EQ(unpack_runtime(bundle, cache_).error().code, ErrorCode::kBadInput);
  EXPECT_THAT(sample::files_below(cache_), ElementsAre(".lock"));
}

TEST_F(RuntimePack, RefusesToUnpackOutsideItsFolder) {
  StoredBundle bundle = build_with_program();
  StoredLayer& layer = bundle.layers.back();
  for (const char* path : {"models/x", "../x", "/etc/x", "runtime/../../x"}) {
    const std::string text = member_header(path, 0, kPlainMode) + layer_end();
    layer.descriptor.digest = "sha256:" + sha256_hex(text);
    layer.blob = folder_.path() / "layer";
    sample::write_text(layer.blob, text);
    EXPECT_EQ(unpack_runtime(bundle, cache_).error().code, ErrorCode::kBadInput) << path;
    EXPECT_THAT(sample::files_below(cache_), ElementsAre(".lock"));
  }
}

TEST_F(RuntimePack, ABundleWithoutRuntimeSaysSo) {
  ASSERT_TRUE(sample::write_model(folder_.path() / "tiny"));
  ASSERT_TRUE(build(folder_.path() / "tiny", store_, sample::no_runtime(), {}));
  EXPECT_EQ(unpack_runtime(*store_.resolve("tiny"), cache_).error().code, ErrorCode::kNotFound);
}

TEST_F(RuntimePack, ChangingTheServerChangesOneLayer) {
  const StoredBundle first = build_with_program();
  BuildOptions options;
  options.server = "/bin/ls";
  ASSERT_TRUE(build(folder_.path() / "tiny", store_, options, {}));
  const StoredBundle second = *store_.resolve("tiny");
  ASSERT_EQ(first.layers.size(), 3u);
  EXPECT_EQ(first.layers[0].descriptor, second.layers[0].descriptor);
  EXPECT_NE(first.layers[2].descriptor, second.layers[2].descriptor);
  EXPECT_NE(first.content_digest, second.content_digest);
}

}  // namespace
}  // namespace bundle::packager
