#include "packager/build.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/attestations.h"
#include "packager/glob.h"
#include "packager/inspect.h"
#include "packager/modelcar_shell.h"
#include "packager/source_files.h"
#include "packager/tar_layer.h"
#include "runtime/format/model_config.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class BuildTest : public testing::Test {
 protected:
  golden::TempFolder folder_;
  Path model_ = folder_.path() / "TinyLlama";
  Path root_ = folder_.path() / "store";
  Store store_ = *Store::open(root_);
  BuildOptions options_ = sample::no_runtime();

  void SetUp() override { ASSERT_TRUE(sample::write_model(model_)); }

  BuildResult build_or_fail(const Path& source) {
    auto result = build(source, store_, options_, {});
    if (!result) {
      ADD_FAILURE() << result.error().message();
      return {};
    }
    return *std::move(result);
  }

  std::string refusal(const Path& source) {
    const auto result = build(source, store_, options_, {});
    return result ? "built" : result.error().message();
  }

  /// Nothing was written: not even the store's folder, or an empty layout.
  void expect_untouched() { EXPECT_THAT(sample::files_below(root_), ElementsAre()); }
};

TEST_F(BuildTest, BuildsAHuggingFaceFolder) {
  const BuildResult built = build_or_fail(model_);
  EXPECT_EQ(built.name, "tinyllama");
  EXPECT_EQ(built.tag, "latest");
  EXPECT_TRUE(is_valid_digest(built.digest));
  ASSERT_EQ(built.layers.size(), 2u);
  EXPECT_EQ(built.layers[0].role, "weights");
  EXPECT_THAT(built.layers[0].files, ElementsAre("models/model.safetensors"));
  EXPECT_THAT(built.layers[1].files,
              ElementsAre("bundle/bundle.json", "bundle/launch.json", "models/config.json",
                          "models/tokenizer_config.json"));
}

TEST_F(BuildTest, PacksAShellForModelcarsWhenAsked) {
  options_.shell = "/bin/busybox";
  const BuildResult built = build_or_fail(model_);
  ASSERT_EQ(built.layers.size(), 3u);
  EXPECT_EQ(built.layers[2].role, "shell");
  EXPECT_THAT(built.layers[2].files,
              ElementsAre("bin/busybox", "bin/cat", "bin/ln", "bin/ls", "bin/sh", "bin/sleep"));
  const auto stored = *store_.resolve("tinyllama");
  const std::string sbom = print_json(*sbom_document(stored));
  EXPECT_THAT(sbom, HasSubstr("\"bin/busybox\""));
  EXPECT_THAT(sbom, HasSubstr("GPL-2.0-only"));
  EXPECT_THAT(sbom, testing::Not(HasSubstr("bin/sh")));
  const Path copy = folder_.path() / "copy";
  ASSERT_TRUE(*extract_busybox(stored, copy));
  EXPECT_EQ(*read_file(copy), *read_file("/bin/busybox"));
  options_.shell = copy;  // where it lies does not show
  EXPECT_EQ(build_or_fail(model_).digest, built.digest);
  options_.shell.clear();
  EXPECT_NE(build_or_fail(model_).digest, built.digest);
}

TEST_F(BuildTest, RefusesAShellThatNeedsLibraries) {
  options_.shell = "/bin/ls";
  EXPECT_THAT(refusal(model_), HasSubstr("linked dynamically"));
  options_.shell = model_ / "config.json";
  EXPECT_THAT(refusal(model_), HasSubstr("config.json"));
  expect_untouched();
}

TEST_F(BuildTest, TheStoredModelIsTheSameModelInPlace) {
  const BuildResult built = build_or_fail(model_);
  const auto stored = store_.resolve("tinyllama");
  ASSERT_TRUE(stored) << stored.error().message();
  EXPECT_EQ(stored->digest, built.digest);
  EXPECT_EQ(stored->content_digest, built.content_digest);
  EXPECT_EQ(stored->size, built.size);
  const format::SourceFile* weights = stored->model.find("model.safetensors");
  ASSERT_NE(weights, nullptr);
  EXPECT_EQ(weights->offset, 4096u);
  EXPECT_EQ(weights->path.parent_path(), root_ / "blobs" / "sha256");
  const auto opened = format::Checkpoint::open(stored->model);
  ASSERT_TRUE(opened) << opened.error().message();
  const auto original = format::Checkpoint::open(*format::ModelSource::open(model_));
  ASSERT_EQ(opened->tensors().size(), original->tensors().size());
  for (const auto& [name, tensor] : original->tensors()) {
    EXPECT_TRUE(std::ranges::equal(opened->find(name)->data, tensor.data)) << name;
  }
  EXPECT_TRUE(format::read_model_config(*opened));
}

