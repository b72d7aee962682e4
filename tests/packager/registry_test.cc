// push and pull: against Debian's docker-registry, and against registries that lie.
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/base64.h"
#include "base/sha256.h"
#include "packager/oci.h"
#include "packager/registry/blob_upload.h"
#include "packager/registry/cosign_merge.h"
#include "packager/registry/pull.h"
#include "packager/registry/push.h"
#include "packager/signing/sign_bundle.h"
#include "tests/packager/fake_server.h"
#include "tests/packager/registry_process.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager::registry {
namespace {

using sample::FakeAnswer;
using sample::FakeRequest;
using sample::FakeServer;
using testing::HasSubstr;
using testing::IsEmpty;

RegistryOptions plain() {
  RegistryOptions options;
  options.plain_http = true;
  return options;
}

TEST(RemoteReference, NamesARegistry) {
  const auto parsed = parse_remote("oci://localhost:5000/team/model:v1");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->registry, "localhost:5000");
  EXPECT_EQ(parsed->repository, "team/model");
  EXPECT_EQ(parsed->tag, "v1");
  EXPECT_EQ(parsed->short_name(), "model");
  EXPECT_EQ(parse_remote("registry.example.com/a")->tag, "latest");
  for (const char* text : {"", "model", "team/model", "UPPER.example.com/A", "a.b/",
                           "a.b/c:", "a.b/c@sha256:12", "user:pw@a.b/c", "a.b/../c", "a.b/c d"}) {
    EXPECT_FALSE(parse_remote(text)) << text;
  }
}

