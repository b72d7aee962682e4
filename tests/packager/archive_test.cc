// export and import: round trips, deltas, volumes, and archives that attack.
#include "packager/transfer/archive.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/process.h"
#include "base/sha256.h"
#include "packager/attestations.h"
#include "packager/diff.h"
#include "packager/disk_usage.h"
#include "packager/fsck.h"
#include "packager/inspect.h"
#include "packager/signing/sign_bundle.h"
#include "packager/tar_layer.h"
#include "packager/transfer/executable.h"
#include "packager/transfer/export_model.h"
#include "packager/upgrade.h"
#include "tests/model/gguf_checkpoint.h"
#include "tests/model/model_runner.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Archive : public testing::Test {
 protected:
  golden::TempFolder folder_;
  Path model_ = folder_.path() / "tiny";
  Path file_ = folder_.path() / "tiny.tar";
  Store here_ = *Store::open(folder_.path() / "here");
  Store there_ = *Store::open(folder_.path() / "there");
  StorePaths there_paths_{there_.root()};

  void SetUp() override {
    ::setenv("BUNDLE_HOME", folder_.path().c_str(), 1);
    ASSERT_TRUE(sample::write_model(model_));
    build_as("tiny:v1", "");
  }

  void build_as(const std::string& name, const std::string& yaml) {
    sample::write_text(model_ / "bundle.yaml", yaml);
    BuildOptions options = sample::no_runtime();
    options.name = name;
    const auto built = build(model_, here_, options, {});
    ASSERT_TRUE(built) << built.error().message();
  }

  StoredBundle bundle(const std::string& name = "tiny:v1") const { return *here_.resolve(name); }

  ExportReport write(const ExportOptions& options = {}, const std::string& name = "tiny:v1") {
    const auto report = export_archive(here_, bundle(name), file_, options, {});
    EXPECT_TRUE(report) << report.error().message();
    return report ? *report : ExportReport{};
  }

  Result<std::vector<ImportedBundle>> read(const Path& file,
                                           const signing::TrustOptions& trust = {}) {
    return import_archive(file, there_, {}, *signing::Trust::load(trust), {});
  }

  void expect_refused(const std::string& bytes, const char* what) {
    const Path bad = folder_.path() / "bad.tar";
    std::ofstream(bad, std::ios::binary) << bytes;
    const auto imported = read(bad);
    ASSERT_FALSE(imported) << what;
    EXPECT_EQ(imported.error().code, ErrorCode::kBadInput) << what << imported.error().message();
    EXPECT_THAT(*there_.list(), IsEmpty()) << what;
    EXPECT_THAT(sample::files_below(there_paths_.blobs()), IsEmpty()) << what;
    EXPECT_THAT(sample::files_below(there_paths_.temporary()), IsEmpty()) << what;
  }
};

TEST_F(Archive, ARoundTripIsDigestEqual) {
  write();
  const auto imported = read(file_);
  ASSERT_TRUE(imported) << imported.error().message();
  EXPECT_EQ(imported->at(0).digest, bundle().digest);
  EXPECT_EQ(there_.resolve("tiny:v1")->content_digest, bundle().content_digest);
  EXPECT_EQ(sample::files_below(there_paths_.blobs()),
            sample::files_below(StorePaths{here_.root()}.blobs()));
  EXPECT_EQ(read(file_)->at(0).transferred, 0u) << "the second import moves nothing";
}

TEST_F(Archive, TheSameBundleGivesTheSameBytes) {
  write();
  const std::string first = *read_file(file_);
  EXPECT_FALSE(export_archive(here_, bundle(), file_, {}, {})) << "never over what is there";
  write({.replace = true});
  EXPECT_EQ(*read_file(file_), first);
}