TEST_F(BuildTest, EveryFilesHashIsTrue) {
  build_or_fail(model_);
  const auto stored = store_.resolve("tinyllama");
  ASSERT_TRUE(stored);
  for (const format::SourceFile& file : stored->model.files()) {
    EXPECT_EQ(file.sha256, sha256_hex(*read_file(model_ / file.name))) << file.name;
    EXPECT_EQ(sha256_hex(stored->model.map(file.name)->bytes()), file.sha256) << file.name;
  }
}

TEST_F(BuildTest, EveryBlobHasTheDigestThatNamesIt) {
  build_or_fail(model_);
  for (const auto& entry : std::filesystem::directory_iterator(root_ / "blobs" / "sha256")) {
    EXPECT_EQ(entry.path().filename(), sha256_hex(*read_file(entry.path())));
  }
}

TEST_F(BuildTest, TakesNameTagAndSettingsFromBundleYaml) {
  sample::write_text(folder_.path() / "project" / "bundle.yaml",
                     "name: team/tiny\nversion: '2.0'\nmodel: ../TinyLlama\n"
                     "runtime: {context_length: 64, chat_template: t.jinja}\n");
  sample::write_text(folder_.path() / "project" / "t.jinja", "{{ messages }}");
  const BuildResult built = build_or_fail(folder_.path() / "project");
  EXPECT_EQ(built.name, "team/tiny");
  EXPECT_EQ(built.tag, "2.0");
  const auto stored = store_.resolve("team/tiny");  // its only tag
  ASSERT_TRUE(stored) << stored.error().message();
  EXPECT_EQ(stored->runtime.at("context_length"), 64);
  EXPECT_EQ(stored->runtime.at("chat_template"), "{{ messages }}");
  EXPECT_EQ(build_or_fail(folder_.path() / "project" / "bundle.yaml").digest, built.digest);
}

TEST_F(BuildTest, TheNameOnTheCommandLineWins) {
  options_.name = "other:v1";
  EXPECT_EQ(build_or_fail(model_).name, "other");
  EXPECT_TRUE(store_.resolve("other:v1"));
  options_.name = "Bad Name";
  EXPECT_NE(refusal(model_), "built");
  options_.name = "x:v1-cpu";
  EXPECT_THAT(refusal(model_), HasSubstr("variant"));
}

TEST_F(BuildTest, LeavesOutWhatNobodyAskedFor) {
  for (const char* name :
       {"credentials.json", ".env", "pytorch_model.bin", "photo.png", "run.py"}) {
    sample::write_text(model_ / name, "x");
  }
  sample::write_text(model_ / "LICENSE", "text");
  const BuildResult built = build_or_fail(model_);
  EXPECT_THAT(built.layers[1].files,
              ElementsAre("bundle/bundle.json", "bundle/launch.json", "models/LICENSE",
                          "models/config.json", "models/tokenizer_config.json"));
}

TEST_F(BuildTest, IncludeAndExcludeChooseFiles) {
  sample::write_text(model_ / "notes.txt", "x");
  sample::write_text(model_ / "bundle.yaml",
                     "include: ['*.safetensors', '*.json', notes.*]\nexclude: [tokenizer*]\n");
  EXPECT_THAT(build_or_fail(model_).layers[1].files,
              ElementsAre("bundle/bundle.json", "bundle/launch.json", "models/config.json",
                          "models/notes.txt"));
  sample::write_text(model_ / "bundle.yaml", "exclude: ['*.safetensors']\n");
  EXPECT_NE(refusal(model_), "built");
}

TEST_F(BuildTest, SizesDoNotDependOnHowTheyWereWritten) {
  const BuildResult first = build_or_fail(model_);
  const BuildResult second = build_or_fail(model_);
  EXPECT_EQ(first.digest, second.digest);
  EXPECT_TRUE(second.layers[0].reused);
  EXPECT_EQ(first.size, second.size);
}