TEST(Challenge, IsTakenApart) {
  const Challenge challenge = parse_challenge(
      R"(Bearer realm="https://auth.example.com/token", service="a, \"b\"",scope=x)");
  EXPECT_EQ(challenge.scheme, "bearer");
  EXPECT_EQ(challenge.parameters.at("realm"), "https://auth.example.com/token");
  EXPECT_EQ(challenge.parameters.at("service"), "a, \"b\"");
  EXPECT_EQ(challenge.parameters.at("scope"), "x");
  EXPECT_EQ(parse_challenge("Negotiate abc").scheme, "");
  EXPECT_EQ(parse_challenge("").scheme, "");
}

TEST(Password, GoesOnlyWhereItBelongs) {
  const auto may = [](const char* registry, const char* realm) {
    return may_receive_password(*parse_url(registry), *parse_url(realm), {"trusted.example"});
  };
  EXPECT_TRUE(may("https://registry-1.docker.io", "https://auth.docker.io/token"));
  EXPECT_TRUE(may("http://127.0.0.1:5000", "http://127.0.0.1:5000/token"));
  EXPECT_TRUE(may("https://a.example.com", "https://trusted.example/token"));
  EXPECT_FALSE(may("https://a.example.com", "https://evil.com/token"));
  EXPECT_FALSE(may("https://a.example.com", "http://auth.example.com/token"));
  EXPECT_FALSE(may("https://10.0.0.1", "https://10.0.0.2/token"));
  EXPECT_FALSE(may("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"));
}

/// A manifest of cosign signatures: payload's digest by letter, signature's text.
std::string signatures(const std::vector<std::pair<char, std::string>>& layers) {
  JsonArray list;
  for (const auto& [letter, signature] : layers) {
    list.push_back(
        JsonObject{{"mediaType", "application/vnd.dev.cosign.simplesigning.v1+json"},
                   {"digest", "sha256:" + std::string(64, letter)},
                   {"size", 100},
                   {"annotations", JsonObject{{"dev.cosignproject.cosign/signature", signature}}}});
  }
  return print_json(JsonObject{{"schemaVersion", 2}, {"layers", std::move(list)}});
}

TEST(CosignMerge, KeepsWhatOthersSigned) {
  const auto merged = *merge_signatures(signatures({{'a', "theirs"}, {'b', "same"}}),
                                        signatures({{'b', "same"}, {'a', "ours"}}));
  ASSERT_TRUE(merged);
  const Json manifest = *parse_json(merged->manifest, "");
  ASSERT_EQ(manifest.at("layers").as_array().size(), 3u);
  EXPECT_EQ(oci::annotation(manifest.at("layers").at(2), "dev.cosignproject.cosign/signature"),
            "theirs");
  EXPECT_EQ(manifest.at("config").at("digest"), Json("sha256:" + sha256_hex(merged->config)));
  EXPECT_EQ(parse_json(merged->config, "")->at("rootfs").at("diff_ids").as_array().size(), 3u);
}

TEST(CosignMerge, HasNothingToDoWhereNothingIsNew) {
  const std::string ours = signatures({{'a', "x"}, {'a', "y"}});
  EXPECT_FALSE(*merge_signatures(signatures({{'a', "y"}}), ours));
  for (const std::string theirs : {"", "[]", "{}", R"({"layers":3})", R"({"layers":[{}]})"}) {
    EXPECT_FALSE(*merge_signatures(theirs, ours)) << theirs;
  }
  EXPECT_TRUE(merge_signatures(ours, "{}").has_error());
}

class RegistryTest : public testing::Test {
 protected:
  golden::TempFolder folder_;
  Path model_ = folder_.path() / "tiny";
  Store here_ = *Store::open(folder_.path() / "here");
  Store there_ = *Store::open(folder_.path() / "there");
  StorePaths there_paths_{there_.root()};

  void SetUp() override {
    ::setenv("BUNDLE_HOME", folder_.path().c_str(), 1);
    ::setenv("DOCKER_CONFIG", (folder_.path() / "docker").c_str(), 1);
    ASSERT_TRUE(sample::write_model(model_));
    build_as("tiny");
  }

  void build_as(const std::string& name, const std::string& yaml = "") {
    sample::write_text(model_ / "bundle.yaml", yaml);
    BuildOptions options = sample::no_runtime();
    options.name = name;
    const auto built = build(model_, here_, options, {});
    ASSERT_TRUE(built) << built.error().message();
  }

  StoredBundle bundle() const { return *here_.resolve("tiny"); }

  Result<PushReport> push_to(const std::string& remote, PushOptions options = {}) const {
    options.registry.plain_http = true;
    BUNDLE_TRY(const RemoteReference reference, parse_remote(remote));
    return push(bundle(), here_, reference, options, {});
  }

  Result<PullReport> pull_from(const std::string& remote, PullOptions options = {},
                               const signing::TrustOptions& trust = {},
                               const Progress& progress = {}) {
    options.registry.plain_http = true;
    BUNDLE_TRY(const RemoteReference reference, parse_remote(remote));
    BUNDLE_TRY(const signing::Trust checked, signing::Trust::load(trust));
    return pull(reference, there_, options, checked, progress);
  }
};

class RealRegistry : public RegistryTest {
 protected:
  sample::RegistryProcess registry_{folder_.path() / "registry"};
  std::string remote_ = registry_.address() + "/team/tiny:v1";
};

TEST_F(RealRegistry, ARoundTripIsDigestEqual) {
  const auto pushed = push_to(remote_);
  ASSERT_TRUE(pushed) << pushed.error().message();
  EXPECT_EQ(pushed->digest, bundle().digest);
  EXPECT_GT(pushed->transferred, 0u);
  const auto pulled = pull_from(remote_);
  ASSERT_TRUE(pulled) << pulled.error().message();
  EXPECT_EQ(pulled->name, "tiny");
  EXPECT_EQ(pulled->tag, "v1");
  EXPECT_EQ(pulled->digest, bundle().digest);
  EXPECT_EQ(sample::files_below(there_paths_.blobs()),
            sample::files_below(StorePaths{here_.root()}.blobs()));
  EXPECT_THAT(sample::files_below(there_paths_.partials()), IsEmpty());
  EXPECT_EQ(there_.resolve("tiny:v1")->content_digest, bundle().content_digest);
}

TEST_F(RealRegistry, ASecondPushAndPullMoveNothing) {
  ASSERT_TRUE(push_to(remote_));
  EXPECT_EQ(push_to(remote_)->transferred, 0u);
  ASSERT_TRUE(pull_from(remote_));
  EXPECT_EQ(pull_from(remote_)->transferred, 0u);
}

TEST_F(RealRegistry, LayersAreMountedFromAnotherRepository) {
  ASSERT_TRUE(push_to(remote_));
  PushOptions options;
  options.mount_from = {"team/tiny"};
  const auto second = push_to(registry_.address() + "/other/tiny:v1", options);
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(second->transferred, 0u);
  EXPECT_GT(second->num_mounted, 2u);
}

TEST_F(RealRegistry, SmallChunksGiveTheSameBlobs) {
  PushOptions options;
  options.chunk_bytes = 5000;
  const auto pushed = push_to(remote_, options);
  ASSERT_TRUE(pushed) << pushed.error().message();
  const auto pulled = pull_from(remote_);
  ASSERT_TRUE(pulled) << pulled.error().message();
  EXPECT_EQ(pulled->digest, bundle().digest);
}

TEST_F(RealRegistry, AnUploadThatWasStoppedGoesOn) {
  const StoredLayer weights = bundle().layers.front();
  Connection connection = *Connection::open(*parse_remote(remote_), plain());
  UploadOptions options{5000, folder_.path() / "uploads", {}};
  std::filesystem::create_directories(options.memory);
  std::int64_t sent = 0;
  const auto stopped = upload_blob(connection, weights.descriptor, weights.blob, options,
                                   [&](std::int64_t more) { return (sent += more) < 12000; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
  std::int64_t total = 0;
  std::int64_t first = -1;
  const auto finished =
      upload_blob(connection, weights.descriptor, weights.blob, options, [&](std::int64_t more) {
        if (more > 0 && first < 0) first = more;
        total += more;
        return true;
      });
  ASSERT_TRUE(finished) << finished.error().message();
  EXPECT_EQ(*finished, UploadOutcome::kUploaded);
  EXPECT_EQ(total, static_cast<std::int64_t>(weights.descriptor.size));
  EXPECT_EQ(first, 10000) << "two chunks were there already";
  EXPECT_THAT(sample::files_below(options.memory), IsEmpty());
}

TEST_F(RealRegistry, SignaturesTravelAndAreAskedFor) {
  const auto key = *signing::PrivateKey::generate(signing::Curve::kP256);
  const Path key_file = folder_.path() / "key.pub";
  sample::write_text(key_file, key.public_key().pem());
  signing::TrustOptions trust;
  trust.require_signature = true;
  trust.keys = {key_file};
  ASSERT_TRUE(push_to(remote_));
  EXPECT_EQ(pull_from(remote_, {}, trust).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(sample::files_below(there_paths_.blobs()), IsEmpty());
  ASSERT_TRUE(signing::sign_bundle(here_, bundle(), key, registry_.address() + "/team/tiny"));
  ASSERT_TRUE(push_to(remote_));
  const auto pulled = pull_from(remote_, {}, trust);
  ASSERT_TRUE(pulled) << pulled.error().message();
  const StoredBundle stored = *there_.resolve("tiny:v1");
  EXPECT_TRUE(signing::admit(there_, stored, *signing::Trust::load(trust), {}));
}

TEST_F(RealRegistry, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(pull_from(registry_.address() + "/no/such:v1").error().code, ErrorCode::kNotFound);
}

/// A registry made of the files of a store, that a test can make lie.
class LyingRegistry : public RegistryTest {
 protected:
  /// Changes an answer before it is sent; the blob's or manifest's digest is given.
  using Lie = std::function<void(const FakeRequest& request, const std::string& digest,
                                 FakeAnswer& answer)>;
  Lie lie_ = [](const FakeRequest&, const std::string&, FakeAnswer&) {};
  FakeServer server_{[this](const FakeRequest& request) { return answer(request); }};

  std::string remote() const { return server_.address() + "/tiny:latest"; }

  FakeAnswer answer(const FakeRequest& request) const {
    std::string name = request.target.substr(request.target.rfind('/') + 1);
    if (name == "latest") name = bundle().digest;
    FakeAnswer answer{.status = 404};
    if (const auto bytes = is_valid_digest(name) ? read_file(here_.blob_path(name))
                                                 : Result<std::string>(Error{})) {
      answer = request.target.find("/blobs/") != std::string::npos
                   ? sample::serve_bytes(request, *bytes)
                   : FakeAnswer{.body = *bytes};
    }
    if (request.target.find("/referrers/") != std::string::npos) answer = {.status = 404};
    lie_(request, name, answer);
    return answer;
  }

  std::string weights() const { return bundle().layers.front().descriptor.digest; }

  void expect_refused(ErrorCode code) {
    const auto pulled = pull_from(remote());
    ASSERT_FALSE(pulled);
    EXPECT_EQ(pulled.error().code, code) << pulled.error().message();
    EXPECT_THAT(*there_.list(), IsEmpty());
    EXPECT_THAT(sample::files_below(there_paths_.blobs()), IsEmpty());
    EXPECT_THAT(sample::files_below(there_paths_.temporary()), IsEmpty());
  }
};

TEST_F(LyingRegistry, TellsTheTruthFirst) {
  const auto pulled = pull_from(remote());
  ASSERT_TRUE(pulled) << pulled.error().message();
  EXPECT_EQ(pulled->digest, bundle().digest);
}

TEST_F(LyingRegistry, AWrongBlobIsRefused) {
  lie_ = [this](const FakeRequest&, const std::string& digest, FakeAnswer& answer) {
    if (digest == weights()) answer.body.back() = static_cast<char>(answer.body.back() ^ 1);
  };
  expect_refused(ErrorCode::kBadInput);
  // What of the others came in time stays, to go on from.
  const std::string wrong = weights().substr(weights().find(':') + 1);
  for (const std::string& name : sample::files_below(there_paths_.partials()))
    EXPECT_THAT(name, testing::Not(HasSubstr(wrong)));
}

TEST_F(LyingRegistry, AWrongManifestIsRefused) {
  lie_ = [this](const FakeRequest&, const std::string& digest, FakeAnswer& answer) {
    if (digest == bundle().manifest_descriptor.digest) answer.body += ' ';
  };
  expect_refused(ErrorCode::kBadInput);
}

TEST_F(LyingRegistry, ATruncatedBlobIsRefused) {
  lie_ = [this](const FakeRequest&, const std::string& digest, FakeAnswer& answer) {
    if (digest == weights()) answer.body.resize(answer.body.size() / 2);
  };
  expect_refused(ErrorCode::kBadInput);
}

TEST_F(LyingRegistry, AnEndlessBlobIsRefused) {
  lie_ = [this](const FakeRequest&, const std::string& digest, FakeAnswer& answer) {
    if (digest == weights()) answer.endless = 1ull << 40;
  };
  expect_refused(ErrorCode::kBadInput);
}

TEST_F(LyingRegistry, AnEndlessManifestIsRefused) {
  lie_ = [this](const FakeRequest&, const std::string& digest, FakeAnswer& answer) {
    if (digest == bundle().digest) answer.endless = 1ull << 40;
  };
  expect_refused(ErrorCode::kBadInput);
}

TEST_F(LyingRegistry, ABrokenConnectionIsTriedAgain) {
  std::atomic<int> times{0};
  lie_ = [&](const FakeRequest&, const std::string& digest, FakeAnswer& answer) {
    if (digest == weights() && times++ < 2) answer.cut = answer.body.size() / 2;
  };
  const auto pulled = pull_from(remote());
  ASSERT_TRUE(pulled) << pulled.error().message();
  EXPECT_GE(times, 3);
}

TEST_F(LyingRegistry, AnIndexOfIndexesOrOfManyManifestsIsRefused) {
  const std::string self = print_json(JsonObject{
      {"schemaVersion", 2},
      {"mediaType", oci::kIndexType},
      {"manifests", JsonArray{JsonObject{{"mediaType", oci::kIndexType},
                                         {"digest", bundle().digest},
                                         {"size", 10},
                                         {"annotations", JsonObject{{oci::kVariant, "cpu"}}}}}}});
  JsonArray many;
  for (int i = 0; i < 100'000; ++i) {
    many.push_back(JsonObject{
        {"mediaType", oci::kManifestType}, {"digest", "sha256:" + sha256_hex("x")}, {"size", 10}});
  }
  const std::string bomb = print_json(JsonObject{
      {"schemaVersion", 2}, {"mediaType", oci::kIndexType}, {"manifests", std::move(many)}});
  for (const std::string& text : {self, bomb.substr(0, 4u << 20), std::string(5u << 20, '['),
                                  std::string("[]"), std::string("{}")}) {
    lie_ = [&](const FakeRequest&, const std::string& digest, FakeAnswer& answer) {
      if (digest == bundle().digest) answer.body = text;
    };
    expect_refused(ErrorCode::kBadInput);
  }
}

TEST_F(LyingRegistry, RedirectsInACircleOrToAFileAreRefused) {
  lie_ = [this](const FakeRequest& request, const std::string& digest, FakeAnswer& answer) {
    if (digest == weights()) answer = {.status = 307, .headers = {{"Location", request.target}}};
  };
  expect_refused(ErrorCode::kUnreachable);
  lie_ = [this](const FakeRequest&, const std::string& digest, FakeAnswer& answer) {
    if (digest == weights())
      answer = {.status = 307, .headers = {{"Location", "file:///etc/passwd"}}};
  };
  expect_refused(ErrorCode::kBadInput);
}

TEST_F(LyingRegistry, ARegistryWithoutRangesServesToo) {
  lie_ = [this](const FakeRequest&, const std::string& digest, FakeAnswer& answer) {
    if (digest == weights()) answer = {.body = *read_file(here_.blob_path(digest))};
  };
  EXPECT_TRUE(pull_from(remote()));
}

TEST_F(LyingRegistry, APullThatIsStoppedGoesOn) {
  bool stopped = false;
  const auto interrupted = pull_from(remote(), {}, {}, [&](std::string_view stage, auto, auto) {
    stopped = stopped || stage == "downloading";
    return !stopped;
  });
  ASSERT_FALSE(interrupted);
  EXPECT_EQ(interrupted.error().code, ErrorCode::kInterrupted);
  EXPECT_TRUE(pull_from(remote()));
  EXPECT_THAT(sample::files_below(there_paths_.partials()), IsEmpty());
}

/// Tokens, as a registry behind a token server asks for them.
class TokenRegistry : public LyingRegistry {
 protected:
  std::set<std::string> storage_auth_;  // Authorization headers that the storage host was sent
  std::mutex mutex_;
  FakeServer storage_{[this](const FakeRequest& request) {
    const std::lock_guard lock(mutex_);
    storage_auth_.insert(request.header("authorization"));
    return sample::serve_bytes(request, *read_file(here_.blob_path(weights())));
  }};

  void SetUp() override {
    LyingRegistry::SetUp();
    sample::write_text(folder_.path() / "docker/config.json",
                       "{\"auths\":{\"" + server_.address() + "\":{\"auth\":\"" +
                           base64_encode("me:secret") + "\"}}}");
    lie_ = [this](const FakeRequest& request, const std::string& digest, FakeAnswer& answer) {
      if (request.target.starts_with("/token")) {
        const bool knows = request.header("authorization") == "Basic " + base64_encode("me:secret");
        answer = knows ? FakeAnswer{.body = R"({"token":"abc"})"} : FakeAnswer{.status = 401};
      } else if (request.header("authorization") != "Bearer abc") {
        answer = {.status = 401,
                  .headers = {{"WWW-Authenticate", "Bearer realm=\"http://" + server_.address() +
                                                       "/token\",service=\"x\""}}};
      } else if (digest == weights()) {
        answer = {.status = 307,
                  .headers = {{"Location", "http://" + storage_.address() + "/object?sig=1"}}};
      }
    };
  }
};

TEST_F(TokenRegistry, TheTokenIsFetchedAndNeverFollowsARedirect) {
  const auto pulled = pull_from(remote());
  ASSERT_TRUE(pulled) << pulled.error().message();
  EXPECT_EQ(storage_auth_, std::set<std::string>{""});
}

TEST_F(TokenRegistry, ARealmElsewhereGetsNoPassword) {
  lie_ = [this](const FakeRequest&, const std::string&, FakeAnswer& answer) {
    answer = {.status = 401,
              .headers = {{"WWW-Authenticate",
                           "Bearer realm=\"http://" + storage_.address() + "/token\""}}};
  };
  const auto pulled = pull_from(remote());
  ASSERT_FALSE(pulled);
  EXPECT_THAT(pulled.error().message(), HasSubstr("--token-host"));
  EXPECT_THAT(storage_.requests(), IsEmpty());
}

TEST_F(TokenRegistry, AWrongPasswordIsSaidOnce) {
  sample::write_text(folder_.path() / "docker/config.json",
                     "{\"auths\":{\"" + server_.address() + "\":{\"auth\":\"" +
                         base64_encode("me:wrong") + "\"}}}");
  const auto pulled = pull_from(remote());
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(pulled.error().message(), HasSubstr("password"));
  EXPECT_EQ(pulled.error().message().find("wrong"), std::string::npos);
}

TEST_F(TokenRegistry, ACredentialHelperIsAsked) {
  const Path helper = folder_.path() / "docker-credential-test";
  sample::write_text(helper,
                     "#!/bin/sh\nread host\necho \"{\\\"Username\\\":\\\"me\\\","
                     "\\\"Secret\\\":\\\"secret\\\",\\\"ServerURL\\\":\\\"$host\\\"}\"\n");
  std::filesystem::permissions(helper, std::filesystem::perms::owner_all);
  const std::string path = folder_.path().string() + ":" + std::getenv("PATH");
  ::setenv("PATH", path.c_str(), 1);
  sample::write_text(folder_.path() / "docker/config.json",
                     "{\"credHelpers\":{\"" + server_.address() + "\":\"test\"}}");
  EXPECT_TRUE(pull_from(remote()));
}

/// Uploads whose location lies elsewhere.
TEST_F(TokenRegistry, AnUploadLocationElsewhereGetsNoToken) {
  std::string uploaded;
  FakeServer elsewhere([&](const FakeRequest& request) {
    EXPECT_EQ(request.header("authorization"), "");
    uploaded = request.body;
    return FakeAnswer{.status = 201};
  });
  lie_ = [&, first = lie_](const FakeRequest& request, const std::string& digest,
                           FakeAnswer& answer) {
    if (request.header("authorization") != "Bearer abc") return first(request, digest, answer);
    answer = {.status = 404};
    if (request.method == "POST") {
      answer = {.status = 202,
                .headers = {{"Location", "http://" + elsewhere.address() + "/upload"}}};
    }
  };
  Connection connection = *Connection::open(*parse_remote(remote()), plain());
  const StoredLayer layer = bundle().layers.back();
  const auto outcome =
      upload_blob(connection, layer.descriptor, layer.blob, {}, [](std::int64_t) { return true; });
  ASSERT_TRUE(outcome) << outcome.error().message();
  EXPECT_EQ("sha256:" + sha256_hex(uploaded), layer.descriptor.digest);
}

/// Kills of a pull at many moments, in a process of its own.
TEST_F(LyingRegistry, AKillLeavesNothingHalfAndTheNextPullSucceeds) {
  std::atomic<int> answered{0};
  for (int n = 1; n <= 14; ++n) {
    std::filesystem::remove_all(there_.root());
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    answered = 0;
    pid_t child = -1;
    std::atomic<pid_t> target{-1};
    lie_ = [&](const FakeRequest&, const std::string&, FakeAnswer&) {
      if (++answered == n && target > 0) ::kill(target, SIGKILL);
    };
    child = ::fork();
    if (child == 0) {
      char go = 0;
      [[maybe_unused]] const ssize_t got = ::read(ends[0], &go, 1);
      ::_exit(pull_from(remote()) ? 0 : 1);
    }
    target = child;
    [[maybe_unused]] const ssize_t put = ::write(ends[1], "x", 1);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    target = -1;
    ::close(ends[0]);
    ::close(ends[1]);
    EXPECT_TRUE(there_.list()) << n;
    const auto again = pull_from(remote());
    ASSERT_TRUE(again) << n << ": " << again.error().message();
    EXPECT_THAT(sample::files_below(there_paths_.partials()), IsEmpty()) << n;
    EXPECT_THAT(sample::files_below(there_paths_.temporary()), IsEmpty()) << n;
  }
}

}  // namespace
}  // namespace bundle::packager::registry
