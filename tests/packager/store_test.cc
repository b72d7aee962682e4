#include "packager/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/build.h"
#include "packager/oci.h"
#include "packager/store_files.h"
#include "packager/store_index.h"
#include "packager/write_session.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class StoreTest : public testing::Test {
 protected:
  golden::TempFolder folder_;
  Path model_ = folder_.path() / "tiny";
  Path root_ = folder_.path() / "store";
  StorePaths paths_{root_};
  Store store_ = *Store::open(root_);

  void SetUp() override { ASSERT_TRUE(sample::write_model(model_)); }

  BuildResult build_as(const std::string& name, const std::string& yaml = "") {
    sample::write_text(model_ / "bundle.yaml", yaml);
    BuildOptions options = sample::no_runtime();
    options.name = name;
    auto result = build(model_, store_, options, {});
    EXPECT_TRUE(result) << result.error().message();
    return result ? *result : BuildResult{};
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const BundleSummary& bundle : *store_.list()) {
      names.push_back(bundle.name + ':' + bundle.tag + (bundle.damage.empty() ? "" : " damaged"));
    }
    return names;
  }

  Error failure(std::string_view reference) const {
    const auto resolved = store_.resolve(reference);
    EXPECT_TRUE(resolved.has_error()) << reference;
    return resolved ? Error{} : resolved.error();
  }

  std::size_t num_blobs() const { return sample::files_below(paths_.blobs()).size(); }
};