// --- reproducible ---------------------------------------------------------------------------

TEST_F(BuildTest, GivesTheSameDigestElsewhere) {
  const BuildResult first = build_or_fail(model_);
  const Path copy = folder_.path() / "elsewhere" / "Other-Name";
  std::filesystem::create_directories(copy);
  // Another order of creation, other times and modes, another umask, time zone and store.
  for (const char* name : {"tokenizer_config.json", "model.safetensors", "config.json"}) {
    std::filesystem::copy_file(model_ / name, copy / name);
    std::filesystem::last_write_time(
        copy / name, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1000));
    ::chmod((copy / name).c_str(), 0600);
  }
  ::setenv("TZ", "Asia/Tokyo", 1);
  const mode_t mask = ::umask(0077);
  Store other = *Store::open(folder_.path() / "other-store");
  const auto second = build(copy, other, options_, {});
  ::umask(mask);
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(second->digest, first.digest);
  EXPECT_EQ(second->content_digest, first.content_digest);
  EXPECT_EQ(second->name, "other-name");
  struct stat info {};
  ASSERT_EQ(::stat(other.blob_path(first.layers[0].digest).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0644u);
}

TEST_F(BuildTest, TheOrderOfBundleYamlDoesNotShow) {
  const char* one =
      "runtime: {threads: 2, context_length: 64, sampling: {top_k: 1, top_p: 1}}\n"
      "env: {B: '1', A: '2'}\nlabels: {y: a, x: b}\n";
  const char* other =
      "# the same\nlabels: {x: b, y: a}\nenv:\n  A: \"2\"\n  B: \"1\"\n"
      "runtime: {sampling: {top_p: 1.0, top_k: 1}, context_length: 64, threads: 2}\n";
  sample::write_text(model_ / "bundle.yaml", one);
  const std::string digest = build_or_fail(model_).digest;
  sample::write_text(model_ / "bundle.yaml", other);
  EXPECT_EQ(build_or_fail(model_).digest, digest);
  sample::write_text(model_ / "bundle.yaml", "runtime: {threads: 3}\n");
  EXPECT_NE(build_or_fail(model_).digest, digest);
}

TEST_F(BuildTest, NothingOfTheHostIsInTheBundle) {
  build_or_fail(model_);
  const std::string here = folder_.path().filename().string();
  for (const auto& entry : std::filesystem::directory_iterator(root_ / "blobs" / "sha256")) {
    EXPECT_THAT(*read_file(entry.path()), testing::Not(HasSubstr(here))) << entry.path();
  }
}

// --- bad input writes nothing ---------------------------------------------------------------

TEST_F(BuildTest, RefusesATruncatedModel) {
  const std::string whole = *read_file(model_ / "model.safetensors");
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, whole.size() / 2, whole.size() - 1}) {
    sample::write_text(model_ / "model.safetensors", whole.substr(0, size));
    EXPECT_NE(refusal(model_), "built") << size;
  }
  expect_untouched();
}

TEST_F(BuildTest, RefusesAMissingTensorByName) {
  ASSERT_TRUE(sample::write_model(model_, "model.layers.1.mlp.up_proj.weight"));
  EXPECT_THAT(refusal(model_), HasSubstr("model.layers.1.mlp.up_proj.weight"));
  expect_untouched();
}

TEST_F(BuildTest, RefusesWeightsThatContradictTheConfiguration) {
  std::string config = *read_file(model_ / "config.json");
  config.replace(config.find("\"intermediate_size\": 352"), 24, "\"intermediate_size\": 384");
  sample::write_text(model_ / "config.json", config);
  EXPECT_THAT(refusal(model_), HasSubstr("mlp.gate_proj.weight"));
  expect_untouched();
}

TEST_F(BuildTest, RefusesAnUnknownArchitectureByName) {
  std::string config = *read_file(model_ / "config.json");
  config.replace(config.find("LlamaForCausalLM"), 16, "MambaForCausalLM");
  config.replace(config.find("\"model_type\": \"llama\""), 21, "\"model_type\": \"mamba\"");
  sample::write_text(model_ / "config.json", config);
  EXPECT_THAT(refusal(model_), HasSubstr("MambaForCausalLM"));
  expect_untouched();
}