TEST_F(Archive, VolumesReadAsOne) {
  const ExportReport report = write({.volume_bytes = 20'000});
  ASSERT_GT(report.files.size(), 1u);
  EXPECT_EQ(report.files.front().filename(), "tiny.tar.001");
  const auto imported = read(report.files.front());
  ASSERT_TRUE(imported) << imported.error().message();
  EXPECT_EQ(imported->at(0).digest, bundle().digest);
  std::filesystem::remove_all(there_.root());
  std::filesystem::remove(report.files.back());
  EXPECT_EQ(read(report.files.front()).error().code, ErrorCode::kBadInput);
}

TEST_F(Archive, VolumesOfAnOlderExportDoNotFollowTheNewOnes) {
  const ExportReport small = write({.volume_bytes = 20'000});
  ASSERT_GT(small.files.size(), 2u);
  std::filesystem::remove(small.files[0]);
  std::filesystem::remove(small.files[1]);
  const std::uint64_t whole = small.size;
  ExportOptions options{.volume_bytes = whole / 2 + 1};
  EXPECT_FALSE(export_archive(here_, bundle(), file_, options, {}));
  options.replace = true;
  const ExportReport report = write(options);
  EXPECT_EQ(report.files.size(), 2u);
  EXPECT_TRUE(read(report.files.front()));
}

TEST_F(Archive, ADeltaHoldsOnlyWhatTheOtherSideLacks) {
  const ExportReport full = write();
  ASSERT_TRUE(read(file_));
  build_as("tiny:v2", "license: MIT\n");
  ExportOptions options;
  options.replace = true;
  const auto usage = disk_usage(there_paths_);
  ASSERT_TRUE(usage);
  options.have.insert(usage->blobs.begin(), usage->blobs.end());
  const ExportReport delta = write(options, "tiny:v2");
  const std::uint64_t weights = bundle("tiny:v2").layers.front().descriptor.size;
  EXPECT_EQ(delta.left_out, weights);
  EXPECT_LT(delta.size, full.size - weights + 4096);
  const auto imported = read(file_);
  ASSERT_TRUE(imported) << imported.error().message();
  EXPECT_EQ(there_.resolve("tiny:v2")->digest, bundle("tiny:v2").digest);

  std::filesystem::remove_all(there_.root());
  const auto refused = read(file_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(sample::files_below(there_paths_.blobs()), IsEmpty());
}

TEST_F(Archive, SignaturesComeAlongAndAreAskedFor) {
  const auto key = *signing::PrivateKey::generate(signing::Curve::kP521);
  sample::write_text(folder_.path() / "key.pub", key.public_key().pem());
  signing::TrustOptions trust;
  trust.require_signature = true;
  trust.keys = {folder_.path() / "key.pub"};
  write();
  EXPECT_EQ(read(file_, trust).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(sample::files_below(there_paths_.blobs()), IsEmpty());
  ASSERT_TRUE(signing::sign_bundle(here_, bundle(), key, ""));
  write({.replace = true});
  const auto imported = read(file_, trust);
  ASSERT_TRUE(imported) << imported.error().message();
  const StoredBundle stored = *there_.resolve("tiny:v1");
  EXPECT_TRUE(signing::admit(there_, stored, *signing::Trust::load(trust), {}));
}

TEST_F(Archive, EveryCutAndManyFlippedBitsAreRefused) {
  write();
  const std::string good = *read_file(file_);
  for (std::size_t eighth = 0; eighth < 8; ++eighth) {
    expect_refused(good.substr(0, good.size() * eighth / 8), "cut");
  }
  expect_refused(good.substr(0, good.size() - 600), "cut in the end blocks");
  expect_refused(good + "x", "a byte after the end");
  expect_refused(good + good, "a second archive");
  for (std::size_t at = 0; at < good.size(); at += good.size() / 97) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 16);
    const Path path = folder_.path() / "flip.tar";
    std::ofstream(path, std::ios::binary) << bad;
    const auto imported = read(path);
    // A flip in padding changes nothing that is read; everything else must be seen.
    if (imported) {
      EXPECT_EQ(imported->at(0).digest, bundle().digest) << at;
      std::filesystem::remove_all(there_.root());
    }
    EXPECT_THAT(sample::files_below(there_paths_.temporary()), IsEmpty());
  }
}

/// A ustar header with any fields.
std::string header(const std::string& name, std::uint64_t size, char type,
                   const std::string& link = "") {
  std::string block = member_header(name, size, 0644).substr(0, 512);
  block[156] = type;
  block.replace(157, link.size(), link);
  block.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const unsigned char c : block) sum += c;
  char text[16];
  std::snprintf(text, sizeof text, "%06o", sum);
  block.replace(148, 7, std::string(text, 6) + '\0');
  return block;
}

std::string pax(const std::string& records) {
  return header("pax", records.size(), 'x') + records + member_padding(records.size());
}

TEST_F(Archive, AttacksAreRefused) {
  write();
  const std::string good = *read_file(file_);
  const std::string blob = "blobs/sha256/" + sha256_hex("x");
  const auto with = [&](const std::string& extra) { return extra + good; };
  for (const char* name : {"../evil", "/etc/passwd", "blobs/sha256/../../evil", "blobs//sha256/x",
                           "./index.json", "C:\\x", "-rf", "blobs/sha256/UPPER", "a\nb", "evil"}) {
    expect_refused(with(header(name, 0, '0')), name);
  }
  for (const char type : {'1', '2', '3', '4', '6', '7', 'g', 'L', 'K', 'S', 'M', 'Z'}) {
    expect_refused(with(header(blob, 0, type, "/etc/passwd")), "a member of another type");
  }
  expect_refused(with(header("evil/", 0, '5')), "a folder");
  expect_refused(with(header("blobs/", 512, '5')), "a folder with data");
  expect_refused(with(header(blob, 1, '0') + std::string(512, 'x')), "a blob that nothing needs");
  expect_refused(with(header("oci-layout", 0, '0')), "a member twice");
  expect_refused(with(pax("19 path=index.json\n") + header(blob, 0, '0')), "a PAX path");
  expect_refused(with(pax("16 linkpath=abc\n") + header(blob, 0, '0')), "a PAX link");
  expect_refused(with(pax("11 size=99\n") + header(blob, 1, '0')), "two sizes");
  expect_refused(with(pax("22 GNU.sparse.major=1\n") + header(blob, 0, '0')), "a sparse file");
  expect_refused(with(pax("12 mtime=10\n") + pax("12 mtime=10\n")), "two PAX headers");
  expect_refused(with(pax("99 size=1\n") + header(blob, 0, '0')), "a PAX length past its end");
  std::string negative = header(blob, 0, '0');
  negative.replace(124, 11, "-0000000001");
  expect_refused(with(negative), "a negative size");
  std::string base256 = header(blob, 0, '0');
  base256[124] = static_cast<char>(0x80);
  expect_refused(with(base256), "a base-256 size");
  std::string wrong_sum = header(blob, 0, '0');
  wrong_sum[148] = '7';
  expect_refused(with(wrong_sum), "a wrong checksum");
  std::string many;
  for (int i = 0; i < 20'001; ++i) {
    many += header("blobs/sha256/" + sha256_hex(std::to_string(i)), 0, '0');
  }
  expect_refused(with(many), "20001 members");
  expect_refused("\x1f\x8b\x08 gzip", "a compressed archive");
  expect_refused("", "an empty file");
}

TEST_F(Archive, AKilledExportLeavesNoFileUnderItsName) {
  const pid_t child = ::fork();
  if (child == 0) {
    const Progress stop = [](std::string_view, std::uint64_t, std::uint64_t) {
      ::kill(::getpid(), SIGKILL);
      return true;
    };
    (void)export_archive(here_, bundle(), file_, {}, stop);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(Archive, AnImportThatIsStoppedGoesOn) {
  write();
  int calls = 0;
  const auto stopped = import_archive(file_, there_, {}, *signing::Trust::load({}),
                                      [&](auto, auto, auto) { return ++calls < 2; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
  EXPECT_THAT(sample::files_below(there_paths_.temporary()), IsEmpty());
  EXPECT_TRUE(read(file_));
}

TEST_F(Archive, TheModelComesOutAsItWasPublished) {
  const auto made = export_directory(here_, bundle(), folder_.path() / "out", {});
  ASSERT_TRUE(made) << made.error().message();
  const StoredBundle stored = bundle();
  for (const format::SourceFile& file : stored.model.files()) {
    EXPECT_EQ(*read_file(folder_.path() / "out" / file.name), *read_file(model_ / file.name));
  }
  EXPECT_FALSE(export_directory(here_, bundle(), folder_.path() / "out", {}));
  EXPECT_EQ(export_gguf(bundle(), folder_.path() / "x.gguf", false, {}).error().code,
            ErrorCode::kUsage);
  EXPECT_EQ(export_executable(bundle(), folder_.path() / "x", "/bin/true", false, {}).error().code,
            ErrorCode::kUsage);
}

/// A bundle of one GGUF, "small:v1", with a license and settings.
class GgufExport : public Archive {
 protected:
  std::string gguf_ =
      model::golden_gguf(model::load_golden("llama_tied"), model::encode_as(DType::kQ8_0));
  StoredBundle small_;

  void SetUp() override {
    Archive::SetUp();
    const Path source = folder_.path() / "gguf";
    sample::write_text(source / "small.gguf", gguf_);
    sample::write_text(source / "LICENSE", "Do as you like.\n");
    sample::write_text(source / "bundle.yaml",
                       "name: small\nversion: v1\nruntime:\n  context_length: 512\n"
                       "  sampling: {temperature: 0.5, repetition_penalty: 1.1}\n");
    const auto built = build(source, here_, sample::no_runtime(), {});
    ASSERT_TRUE(built) << built.error().message();
    small_ = bundle("small:v1");
  }

  static Json read_json(const Path& file) { return *parse_json(*read_file(file), file.string()); }
};

TEST_F(GgufExport, TheFileComesOutAlone) {
  const Path file = folder_.path() / "out.gguf";
  const auto made = export_gguf(small_, file, false, {});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(*read_file(file), gguf_);
  EXPECT_FALSE(export_gguf(small_, file, false, {})) << "never over what is there";
  EXPECT_TRUE(export_gguf(small_, file, true, {}));
}

// Ollama reads a store as it lies on disk (its manifest/ and server/create.go).
TEST_F(GgufExport, OllamasStoreHoldsModelParametersAndLicense) {
  const Path home = folder_.path() / "ollama";
  const auto made = export_ollama(small_, home, {});
  ASSERT_TRUE(made) << made.error().message();
  const Json manifest = read_json(home / "manifests/registry.ollama.ai/library/small/v1");
  EXPECT_EQ(manifest.at("mediaType"), "application/vnd.docker.distribution.manifest.v2+json");
  std::map<std::string, std::string> texts;
  JsonArray layers = manifest.at("layers").as_array();
  layers.push_back(manifest.at("config"));
  for (const Json& layer : layers) {
    const std::string digest(layer.at("digest").as_string());
    const std::string text = *read_file(home / "blobs" / ("sha256-" + digest.substr(7)));
    EXPECT_EQ("sha256:" + sha256_hex(text), digest);
    EXPECT_EQ(static_cast<std::int64_t>(text.size()), layer.at("size").as_int64());
    texts[std::string(layer.at("mediaType").as_string())] = text;
  }
  EXPECT_EQ(texts.size(), 4u);
  EXPECT_EQ(texts.at("application/vnd.ollama.image.model"), gguf_);
  EXPECT_EQ(texts.at("application/vnd.ollama.image.license"), "Do as you like.\n");
  const Json parameters = *parse_json(texts.at("application/vnd.ollama.image.params"), "");
  EXPECT_EQ(parameters.at("temperature"), 0.5);
  EXPECT_EQ(parameters.at("repeat_penalty"), 1.1);
  EXPECT_EQ(parameters.at("num_ctx"), 512);
  const Json config = *parse_json(texts.at("application/vnd.docker.container.image.v1+json"), "");
  EXPECT_EQ(config.at("model_format"), "gguf");
  EXPECT_EQ(config.at("model_family"), "llama");
  EXPECT_TRUE(export_ollama(small_, home, {})) << "what is there is left";
  EXPECT_EQ(export_ollama(bundle(), home, {}).error().code, ErrorCode::kUsage);
}

TEST_F(GgufExport, InspectListsItsTensors) {
  const Json tensors = *inspect_tensors(small_);
  const auto checkpoint = *format::Checkpoint::open(small_.model);
  ASSERT_EQ(tensors.as_array().size(), checkpoint.tensors().size());
  std::uint64_t bytes = 0;
  for (const Json& tensor : tensors.as_array()) {
    const auto* view = checkpoint.find(std::string(tensor.at("name").as_string()));
    ASSERT_NE(view, nullptr);
    EXPECT_EQ(std::string(tensor.at("type").as_string()), dtype_info(view->type).name);
    EXPECT_EQ(tensor.at("shape").as_array().size(), view->shape.size());
    bytes += tensor.at("bytes").to_number<std::uint64_t>();
  }
  EXPECT_EQ(bytes, checkpoint.weight_bytes());
}

TEST_F(Archive, DiskUsageCountsSharedBlobsOnce) {
  build_as("tiny:v2", "license: MIT\n");
  const auto usage = disk_usage(StorePaths{here_.root()});
  ASSERT_TRUE(usage);
  ASSERT_EQ(usage->bundles.size(), 2u);
  EXPECT_LT(usage->bundles[0].unique, usage->bundles[0].size / 2);
  EXPECT_LT(usage->total, usage->bundles[0].size + usage->bundles[1].size);
  EXPECT_EQ(usage->unreachable, 0u);
}

TEST_F(Archive, FsckFindsAndRemovesDamage) {
  const StorePaths paths{here_.root()};
  EXPECT_THAT(fsck(paths, false, {})->damaged, IsEmpty());
  const Path weights = bundle().layers.front().blob;
  std::string bytes = *read_file(weights);
  bytes[6000] = static_cast<char>(bytes[6000] ^ 1);
  std::ofstream(weights, std::ios::binary) << bytes;
  EXPECT_EQ(fsck(paths, false, {})->damaged.size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(weights));
  EXPECT_EQ(fsck(paths, true, {})->removed.size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(weights));
  build_as("tiny:v1", "");
  EXPECT_THAT(fsck(paths, false, {})->damaged, IsEmpty());
}

TEST_F(Archive, DiffTellsMeaning) {
  build_as("tiny:v2", "license: MIT\nruntime:\n  context_length: 128\n");
  const Json diff = *diff_bundles(bundle("tiny:v1"), bundle("tiny:v2"));
  EXPECT_THAT(diff_text(diff), HasSubstr("license: (not set) -> MIT"));
  EXPECT_THAT(diff_text(diff), HasSubstr("runtime.context_length: (not set) -> 128"));
  EXPECT_EQ(find(diff, "tensors"), nullptr) << "the weights are the same files";
  std::string weights = *read_file(model_ / "model.safetensors");
  weights.back() = static_cast<char>(weights.back() ^ 1);
  sample::write_text(model_ / "model.safetensors", weights);
  build_as("tiny:v3", "");
  const Json changed = *diff_bundles(bundle("tiny:v1"), bundle("tiny:v3"));
  EXPECT_EQ(changed.at("tensors").at("changed").as_array().size(), 1u);
  EXPECT_THAT(diff_text(*diff_bundles(bundle(), bundle())), HasSubstr("the same bundle"));
}

TEST_F(Archive, AnUpgradeIsWhatABuildWithThatServerGives) {
  const auto build_with = [&](const std::string& name, const char* server) {
    BuildOptions options;
    options.name = name;
    options.server = server;
    sample::write_text(model_ / "bundle.yaml",
                       "name: own\nlicense: MIT\nenv: {A: b}\nsecrets: [C]\nlabels: {x: y}\n"
                       "runtime: {context_length: 128}\n");
    return *build(model_, here_, options, {});
  };
  build_with("old:v1", "/bin/cat");
  const BuildResult wanted = build_with("new:v1", "/bin/true");
  const auto report = upgrade(here_, bundle("old:v1"), "/bin/true", {});
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->to, wanted.digest);
  EXPECT_EQ(bundle("old:v1").digest, wanted.digest);
  EXPECT_EQ(upgrade(here_, bundle("old:v1"), "/bin/true", {})->to, wanted.digest);
}

TEST_F(Archive, TheBillOfMaterialsNamesFilesLibrariesAndLicenses) {
  BuildOptions options;
  options.name = "full:v1";
  options.server = "/bin/cat";
  sample::write_text(model_ / "bundle.yaml", "license: Apache-2.0\n");
  ASSERT_TRUE(build(model_, here_, options, {}));
  const Json sbom = *sbom_document(bundle("full:v1"));
  EXPECT_EQ(sbom.at("bomFormat"), "CycloneDX");
  const JsonArray& components = sbom.at("components").as_array();
  EXPECT_EQ(components[0].at("licenses").at(0).at("expression"), "Apache-2.0");
  EXPECT_THAT(print_json(sbom), HasSubstr("\"libc.so.6\""));
  EXPECT_THAT(print_json(sbom), HasSubstr("LGPL-2.1-or-later"));
  EXPECT_EQ(print_json(*sbom_document(bundle("full:v1"))), print_json(sbom));
  // The name in this store is nobody else's business.
  EXPECT_THAT(print_json(sbom), testing::Not(HasSubstr("full")));
  const Json source = JsonObject{{"uri", "hf://org/name"}, {"revision", "abc"}};
  ASSERT_TRUE(attach_attestations(here_, bundle("full:v1"), source, "1"));
  ASSERT_TRUE(attach_attestations(here_, bundle("full:v1"), source, "1"));
  const StorePaths paths{here_.root()};
  const Json referrers = *inspect_referrers(paths, bundle("full:v1"));
  ASSERT_EQ(referrers.as_array().size(), 2u) << "attaching the same again adds nothing";
  EXPECT_EQ(referrers.at(0).at("kind"), "sbom");
  EXPECT_EQ(referrers.at(1).at("source").at("uri"), "hf://org/name");
}

}  // namespace
}  // namespace bundle::packager