TEST_F(StoreTest, AnEmptyStoreIsNotMadeByReading) {
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_EQ(failure("x").code, ErrorCode::kNotFound);
  EXPECT_EQ(store_.remove("x").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(store_.gc());
  EXPECT_FALSE(std::filesystem::exists(root_));
}

TEST_F(StoreTest, IsAnOciImageLayout) {
  build_as("tiny:v1");
  EXPECT_EQ(*read_file(paths_.layout()), R"({"imageLayoutVersion":"1.0.0"})");
  const Json index = *read_json_file(paths_.index().string());
  EXPECT_EQ(index.at("schemaVersion"), 2);
  std::vector<std::string> tags;
  for (const Json& entry : index.at("manifests").as_array()) {
    tags.push_back(oci::annotation(entry, oci::kRefName));
  }
  EXPECT_THAT(tags, ElementsAre("tiny:v1", "tiny:v1-cpu", "tiny:v1-modelpack"));
}

TEST_F(StoreTest, FindsABundleByEveryKindOfReference) {
  const BuildResult built = build_as("team/tiny:v1");
  const std::string hex = built.digest.substr(7);
  for (const std::string& reference :
       {std::string("team/tiny:v1"), std::string("team/tiny"), "team/tiny@" + built.digest,
        built.digest, hex, hex.substr(0, 8), "sha256:" + hex.substr(0, 12)}) {
    const auto found = store_.resolve(reference);
    ASSERT_TRUE(found) << reference << found.error().message();
    EXPECT_EQ(found->digest, built.digest);
    EXPECT_EQ(found->name, "team/tiny");
    EXPECT_EQ(found->tag, "v1");
  }
}

TEST_F(StoreTest, SaysWhatIsNearWhenThereIsNone) {
  build_as("smollm2:v1");
  EXPECT_THAT(failure("smolm2").message(), HasSubstr("Did you mean 'smollm2'?"));
  EXPECT_THAT(failure("smollm2:v2").message(), HasSubstr("'smollm2:v1'?"));
  EXPECT_EQ(failure("smollm2:v1-cpu").code, ErrorCode::kNotFound);
  EXPECT_EQ(failure("other@sha256:" + std::string(64, 'a')).code, ErrorCode::kNotFound);
  for (const char* text : {"", "A B", "../x", "x:", ":y", "x@sha256:12", "x:y:z", "x@", "/",
                           "x/../y", "sha512:abc!"}) {
    EXPECT_EQ(failure(text).code, ErrorCode::kUsage) << text;
  }
}

TEST_F(StoreTest, ANameAloneIsItsLatestOrItsOnlyTag) {
  build_as("tiny:a");
  EXPECT_TRUE(store_.resolve("tiny"));
  const std::string other = build_as("tiny:b", "license: MIT\n").digest;
  EXPECT_EQ(failure("tiny").code, ErrorCode::kUsage);
  EXPECT_THAT(failure("tiny").message(), HasSubstr("tiny:a, tiny:b"));
  build_as("tiny", "license: MIT\n");
  EXPECT_EQ(store_.resolve("tiny")->digest, other);
}

TEST_F(StoreTest, ATagThatMovesLeavesTheOldBundleReachable) {
  const std::string old = build_as("tiny").digest;
  const std::string now = build_as("tiny", "license: MIT\n").digest;
  ASSERT_NE(old, now);
  EXPECT_EQ(store_.resolve("tiny")->digest, now);
  EXPECT_EQ(store_.resolve("tiny@" + old)->digest, old);
  EXPECT_THAT(names(), ElementsAre("tiny:", "tiny:latest"));
  ASSERT_TRUE(store_.gc());
  EXPECT_THAT(names(), ElementsAre("tiny:latest"));
  EXPECT_EQ(failure("tiny@" + old).code, ErrorCode::kNotFound);
  EXPECT_TRUE(store_.resolve("tiny"));
}

TEST_F(StoreTest, RemovingFreesWhatNoOtherBundleNeeds) {
  build_as("one");
  build_as("two", "license: MIT\n");
  const std::size_t both = num_blobs();
  const auto report = store_.remove("two");
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_THAT(report->untagged, ElementsAre("two:latest"));
  EXPECT_EQ(report->freed_blobs, both - num_blobs());
  EXPECT_THAT(names(), ElementsAre("one:latest"));
  EXPECT_TRUE(store_.resolve("one"));
  ASSERT_TRUE(store_.remove("one"));
  EXPECT_EQ(num_blobs(), 0u);
}

TEST_F(StoreTest, RemovingOneTagKeepsTheOther) {
  const std::string digest = build_as("tiny:a").digest;
  build_as("tiny:b");
  ASSERT_TRUE(store_.remove("tiny:a"));
  EXPECT_TRUE(store_.resolve("tiny:b"));
  build_as("tiny:a");
  ASSERT_TRUE(store_.remove("tiny@" + digest));  // every tag of it
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(StoreTest, KeepsWhatOtherToolsWroteIntoTheIndex) {
  build_as("tiny");
  Json index = *read_json_file(paths_.index().string());
  const std::string blob = "foreign";
  sample::write_text(paths_.blobs() / sha256_hex(blob), blob);
  index.at("manifests")
      .as_array()
      .push_back(JsonObject{{"mediaType", "application/octet-stream"},
                            {"digest", "sha256:" + sha256_hex(blob)},
                            {"size", 7}});
  sample::write_text(paths_.index(), print_json(index));
  build_as("other", "license: MIT\n");
  ASSERT_TRUE(store_.remove("tiny"));
  EXPECT_THAT(names(), ElementsAre("other:latest"));
  EXPECT_EQ(*read_file(paths_.blobs() / sha256_hex(blob)), blob);
  EXPECT_THAT(*read_file(paths_.index()), HasSubstr("octet-stream"));
}

// --- locks -----------------------------------------------------------------------------------

TEST_F(StoreTest, GarbageIsNotCollectedUnderAWriter) {
  build_as("tiny");
  {
    const auto session = WriteSession::begin(paths_);
    ASSERT_TRUE(session);
    const auto report = store_.remove("tiny");
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->deferred);
    EXPECT_GT(num_blobs(), 0u);
  }
  EXPECT_FALSE(store_.gc()->deferred);
  EXPECT_EQ(num_blobs(), 0u);
}

TEST_F(StoreTest, OpeningClearsWhatAKilledWriterLeft) {
  build_as("tiny");
  sample::write_text(paths_.temporary() / "write-abcdef", "half");
  {
    const auto session = WriteSession::begin(paths_);  // clears, and then is a living writer
    sample::write_text(paths_.temporary() / "write-living", "half");
    ASSERT_TRUE(Store::open(root_));
    EXPECT_THAT(sample::files_below(paths_.temporary()), ElementsAre("write-living"));
  }
  ASSERT_TRUE(Store::open(root_));
  EXPECT_THAT(sample::files_below(paths_.temporary()), IsEmpty());
}

// --- hostile stores --------------------------------------------------------------------------

TEST_F(StoreTest, RefusesADamagedIndex) {
  build_as("tiny");
  const std::string digest = "sha256:" + std::string(64, 'a');
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("{}"),
        std::string(R"({"manifests":{}})"), std::string(R"({"manifests":[1]})"),
        std::string(
            R"({"manifests":[{"mediaType":"x","digest":"sha256:../../etc/passwd","size":1}]})"),
        std::string(R"({"manifests":[{"mediaType":"x","digest":"sha512:00","size":1}]})"),
        R"({"manifests":[{"mediaType":"x","digest":")" + digest + R"(","size":-1}]})",
        R"({"manifests":[{"mediaType":"x","digest":")" + digest + R"("}]})",
        R"({"manifests":[{"mediaType":7,"digest":")" + digest + R"(","size":1}]})",
        std::string(100000, '[')}) {
    sample::write_text(paths_.index(), text);
    EXPECT_EQ(failure("tiny").code, ErrorCode::kBadInput) << text.substr(0, 100);
    EXPECT_TRUE(store_.list().has_error());
    EXPECT_TRUE(store_.remove("tiny").has_error());
    EXPECT_TRUE(store_.gc().has_error());  // and frees nothing
    EXPECT_GT(num_blobs(), 0u);
    EXPECT_EQ(*read_file(paths_.index()), text);
  }
}