TEST_F(BuildTest, RefusesSourcesThatAreNone) {
  EXPECT_THAT(refusal(folder_.path() / "nothing"), HasSubstr("no such file"));
  std::filesystem::create_directories(folder_.path() / "empty");
  EXPECT_NE(refusal(folder_.path() / "empty"), "built");
  EXPECT_NE(refusal(model_ / "config.json"), "built");
  EXPECT_NE(refusal("/dev/null"), "built");
  sample::write_text(folder_.path() / "p" / "bundle.yaml", "model: ../nowhere\n");
  EXPECT_THAT(refusal(folder_.path() / "p"), HasSubstr("nowhere"));
  sample::write_text(folder_.path() / "p" / "bundle.yaml", "modle: ../TinyLlama\n");
  EXPECT_THAT(refusal(folder_.path() / "p"), HasSubstr("Did you mean 'model'?"));
  expect_untouched();
}

TEST_F(BuildTest, RefusesLinksThatLeadOut) {
  sample::write_text(folder_.path() / "secret", "{}");
  std::filesystem::create_symlink("../secret", model_ / "special_tokens_map.json");
  EXPECT_THAT(refusal(model_), HasSubstr("leads out"));
  expect_untouched();
  std::filesystem::remove(model_ / "special_tokens_map.json");
  std::filesystem::create_symlink("config.json", model_ / "generation_config.json");
  EXPECT_EQ(refusal(model_), "built");
}

TEST_F(BuildTest, RefusesATemplateOutsideTheFolder) {
  sample::write_text(folder_.path() / "secret", "hidden");
  std::filesystem::create_symlink("../secret", model_ / "link.jinja");
  for (const char* path : {"../secret", "/etc/passwd", "link.jinja"}) {
    sample::write_text(model_ / "bundle.yaml",
                       "runtime: {chat_template: \"" + std::string(path) + "\"}\n");
    EXPECT_THAT(refusal(model_), HasSubstr("outside")) << path;
  }
}

TEST_F(BuildTest, FollowsTheLinksOfAHuggingFaceCache) {
  const Path home = folder_.path() / "hub" / "models--org--Tiny-7B";
  std::filesystem::create_directories(home / "blobs");
  const Path snapshot = home / "snapshots" / "0123abcd";
  std::filesystem::create_directories(snapshot);
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy_file(model_ / name, home / "blobs" / name);
    std::filesystem::create_symlink(Path("../../blobs") / name, snapshot / name);
  }
  EXPECT_EQ(build_or_fail(snapshot).name, "tiny-7b");
}

// --- interruption -----------------------------------------------------------------------------

TEST_F(BuildTest, AnInterruptedBuildTagsNothingAndGoesOn) {
  const auto stop = [](std::string_view, std::uint64_t, std::uint64_t) { return false; };
  const auto stopped = build(model_, store_, options_, stop);
  ASSERT_TRUE(stopped.has_error());
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
  EXPECT_TRUE(store_.list()->empty());
  EXPECT_THAT(sample::files_below(root_ / ".bundle" / "tmp"), ElementsAre());
  EXPECT_EQ(refusal(model_), "built");
}

TEST_F(BuildTest, TellsOfProgress) {
  std::uint64_t last = 0;
  std::uint64_t whole = 0;
  const auto note = [&](std::string_view stage, std::uint64_t done, std::uint64_t total) {
    EXPECT_THAT(std::string(stage), HasSubstr("packing"));
    EXPECT_GE(done, last);
    EXPECT_LE(done, total);
    last = done;
    whole = total;
    return true;
  };
  ASSERT_TRUE(build(model_, store_, options_, note));
  EXPECT_EQ(last, whole);
  EXPECT_EQ(whole, std::filesystem::file_size(model_ / "model.safetensors"));
}

TEST_F(BuildTest, NoticesAFileThatChangesMeanwhile) {
  bool is_first = true;
  const auto meddle = [&](std::string_view, std::uint64_t, std::uint64_t) {
    if (is_first) std::ofstream(model_ / "model.safetensors", std::ios::app) << "x";
    is_first = false;
    return true;
  };
  const auto result = build(model_, store_, options_, meddle);
  ASSERT_TRUE(result.has_error());
  EXPECT_THAT(result.error().message(), HasSubstr("changed"));
  EXPECT_TRUE(store_.list()->empty());
  EXPECT_THAT(sample::files_below(root_ / "blobs"), ElementsAre());
}

