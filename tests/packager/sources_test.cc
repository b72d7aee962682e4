// Models from elsewhere: a hub look-alike with redirects and ranges, plain https files, and SigV4.
#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <openssl/evp.h>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "base/sigv4.h"
#include "packager/build.h"
#include "packager/sources/fetch.h"
#include "tests/packager/fake_server.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager::sources {
namespace {

using sample::FakeAnswer;
using sample::FakeRequest;
using sample::FakeServer;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(SourceUri, TakesApartEveryForm) {
  const auto hub = parse_source_uri("hf://org/name@v1.0/sub/file.gguf");
  ASSERT_TRUE(hub);
  EXPECT_EQ(hub->repository, "org/name");
  EXPECT_EQ(hub->revision, "v1.0");
  EXPECT_EQ(hub->path, "sub/file.gguf");
  EXPECT_EQ(parse_source_uri("hf://org/name")->revision, "main");
  const std::string hex(64, 'a');
  EXPECT_EQ(parse_source_uri("https://h.example/a/m.gguf#sha256=" + hex)->path, "m.gguf");
  EXPECT_EQ(parse_source_uri("s3://bucket/a/b/")->path, "a/b/");
  for (const std::string& text :
       {std::string("hf://name"), std::string("hf://org/../x"), std::string("hf://org/name@"),
        std::string("hf://org/na me"), std::string("https://h.example/m.gguf"),
        std::string("https://h.example/m.gguf#sha256=12"), "http://h.example/m.gguf#sha256=" + hex,
        std::string("ftp://h/x"), std::string("s3://"), std::string("file:///etc/passwd")}) {
    EXPECT_FALSE(parse_source_uri(text)) << text;
  }
}

/// The example of AWS's documentation of Signature Version 4 for S3 ("GET Bucket Lifecycle").
TEST(SourceUri, AnS3KeyMayHoldAnyText) {
  const auto uri = parse_source_uri("s3://bucket/my models/日本 7B/");
  ASSERT_TRUE(uri) << uri.error().message();
  EXPECT_EQ(uri->path, "my models/日本 7B/");
  EXPECT_FALSE(parse_source_uri("s3://bucket/a\nb"));
}

TEST(SigV4, SignsAsTheDocumentationDoes) {
  const AwsCredentials keys{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
  const auto time = std::chrono::system_clock::from_time_t(1369353600);  // 2013-05-24T00:00:00Z
  const auto signature = [&](const std::string& url) {
    return sign_aws_request("GET", *parse_url(url), keys, "us-east-1", "s3", time).back().second;
  };
  EXPECT_THAT(
      signature("https://examplebucket.s3.amazonaws.com/?lifecycle"),
      HasSubstr("Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
  EXPECT_THAT(
      signature("https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J"),
      HasSubstr("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
  EXPECT_EQ(signature("https://examplebucket.s3.amazonaws.com/?prefix=J&max-keys=2"),
            signature("https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J"));
}

std::string git_sha1(const std::string& bytes) {
  const std::string text = "blob " + std::to_string(bytes.size()) + '\0' + bytes;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", digest[i]);
    hex += two;
  }
  return hex;
}

/// A hub with one model, whose large files lie on another host.
class Hub : public testing::Test {
 protected:
  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

  golden::TempFolder folder_;
  Path model_ = folder_.path() / "tiny";
  Path cache_ = folder_.path() / "cache";
  std::map<std::string, std::string> files_;
  std::function<void(const FakeRequest&, FakeAnswer&)> lie_ = [](const FakeRequest&, FakeAnswer&) {
  };
  std::set<std::string> storage_auth_;
  std::mutex mutex_;
  FakeServer storage_{[this](const FakeRequest& request) {
    {
      const std::lock_guard lock(mutex_);
      storage_auth_.insert(request.header("authorization"));
    }
    FakeAnswer answer = sample::serve_bytes(request, files_["model.safetensors"]);
    lie_(request, answer);
    return answer;
  }};
  FakeServer hub_{[this](const FakeRequest& request) { return answer(request); }};

  void SetUp() override {
    ASSERT_TRUE(sample::write_model(model_));
    for (const std::string& name : sample::files_below(model_)) {
      files_[name] = *read_file(model_ / name);
    }
    files_["README.md"] = "# tiny\n";
    files_["pytorch_model.bin"] = "not wanted";
    ::setenv("HF_ENDPOINT", ("http://" + hub_.address()).c_str(), 1);
    ::setenv("HF_TOKEN", "hf_secret", 1);
    ::setenv("HOME", folder_.path().c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("HF_ENDPOINT");
    ::unsetenv("HF_TOKEN");
  }

  FakeAnswer answer(const FakeRequest& request) {
    if (request.header("authorization") != "Bearer hf_secret") return {.status = 401};
    if (request.target.starts_with("/api/models/org/tiny/revision/main"))
      return {.body = listing()};
    const std::string resolve = std::string("/org/tiny/resolve/") + kCommit + '/';
    if (!request.target.starts_with(resolve)) return {.status = 404};
    const std::string name = request.target.substr(resolve.size());
    if (name == "model.safetensors") {
      return {.status = 302,
              .headers = {{"Location", "http://" + storage_.address() + "/cdn?signature=1"}}};
    }
    return files_.contains(name) ? sample::serve_bytes(request, files_[name])
                                 : FakeAnswer{.status = 404};
  }

  std::string listing() const {
    JsonArray siblings;
    for (const auto& [name, bytes] : files_) {
      JsonObject entry{{"rfilename", name}, {"size", bytes.size()}, {"blobId", git_sha1(bytes)}};
      if (name == "model.safetensors") {
        entry["blobId"] = std::string(40, '0');
        entry["lfs"] = JsonObject{{"sha256", sha256_hex(bytes)}, {"size", bytes.size()}};
      }
      siblings.push_back(std::move(entry));
    }
    siblings.push_back(JsonObject{{"rfilename", "onnx/model.onnx"}, {"size", 5}});
    return print_json(JsonObject{{"sha", kCommit}, {"siblings", std::move(siblings)}});
  }

  Result<FetchedModel> fetch(const Progress& progress = {}) {
    return fetch_model(*parse_source_uri("hf://org/tiny"), cache_, {}, progress);
  }
};

TEST_F(Hub, FetchesWhatABundleNeeds) {
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().message();
  EXPECT_EQ(fetched->name, "tiny");
  EXPECT_EQ(*read_file(fetched->path / "model.safetensors"), files_["model.safetensors"]);
  EXPECT_EQ(*read_file(fetched->path / "config.json"), files_["config.json"]);
  EXPECT_FALSE(std::filesystem::exists(fetched->path / "pytorch_model.bin"));
  EXPECT_EQ(fetched->provenance.at("revision"), kCommit);
  Store store = *Store::open(folder_.path() / "store");
  EXPECT_TRUE(build(fetched->path, store, sample::no_runtime(), {}));
}

TEST_F(Hub, TheTokenStaysWithTheHub) {
  ASSERT_TRUE(fetch());
  EXPECT_EQ(storage_auth_, std::set<std::string>{""});
}

TEST_F(Hub, ADamagedFileIsRefused) {
  lie_ = [](const FakeRequest&, FakeAnswer& answer) { answer.body[9] ^= 1; };
  EXPECT_EQ(fetch().error().code, ErrorCode::kBadInput);
  lie_ = [](const FakeRequest&, FakeAnswer&) {};
  EXPECT_TRUE(fetch()) << "the damaged part was thrown away";
}

TEST_F(Hub, ADamagedSmallFileIsRefused) {
  const std::string good = listing();
  files_["config.json"] += ' ';
  lie_ = {};
  FakeServer liar([&](const FakeRequest& request) {
    FakeAnswer one = answer(request);
    if (request.target.starts_with("/api/")) one.body = good;
    if (request.target.ends_with("/config.json"))
      one.body.resize(one.body.size() - 1), one.body[0] = ' ';
    return one;
  });
  ::setenv("HF_ENDPOINT", ("http://" + liar.address()).c_str(), 1);
  lie_ = [](const FakeRequest&, FakeAnswer&) {};
  EXPECT_EQ(fetch().error().code, ErrorCode::kBadInput);
}

TEST_F(Hub, AGatedModelSaysWhatToDo) {
  FakeServer gated([](const FakeRequest&) {
    return FakeAnswer{.status = 403, .headers = {{"X-Error-Code", "GatedRepo"}}};
  });
  ::setenv("HF_ENDPOINT", ("http://" + gated.address()).c_str(), 1);
  const auto fetched = fetch();
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(fetched.error().what, HasSubstr("gated"));
  EXPECT_THAT(fetched.error().remedy, HasSubstr("HF_TOKEN"));
}

TEST_F(Hub, ABreakIsGoneOnFrom) {
  std::atomic<int> times{0};
  lie_ = [&](const FakeRequest&, FakeAnswer& answer) {
    if (times++ < 2) answer.cut = answer.body.size() / 2;
  };
  EXPECT_TRUE(fetch());
  EXPECT_GE(times, 3);
}

TEST_F(Hub, AStoppedDownloadGoesOn) {
  bool stop = true;
  ASSERT_FALSE(
      fetch([&](std::string_view stage, auto, auto) { return stage != "downloading" || !stop; }));
  stop = false;
  const auto fetched = fetch();
  ASSERT_TRUE(fetched);
  for (const std::string& name : sample::files_below(fetched->path)) {
    EXPECT_THAT(name, testing::Not(HasSubstr("partial")));
  }
}

TEST_F(Hub, WhatNobodyGoesOnWithIsCleared) {
  ASSERT_FALSE(fetch([&](std::string_view stage, auto, auto) { return stage != "downloading"; }));
  EXPECT_GT(size_of_fetched(cache_), 0u);
  EXPECT_GT(clear_fetched(cache_), 0u);
  EXPECT_EQ(size_of_fetched(cache_), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(cache_));
}

TEST_F(Hub, WhatIsInUseIsNotCleared) {
  auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().message();
  EXPECT_EQ(clear_fetched(cache_), 0u);
  EXPECT_TRUE(std::filesystem::exists(fetched->path / "config.json"));
  fetched->lock.reset();
  EXPECT_GT(clear_fetched(cache_), 0u);
  EXPECT_FALSE(std::filesystem::exists(fetched->path));
}

TEST_F(Hub, ASecondBuildWaitsForTheFirst) {
  auto first = fetch();
  ASSERT_TRUE(first) << first.error().message();
  int asked = 0;
  const auto second = fetch([&](std::string_view stage, auto, auto) {
    if (!stage.starts_with("waiting")) return true;
    if (++asked == 2) {
      std::filesystem::remove_all(first->folder);  // as a build ends
      first->lock.reset();
    }
    return asked < 100;
  });
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_GE(asked, 2);
  EXPECT_EQ(*read_file(second->path / "config.json"), files_["config.json"]);
}

TEST_F(Hub, AnIncludeThatMatchesNothingIsNamed) {
  FetchOptions options;
  options.include = {"*.json", "*.none"};
  const auto fetched = fetch_model(*parse_source_uri("hf://org/tiny"), cache_, options, {});
  ASSERT_FALSE(fetched);
  EXPECT_THAT(fetched.error().what, HasSubstr("'*.none', which matches no file"));
}

TEST_F(Hub, SeveralGgufModelsAreAskedAbout) {
  files_.erase("model.safetensors");
  files_["tiny-Q4_0.gguf"] = "a";
  files_["tiny-Q8_0.gguf"] = "b";
  const auto fetched = fetch();
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kUsage);
  EXPECT_THAT(fetched.error().what, HasSubstr("tiny-Q4_0, tiny-Q8_0"));
  const auto one = fetch_model(*parse_source_uri("hf://org/tiny/tiny-Q8_0.gguf"), cache_, {}, {});
  ASSERT_TRUE(one) << one.error().message();
  EXPECT_EQ(*read_file(one->path), "b");
}

TEST(Https, AFileIsCheckedAgainstItsDigest) {
  golden::TempFolder folder;
  const std::string bytes(100'000, 'g');
  FakeServer server(
      [&](const FakeRequest& request) { return sample::serve_bytes(request, bytes); });
  const std::string url = "http://" + server.address() + "/m.gguf#sha256=";
  const auto good = fetch_model(*parse_source_uri(url + sha256_hex(bytes)), folder.path(), {}, {});
  ASSERT_TRUE(good) << good.error().message();
  EXPECT_EQ(*read_file(good->path), bytes);
  const auto bad = fetch_model(*parse_source_uri(url + sha256_hex("x")), folder.path(), {}, {});
  EXPECT_EQ(bad.error().code, ErrorCode::kBadInput);
}

/// A registry that serves what a test puts there: manifests by tag or digest, blobs by digest.
class OciSource : public testing::Test {
 protected:
  golden::TempFolder folder_;
  Path cache_ = folder_.path() / "cache";
  std::map<std::string, std::string> things_;  // "manifests/v1", "blobs/sha256:…"
  FakeServer server_{[this](const FakeRequest& request) { return answer(request); }};

  void SetUp() override {
    ::setenv("BUNDLE_HOME", folder_.path().c_str(), 1);
    ::setenv("DOCKER_CONFIG", folder_.path().c_str(), 1);
  }

  FakeAnswer answer(const FakeRequest& request) const {
    const std::string base = "/v2/team/model/";
    const auto found =
        things_.find(request.target.substr(std::min(base.size(), request.target.size())));
    if (found == things_.end()) return {404};
    FakeAnswer whole = serve_bytes(request, found->second);
    if (found->first.starts_with("manifests/")) {
      const auto document = parse_json(found->second, "");
      const Json* type = document ? find(*document, "mediaType") : nullptr;
      if (type != nullptr) whole.headers["Content-Type"] = std::string(type->as_string());
    }
    return whole;
  }

  std::string put_blob(const std::string& bytes) {
    const std::string digest = "sha256:" + sha256_hex(bytes);
    things_["blobs/" + digest] = bytes;
    return digest;
  }

  /// A ModelPack artifact under "v1", as modctl writes it.
  void put_artifact(const std::vector<std::pair<std::string, std::string>>& files,
                    const std::string& type = "application/vnd.cncf.model.weight.v1.raw") {
    JsonArray layers;
    for (const auto& [name, bytes] : files) {
      layers.push_back(JsonObject{{"mediaType", type},
                                  {"digest", put_blob(bytes)},
                                  {"size", bytes.size()},
                                  {"annotations", JsonObject{{"org.cncf.model.filepath", name}}}});
    }
    const std::string config = "{}";
    things_["manifests/v1"] = print_json(
        JsonObject{{"schemaVersion", 2},
                   {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                   {"artifactType", "application/vnd.cncf.model.manifest.v1+json"},
                   {"config", JsonObject{{"mediaType", "application/vnd.cncf.model.config.v1+json"},
                                         {"digest", put_blob(config)},
                                         {"size", config.size()}}},
                   {"layers", std::move(layers)}});
  }

  Result<FetchedModel> fetch() {
    FetchOptions options;
    options.registry.plain_http = true;
    const auto uri = parse_source_uri("oci://" + server_.address() + "/team/model:v1");
    return fetch_model(*uri, cache_, options, {});
  }
};

TEST_F(OciSource, TakesTheFilesOfAnArtifact) {
  ASSERT_TRUE(sample::write_model(folder_.path() / "tiny"));
  const std::string weights = *read_file(folder_.path() / "tiny" / "model.safetensors");
  const std::string config = *read_file(folder_.path() / "tiny" / "config.json");
  put_artifact({{"model.safetensors", weights},
                {"config.json", config},
                {"onnx/model.onnx", "x"},
                {"secret.env", "x"}});
  auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().message();
  EXPECT_EQ(fetched->name, "model");
  EXPECT_EQ(*read_file(fetched->path / "model.safetensors"), weights);
  EXPECT_EQ(*read_file(fetched->path / "config.json"), config);
  EXPECT_FALSE(std::filesystem::exists(fetched->path / "secret.env"));
  EXPECT_EQ(fetched->provenance.at("revision"),
            Json("sha256:" + sha256_hex(things_.at("manifests/v1"))));
  const std::size_t asked = server_.requests().size();
  fetched->lock.reset();
  ASSERT_TRUE(fetch());
  EXPECT_EQ(server_.requests().size(), asked + 1) << "only the manifest is asked for again";
}

TEST_F(OciSource, TakesTheModelOutOfABundle) {
  ASSERT_TRUE(sample::write_model(folder_.path() / "tiny"));
  Store store = *Store::open(folder_.path() / "store");
  const auto built = build(folder_.path() / "tiny", store, sample::no_runtime(), {});
  ASSERT_TRUE(built);
  for (const std::string& name : sample::files_below(folder_.path() / "store/blobs/sha256")) {
    const std::string bytes = *read_file(folder_.path() / "store/blobs/sha256" / name);
    things_["blobs/sha256:" + name] = bytes;
    things_["manifests/sha256:" + name] = bytes;
    if ("sha256:" + name == built->digest) things_["manifests/v1"] = bytes;
  }
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().message();
  for (const char* name : {"model.safetensors", "config.json", "tokenizer_config.json"}) {
    EXPECT_EQ(*read_file(fetched->path / name), *read_file(folder_.path() / "tiny" / name)) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(fetched->path / "bundle.json"));
  Store other = *Store::open(folder_.path() / "other");
  const auto again = build(fetched->path, other, sample::no_runtime(), {});
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->layers.front().digest, built->layers.front().digest);
}

TEST_F(OciSource, RefusesWhatIsNoModelOrLies) {
  EXPECT_EQ(fetch().error().code, ErrorCode::kNotFound);
  put_artifact({{"model.safetensors", "x"}}, "application/vnd.cncf.model.weight.v1.tar+gzip");
  EXPECT_THAT(fetch().error().message(), HasSubstr("tar+gzip"));
  put_artifact({{"model.safetensors", "x"}, {"model.safetensors", "y"}});
  EXPECT_THAT(fetch().error().message(), HasSubstr("two layers are the file"));
  put_artifact({{"model.safetensors", "x"}}, "application/vnd.oci.image.layer.v1.tar");
  EXPECT_THAT(fetch().error().message(), HasSubstr("no model artifact"));
  put_artifact({{"config.json", "{}"}});
  EXPECT_THAT(fetch().error().message(), HasSubstr("there are no weights"));
  put_artifact({{"layer.tar", std::string(2048, 'x')}}, "application/vnd.cncf.model.weight.v1.tar");
  EXPECT_EQ(fetch().error().code, ErrorCode::kBadInput);
  put_artifact({{"model.safetensors", "right"}});
  things_["blobs/sha256:" + sha256_hex("right")] = "wrong";
  EXPECT_EQ(fetch().error().code, ErrorCode::kBadInput);
  for (const std::string& name : sample::files_below(cache_)) {
    EXPECT_THAT(name, testing::Not(HasSubstr("model.safetensors")));
  }
}

}  // namespace
}  // namespace bundle::packager::sources