TEST_F(StoreTest, IgnoresTagsThatAreNoNames) {
  const BuildResult built = build_as("tiny");
  Json index = *read_json_file(paths_.index().string());
  JsonObject& entry = index.at("manifests").as_array()[0].as_object();
  for (const char* name : {"../../x:y", "A:b", "x", "", "a:b:c", "\x1b[31mred:x"}) {
    entry["annotations"].as_object()[oci::kRefName] = name;
    sample::write_text(paths_.index(), print_json(index));
    EXPECT_THAT(names(), IsEmpty()) << name;
    EXPECT_EQ(failure(built.digest).code, ErrorCode::kNotFound);
  }
}

TEST_F(StoreTest, RefusesEveryDamagedBlobAndSaysSo) {
  build_as("tiny");
  for (const std::string& name : sample::files_below(paths_.blobs())) {
    const Path blob = paths_.blobs() / name;
    const std::string whole = *read_file(blob);
    const auto expect_damage = [&](const char* how) {
      const auto resolved = store_.resolve("tiny");
      // The second manifest's config is not opened to serve the model.
      const bool is_needed = resolved.has_error() || whole.find("modelfs") != std::string::npos;
      EXPECT_TRUE(is_needed) << how << name;
      EXPECT_TRUE(store_.list());
    };
    sample::write_text(blob, whole.substr(0, whole.size() - 1));
    expect_damage("cut");
    sample::write_text(blob, whole + "x");
    expect_damage("longer");
    std::string changed = whole;
    changed[10] = static_cast<char>(changed[10] ^ 1);
    sample::write_text(blob, changed);
    expect_damage("changed");
    std::filesystem::remove(blob);
    expect_damage("missing");
    std::filesystem::create_symlink("/etc/passwd", blob);
    expect_damage("link");
    std::filesystem::remove(blob);
    std::filesystem::create_directory(blob);
    expect_damage("folder");
    std::filesystem::remove(blob);
    sample::write_text(blob, whole);
    ASSERT_TRUE(store_.resolve("tiny"));
  }
}