TEST_F(BuildTest, DoesNotTrustItsMemoryOfAFileThatChanged) {
  const Path weights = model_ / "model.safetensors";
  const auto old = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
  std::filesystem::last_write_time(weights, old);
  const std::string digest = build_or_fail(model_).digest;
  std::string bytes = *read_file(weights);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  sample::write_text(weights, bytes);  // the same size, and the same time put back
  std::filesystem::last_write_time(weights, old);
  EXPECT_NE(build_or_fail(model_).digest, digest);
}

TEST_F(BuildTest, HealsATruncatedBlob) {
  const BuildResult built = build_or_fail(model_);
  for (const BuiltLayer& layer : built.layers) {
    std::filesystem::resize_file(store_.blob_path(layer.digest), 5000);
    EXPECT_TRUE(store_.resolve("tinyllama").has_error());
    EXPECT_EQ(build_or_fail(model_).digest, built.digest);
    EXPECT_TRUE(store_.resolve("tinyllama"));
  }
}

TEST_F(BuildTest, AContainerIsToldWhatToServe) {
  const BuildResult built = build_or_fail(model_);
  const auto stored = store_.resolve("tinyllama");
  ASSERT_TRUE(stored);
  const Path blob = stored->layers[1].blob;
  const auto members = read_layer(blob);
  const auto launch =
      std::ranges::find(*members, std::string("bundle/launch.json"), &TarMember::path);
  ASSERT_NE(launch, members->end());
  const auto map = MappedFile::open(blob, launch->offset, launch->size);
  const auto document = parse_json(as_text(map->bytes()), "launch.json");
  ASSERT_TRUE(document);
  EXPECT_EQ(document->at("content_digest"), Json(built.content_digest));
  EXPECT_EQ(document->at("name"), "model");
  EXPECT_EQ(document->at("model").as_array()[0].at("path"), "/models/config.json");
}

TEST_F(BuildTest, InspectShowsEverythingAndNothingOfTheHost) {
  const BuildResult built = build_or_fail(model_);
  const Json document = inspect_bundle(*store_.resolve("tinyllama"));
  EXPECT_EQ(document.at("digest"), Json(built.digest));
  EXPECT_EQ(document.at("model").at("architecture"), "LlamaForCausalLM");
  EXPECT_EQ(document.at("model").at("context_length"), 2048);
  EXPECT_EQ(document.at("layers").as_array().size(), 2u);
  EXPECT_EQ(document.at("variants").as_array().size(), 2u);
  EXPECT_THAT(print_json(document), testing::Not(HasSubstr(folder_.path().string())));
  EXPECT_EQ(list_bundles(*store_.list()).at("bundles").as_array().size(), 1u);
}

TEST_F(BuildTest, APatternThatMatchesNothingIsNamed) {
  sample::write_text(model_ / "bundle.yaml", "include: ['*.json', '*.safetensors', 'vocab.*']\n");
  const auto built = build(model_, store_, sample::no_runtime(), {});
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(built.error().what, HasSubstr("'vocab.*', which matches no file"));
}

TEST_F(BuildTest, AModelThatIsNotThereIsNamedWithItsLine) {
  sample::write_text(model_ / "bundle.yaml", "name: tiny\nmodel: ./none\n");
  const auto built = build(model_, store_, sample::no_runtime(), {});
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(built.error().where, HasSubstr("bundle.yaml:2:8"));
}

TEST(Glob, Matches) {
  EXPECT_TRUE(matches_glob("*.json", "config.json"));
  EXPECT_TRUE(matches_glob("*", ""));
  EXPECT_TRUE(matches_glob("a*b?d", "axxbxbcd"));
  EXPECT_FALSE(matches_glob("*.json", "config.jsonl"));
  EXPECT_FALSE(matches_glob("", "a"));
  EXPECT_FALSE(matches_glob(std::string(5000, '*') + "b", std::string(5000, 'a')));
}

}  // namespace
}  // namespace bundle::packager