TEST_F(StoreTest, ADamagedBundleCanBeRemovedAndBlocksNothingElse) {
  const BuildResult bad = build_as("bad");
  build_as("good", "license: MIT\n");
  sample::write_text(store_.blob_path(bad.digest), "{}");
  EXPECT_THAT(names(), ElementsAre("bad:latest damaged", "good:latest"));
  const auto other = store_.remove("good");
  ASSERT_TRUE(other) << other.error().message();
  EXPECT_NE(other->blocked, "");
  EXPECT_THAT(names(), ElementsAre("bad:latest damaged"));
  const auto report = store_.remove("bad");
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->blocked, "");
  EXPECT_EQ(num_blobs(), 0u);
}

/// Replaces a document of the bundle and makes everything above it fit again, as an attacker can.
class ForgedBundle : public StoreTest {
 protected:
  /// Puts `text` under its true digest.
  Descriptor put(std::string_view type, const std::string& text) {
    sample::write_text(paths_.blobs() / sha256_hex(text), text);
    return {std::string(type), "sha256:" + sha256_hex(text), text.size()};
  }

  Error forge(const std::function<void(Json& manifest)>& change) {
    const StoredBundle good = *store_.resolve("tiny");
    Json manifest = good.manifest;
    change(manifest);
    Json index = good.index;
    JsonObject& image = index.at("manifests").as_array()[0].as_object();
    const Descriptor blob = put(oci::kManifestType, print_json(manifest));
    image["digest"] = blob.digest;
    image["size"] = static_cast<std::int64_t>(blob.size);
    const Descriptor top = put(oci::kIndexType, print_json(index));
    EXPECT_TRUE(tag_bundle(paths_, "forged", "latest", top, {}));
    return failure("forged");
  }
};

TEST_F(ForgedBundle, IsRefused) {
  build_as("tiny");
  const auto layer = [](Json& manifest, std::size_t i) -> JsonObject& {
    return manifest.at("layers").as_array()[i].as_object();
  };
  const std::function<void(Json&)> kChanges[] = {
      [](Json& manifest) { manifest.as_object().erase("layers"); },
      [](Json& manifest) { manifest.as_object().erase("config"); },
      [](Json& manifest) { manifest.at("layers").as_array().clear(); },
      [](Json& manifest) { manifest.at("layers") = 7; },
      [&](Json& manifest) { layer(manifest, 0)["digest"] = "sha256:../../../../etc/passwd"; },
      [&](Json& manifest) { layer(manifest, 0)["size"] = 1; },
      [&](Json& manifest) { layer(manifest, 0)["annotations"] = 1; },
      [&](Json& manifest) {
        layer(manifest, 0)["annotations"] = JsonObject{{oci::kRole, "config"}};
      },
      [&](Json& manifest) {
        layer(manifest, 1)["annotations"] = JsonObject{{oci::kRole, "weights"}};
      },
      [&](Json& manifest) { layer(manifest, 0) = layer(manifest, 1); },
      [](Json& manifest) {
        JsonArray& layers = manifest.at("layers").as_array();
        const Json first = layers[0];
        layers.insert(layers.begin(), 20000, first);
      },
  };
  for (const auto& change : kChanges) EXPECT_EQ(forge(change).code, ErrorCode::kBadInput);
}

TEST_F(StoreTest, ALostIndexIsDamageAndNothingIsCollected) {
  build_as("tiny:v1");
  const std::size_t blobs = num_blobs();
  std::filesystem::remove(paths_.index());
  EXPECT_EQ(store_.list().error().code, ErrorCode::kBadInput);
  EXPECT_EQ(store_.gc().error().code, ErrorCode::kBadInput);
  BuildOptions options = sample::no_runtime();
  options.name = "tiny:v2";
  EXPECT_EQ(build(model_, store_, options, {}).error().code, ErrorCode::kBadInput);
  EXPECT_EQ(num_blobs(), blobs);
  EXPECT_FALSE(std::filesystem::exists(paths_.index()));
}

}  // namespace
}  // namespace bundle::packager
