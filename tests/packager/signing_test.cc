#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/base64.h"
#include "base/sha256.h"
#include "packager/signing/cosign.h"
#include "packager/signing/dsse.h"
#include "packager/signing/sign_bundle.h"
#include "packager/verified_blobs.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager::signing {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PrivateKey new_key(Curve curve = Curve::kP256) { return *PrivateKey::generate(curve); }

TEST(EcKey, SignsAndVerifiesOnEveryCurve) {
  for (const Curve curve : {Curve::kP256, Curve::kP384, Curve::kP521}) {
    const PrivateKey key = new_key(curve);
    const PublicKey read = *PublicKey::parse(key.public_key().pem(), "key");
    EXPECT_EQ(read.hint(), key.public_key().hint());
    for (const SignatureHash hash : {SignatureHash::kByCurve, SignatureHash::kSha256}) {
      const std::string signature = *key.sign("message", hash);
      EXPECT_TRUE(read.verify("message", signature, hash));
      EXPECT_FALSE(read.verify("messagf", signature, hash));
      EXPECT_FALSE(new_key(curve).public_key().verify("message", signature, hash));
      EXPECT_FALSE(read.verify("message", "", hash));
      EXPECT_FALSE(
          read.verify("message", std::string("\x30\x06\x02\x01\x00\x02\x01\x00", 8), hash));
    }
  }
}

TEST(EcKey, ReadsAKeyWithOtherLineEnds) {
  const std::string pem = new_key().public_key().pem();
  std::string dos;
  for (const char c : pem) dos += c == '\n' ? "\r\n" : std::string(1, c);
  EXPECT_EQ(PublicKey::parse(dos, "")->hint(), PublicKey::parse(pem, "")->hint());
}

TEST(EcKey, RefusesWhatIsNoKey) {
  EXPECT_EQ(PublicKey::parse("", "k").error().code, ErrorCode::kBadInput);
  EXPECT_EQ(PublicKey::parse("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "k")
                .error()
                .code,
            ErrorCode::kBadInput);
}

TEST(EcKey, AnEncryptedKeyOpensWithItsPassword) {
  golden::TempFolder folder;
  const Path file = folder.path() / "key";
  const PrivateKey key = new_key();
  sample::write_text(file, *key.pem("secret"));
  EXPECT_EQ(PrivateKey::load(file, "secret")->public_key().hint(), key.public_key().hint());
  EXPECT_THAT(PrivateKey::load(file, "wrong").error().what, HasSubstr("password"));
  EXPECT_THAT(PrivateKey::load(file, "").error().what, HasSubstr("password"));
}

TEST(Dsse, EncodesAsTheSpecificationSays) {
  EXPECT_EQ(pre_authentication("http://example.com/HelloWorld", "hello world"),
            "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
  EXPECT_THAT(pre_authentication(kStatementType, "x"),
              testing::StartsWith("DSSEv1 28 application/vnd.in-toto+json 1 "));
}

/// A signature file, taken apart and changed.
class Statement : public testing::Test {
 protected:
  PrivateKey key_ = new_key();
  const std::string hash_ = sha256_hex("content");
  ModelStatement statement_{
      "model", {{"config.json", hash_}, {"model.safetensors", hash_}}, {}, "", ""};

  Json payload() const { return *parse_json(write_statement(statement_), ""); }

  /// Signs this payload and reads it as verification would.
  Result<ModelStatement> read(const std::string& text) const {
    const std::string file = *sign_statement(text, key_);
    BUNDLE_TRY(const SignedStatement envelope, read_signed_statement(file, "sig"));
    if (!is_signed_by(envelope, key_.public_key())) return failed("not signed");
    return read_statement(envelope.payload, "sig");
  }
  Result<ModelStatement> read(const Json& document) const { return read(print_json(document)); }

  std::string refusal(const Json& document) const {
    const auto read_back = read(document);
    return read_back ? "accepted" : read_back.error().what;
  }

  static JsonArray& resources(Json& document) {
    return document.at("predicate").at("resources").as_array();
  }

  /// The subject's digest follows the resources, so that only the fault in question shows.
  static void fix_root(Json& document) {
    Sha256 hash;
    for (const Json& resource : resources(document)) {
      std::string raw;
      const std::string hex(resource.at("digest").as_string());
      for (std::size_t i = 0; i < hex.size(); i += 2) {
        raw += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
      }
      hash.update(as_bytes(raw));
    }
    document.at("subject").as_array()[0].at("digest").as_object()["sha256"] = hash.hex();
  }
};

TEST_F(Statement, ComesBackAsItWas) {
  const auto back = read(payload());
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->files, statement_.files);
}

TEST_F(Statement, UnknownFieldsOfThePredicateAreIgnored) {
  Json document = payload();
  document.at("predicate").as_object()["more"] = 1;
  document.at("predicate").at("serialization").as_object()["more"] = 1;
  resources(document)[0].as_object()["size"] = 7;
  EXPECT_TRUE(read(document));
}

TEST_F(Statement, UpperCaseDigestsAreRead) {
  Json document = payload();
  std::string upper = hash_;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  resources(document)[0].as_object()["digest"] = upper;
  ASSERT_TRUE(read(document));
  EXPECT_EQ(read(document)->files, statement_.files);
}

TEST_F(Statement, RefusesANameTwice) {
  Json document = payload();
  Json twin = resources(document)[0];
  twin.as_object()["digest"] = sha256_hex("other");
  resources(document).insert(resources(document).begin(), twin);
  fix_root(document);
  EXPECT_THAT(refusal(document), HasSubstr("named twice"));
}

TEST_F(Statement, RefusesNamesThatAreNotCanonical) {
  for (const char* name :
       {"./config.json", "tokenizer//x", "a/../b", "/etc/passwd", "a/", "", ".."}) {
    Json document = payload();
    resources(document)[0].as_object()["name"] = name;
    EXPECT_THAT(refusal(document), HasSubstr("not canonical")) << name;
  }
}

TEST_F(Statement, RefusesToLeaveOutTheWeights) {
  Json document = payload();
  resources(document).pop_back();
  fix_root(document);
  document.at("predicate").at("serialization").as_object()["ignore_paths"] =
      JsonArray{"model.sig", "model.safetensors"};
  EXPECT_THAT(refusal(document), HasSubstr("leaves out"));
  statement_.ignored = {"config.json"};
  EXPECT_THAT(refusal(payload()), HasSubstr("both signs and ignores"));
}

TEST_F(Statement, RefusesASignatureOverNothing) {
  Json document = payload();
  resources(document).clear();
  fix_root(document);
  EXPECT_THAT(refusal(document), HasSubstr("no file"));
  document.at("predicate").as_object().erase("resources");
  EXPECT_THAT(read(document).error().what, HasSubstr("no file"));
}

TEST_F(Statement, RefusesAnOlderPredicate) {
  for (const char* type :
       {"https://model_signing/Digests/v0.1", "https://model_signing/signature/v0.1",
        "https://model_signing/signature/v2.0", ""}) {
    Json document = payload();
    document.as_object()["predicateType"] = type;
    EXPECT_FALSE(read(document)) << type;
  }
}

TEST_F(Statement, RefusesAKeyTwiceInThePayload) {
  std::string text = print_json(payload());
  text.insert(1, "\"predicateType\":\"x\",");
  EXPECT_THAT(read(text).error().what, HasSubstr("twice"));
}

TEST_F(Statement, RefusesAnotherRootDigest) {
  Json document = payload();
  document.at("subject").as_array()[0].at("digest").as_object()["sha256"] = hash_;
  EXPECT_THAT(refusal(document), HasSubstr("subject's digest"));
}

TEST_F(Statement, RefusesOtherWaysOfHashing) {
  const std::vector<std::pair<const char*, Json>> others = {
      {"method", "shards"}, {"hash_type", "blake3"}, {"allow_symlinks", true}};
  for (const auto& [key, value] : others) {
    Json document = payload();
    document.at("predicate").at("serialization").as_object()[key] = value;
    EXPECT_FALSE(read(document)) << key;
  }
  Json document = payload();
  resources(document)[0].as_object()["algorithm"] = "md5";
  EXPECT_FALSE(read(document));
}

/// The envelope around the payload.
TEST_F(Statement, RefusesAnEnvelopeThatIsNotExactlyOneSignature) {
  const std::string file = *sign_statement(print_json(payload()), key_);
  const auto with = [&](const std::function<void(JsonObject&)>& change) {
    Json document = *parse_json(file, "");
    change(document.as_object());
    return read_signed_statement(print_json(document), "sig");
  };
  EXPECT_TRUE(with([](JsonObject&) {}));
  EXPECT_FALSE(with([](JsonObject& bundle) {
    JsonArray& signatures = bundle["dsseEnvelope"].at("signatures").as_array();
    signatures.push_back(JsonObject{{"sig", "AAAA"}, {"keyid", ""}});
  }));
  EXPECT_FALSE(
      with([](JsonObject& bundle) { bundle["dsseEnvelope"].at("signatures").as_array().clear(); }));
  EXPECT_FALSE(with([](JsonObject& bundle) {
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2";
  }));
  EXPECT_FALSE(with([](JsonObject& bundle) {
    bundle["dsseEnvelope"].as_object()["payloadType"] = "text/plain";
  }));
  EXPECT_FALSE(with([](JsonObject& bundle) { bundle["more"] = 1; }));
  EXPECT_FALSE(with([](JsonObject& bundle) {
    bundle["verificationMaterial"].as_object()["certificate"] = JsonObject();
  }));
  EXPECT_FALSE(with([](JsonObject& bundle) {
    bundle["dsseEnvelope"].at("signatures").as_array()[0].as_object()["sig"] = "A A=";
  }));
}

/// The encoding before 1.0 of the reference tool, and none at all.
TEST_F(Statement, RefusesASignatureOverAnotherEncoding) {
  const std::string text = print_json(payload());
  Json document = *parse_json(*sign_statement(text, key_), "");
  for (const std::string& message : {"DSSEV1 28 application/vnd.in-toto+json " +
                                         std::to_string(text.size()) + " b'" + text + "'",
                                     text}) {
    const std::string signature = *key_.sign(message, SignatureHash::kByCurve);
    document.at("dsseEnvelope").at("signatures").as_array()[0].as_object()["sig"] =
        base64_encode(signature);
    const auto envelope = read_signed_statement(print_json(document), "sig");
    ASSERT_TRUE(envelope);
    EXPECT_FALSE(is_signed_by(*envelope, key_.public_key()));
  }
}

TEST_F(Statement, RefusesEveryFlippedBitOfThePayload) {
  const SignedStatement good =
      *read_signed_statement(*sign_statement(print_json(payload()), key_), "sig");
  for (std::size_t bit = 0; bit < good.payload.size() * 8; bit += 7) {
    SignedStatement bad = good;
    bad.payload[bit / 8] = static_cast<char>(bad.payload[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(is_signed_by(bad, key_.public_key())) << bit;
  }
}

TEST(Files, AreSortedByComponents) {
  std::vector<SignedFile> files = {{"a.txt", ""},    {"a/b", ""},       {"Z", ""},
                                   {"\xc3\xa9", ""}, {"u\xcc\x88", ""}, {"sp ace", ""}};
  sort_files(files);
  std::vector<std::string> names;
  for (const SignedFile& file : files) names.push_back(file.name);
  EXPECT_THAT(names, ElementsAre("Z", "a/b", "a.txt", "sp ace", "u\xcc\x88", "\xc3\xa9"));
}

class Folder : public testing::Test {
 protected:
  golden::TempFolder folder_;
  Path model_ = folder_.path() / "model";
  Path signature_ = model_ / "model.sig";
  PrivateKey key_ = new_key();

  void SetUp() override {
    std::filesystem::create_directories(model_ / "sub");
    sample::write_text(model_ / "config.json", "{}");
    sample::write_text(model_ / "sub" / "weights", "numbers");
    sample::write_text(signature_, *sign_folder(model_, signature_, key_, {}));
  }

  ErrorCode verify() const {
    const auto result = verify_folder(model_, signature_, key_.public_key(), {});
    return result ? ErrorCode{} : result.error().code;
  }
};

TEST_F(Folder, VerifiesAsItWasSigned) { EXPECT_EQ(verify(), ErrorCode{}); }

TEST_F(Folder, EveryChangeIsSeen) {
  sample::write_text(model_ / "sub" / "weights", "numberz");
  EXPECT_EQ(verify(), ErrorCode::kBadInput);
  sample::write_text(model_ / "sub" / "weights", "numbers");
  EXPECT_EQ(verify(), ErrorCode{});
  sample::write_text(model_ / "extra.py", "code");
  EXPECT_EQ(verify(), ErrorCode::kBadInput);
  std::filesystem::remove(model_ / "extra.py");
  std::filesystem::remove(model_ / "config.json");
  EXPECT_EQ(verify(), ErrorCode::kBadInput);
}

TEST_F(Folder, ALinkIsRefused) {
  std::filesystem::create_symlink("/etc/passwd", model_ / "link");
  EXPECT_EQ(verify(), ErrorCode::kBadInput);
  EXPECT_EQ(sign_folder(model_, signature_, key_, {}).error().code, ErrorCode::kBadInput);
}

TEST_F(Folder, AnotherKeyIsAnotherCode) {
  key_ = new_key();
  EXPECT_EQ(verify(), ErrorCode::kFailed);
}

TEST(Cosign, PayloadIsWhatCosignWrites) {
  const std::string digest = "sha256:" + sha256_hex("x");
  const std::string payload = cosign_payload(digest, "registry.example.com/a");
  EXPECT_EQ(payload, R"({"critical":{"identity":{"docker-reference":"registry.example.com/a"},)"
                     R"("image":{"docker-manifest-digest":")" +
                         digest +
                         R"("},"type":"cosign container image signature"},"optional":null})");
  const PrivateKey key = new_key(Curve::kP384);
  const std::string signature = *cosign_sign(payload, key);
  EXPECT_TRUE(is_cosigned_by(payload, signature, key.public_key()));
  EXPECT_FALSE(is_cosigned_by(payload, signature, new_key().public_key()));
  EXPECT_EQ(read_cosign_payload(payload, "")->digest, digest);
  EXPECT_FALSE(read_cosign_payload(R"({"critical":{}})", ""));
}

TEST(Policy, VersionsCompareAsNumbers) {
  EXPECT_LT(compare_versions("1.9", "1.10.0"), 0);
  EXPECT_EQ(compare_versions("1.0", "1.0"), 0);
  EXPECT_GT(compare_versions("2", "1.99.9"), 0);
  EXPECT_LT(compare_versions("1.0.0-rc1", "1.0.0"), 0);
  EXPECT_EQ(compare_versions("v1.0", "1.0"), 0);
  for (const char* version : {"1", "v1.2", "1.2.3-rc.1", "1.0+build", "0.0.0"}) {
    EXPECT_TRUE(is_version(version)) << version;
  }
  for (const char* none :
       {"", "v", "latest", "1.x", "1..2", "1.", ".1", "_", "foo", "99999999999999999999.0", "-1"}) {
    EXPECT_FALSE(is_version(none)) << none;
  }
}

/// Bundles in a store, signed and not.
class Trusted : public testing::Test {
 protected:
  golden::TempFolder folder_;
  Path model_ = folder_.path() / "tiny";
  Path key_file_ = folder_.path() / "key.pub";
  Store store_ = *Store::open(folder_.path() / "store");
  StorePaths paths_{store_.root()};
  PrivateKey key_ = new_key();

  void SetUp() override {
    ASSERT_TRUE(sample::write_model(model_));
    sample::write_text(key_file_, key_.public_key().pem());
    build_as("tiny", "version: 1.2.0\n");
  }

  void build_as(const std::string& name, const std::string& yaml) {
    sample::write_text(model_ / "bundle.yaml", yaml);
    BuildOptions options = sample::no_runtime();
    options.name = name;
    ASSERT_TRUE(build(model_, store_, options, {}));
  }

  StoredBundle bundle(const std::string& name = "tiny") const { return *store_.resolve(name); }

  Status admit_with(TrustOptions options, const std::string& name = "tiny") const {
    BUNDLE_TRY(const Trust trust, Trust::load(options));
    return admit(store_, bundle(name), trust, {});
  }

  TrustOptions required() const {
    TrustOptions options;
    options.require_signature = true;
    options.keys = {key_file_};
    return options;
  }

  TrustOptions policy(const std::string& text) const {
    sample::write_text(folder_.path() / "trust.yaml", text);
    TrustOptions options;
    options.policy = folder_.path() / "trust.yaml";
    return options;
  }
};

TEST_F(Trusted, TheThreeRefusalsHaveThreeCodes) {
  EXPECT_EQ(admit_with(required()).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(sign_bundle(store_, bundle(), new_key(), ""));
  EXPECT_EQ(admit_with(required()).error().code, ErrorCode::kFailed);
  ASSERT_TRUE(sign_bundle(store_, bundle(), key_, ""));
  EXPECT_TRUE(admit_with(required()));

  // The signatures of one bundle, listed as another's.
  build_as("other", "version: 9.9.9\n");
  const auto signatures = referrers_of(paths_, bundle().digest);
  ASSERT_TRUE(signatures);
  for (const Referrer& referrer : *signatures) {
    Referrer moved = referrer;
    moved.subject = bundle("other").digest;
    Json document = moved.document;
    document.as_object().erase("subject");
    WriteSession session = *WriteSession::begin(paths_);
    moved.manifest =
        *session.put("application/vnd.oci.image.manifest.v1+json", print_json(document));
    ASSERT_TRUE(list_referrer(paths_, moved));
  }
  EXPECT_EQ(admit_with(required(), "other").error().code, ErrorCode::kBadInput);
}

TEST_F(Trusted, SigningAgainReplacesTheKeysOwnSignatures) {
  ASSERT_TRUE(sign_bundle(store_, bundle(), key_, "a"));
  const std::size_t once = referrers_of(paths_, bundle().digest)->size();
  ASSERT_TRUE(sign_bundle(store_, bundle(), key_, "b"));
  EXPECT_EQ(referrers_of(paths_, bundle().digest)->size(), once);
  ASSERT_TRUE(sign_bundle(store_, bundle(), new_key(), "b"));
  EXPECT_EQ(referrers_of(paths_, bundle().digest)->size(), once + 1);
  EXPECT_EQ(stored_signatures(paths_, bundle().digest)->size(), 4u);
  EXPECT_TRUE(admit_with(required()));
}

TEST_F(Trusted, SignaturesGoWithTheirBundle) {
  ASSERT_TRUE(sign_bundle(store_, bundle(), key_, ""));
  ASSERT_TRUE(store_.gc());
  EXPECT_TRUE(admit_with(required())) << "gc took a signature of a bundle that is there";
  ASSERT_TRUE(store_.remove("tiny"));
  EXPECT_THAT(sample::files_below(paths_.blobs()), testing::IsEmpty());
  EXPECT_THAT(*read_file(paths_.index()), testing::Not(HasSubstr("dev.bundle.subject")));
}

TEST_F(Trusted, ADamagedBlobIsSeenThroughTheRecord) {
  ASSERT_TRUE(sign_bundle(store_, bundle(), key_, ""));
  ASSERT_TRUE(admit_with(required()));
  const Path weights = bundle().layers.front().blob;
  std::string bytes = *read_file(weights);
  bytes[5000] = static_cast<char>(bytes[5000] ^ 1);
  std::ofstream(weights, std::ios::binary | std::ios::in)
      << bytes;  // in place: size and inode stay
  EXPECT_EQ(admit_with(required()).error().code, ErrorCode::kBadInput);
}

TEST_F(Trusted, PolicyRulesApplyByName) {
  ASSERT_TRUE(sign_bundle(store_, bundle(), key_, ""));
  const std::string rules = "version: 1\ndefault: reject\nrules:\n  - match: \"tin*\"\n";
  EXPECT_TRUE(admit_with(policy(rules + "    require: signature\n    keys: [key.pub]\n")));
  EXPECT_TRUE(admit_with(policy(rules + "    require: accept\n")));
  EXPECT_EQ(admit_with(policy(rules + "    require: reject\n")).error().code, ErrorCode::kFailed);
  EXPECT_EQ(admit_with(policy("version: 1\ndefault: reject\n")).error().code, ErrorCode::kFailed);
  EXPECT_TRUE(admit_with(policy(rules + "    require: signature\n    keys: [key.pub]\n"
                                        "    minimum_version: 1.2.0\n")));
  EXPECT_THAT(admit_with(policy(rules + "    require: signature\n    keys: [key.pub]\n"
                                        "    minimum_version: 1.10.0\n"))
                  .error()
                  .what,
              HasSubstr("1.10.0"));
}

TEST_F(Trusted, AThresholdCountsDifferentKeys) {
  const PrivateKey second = new_key();
  sample::write_text(folder_.path() / "second.pub", second.public_key().pem());
  const auto two = [&] {
    return admit_with(
        policy("version: 1\nrules:\n  - match: tiny\n    require: signature\n"
               "    keys: [key.pub, second.pub]\n    threshold: 2\n"));
  };
  ASSERT_TRUE(sign_bundle(store_, bundle(), key_, ""));
  EXPECT_EQ(two().error().code, ErrorCode::kFailed);
  ASSERT_TRUE(sign_bundle(store_, bundle(), second, ""));
  EXPECT_TRUE(two());
}

TEST_F(Trusted, AMistakeInThePolicyIsNamedWithItsPlace) {
  for (const char* text :
       {"version: 2\n", "versoin: 1\n", "rules: 3\n", "rules:\n  - require: accept\n",
        "rules:\n  - match: a\n    require: signature\n",
        "rules:\n  - match: a\n    require: signature\n    keys: [missing.pub]\n",
        "rules:\n  - match: a\n    require: signature\n    keys: [key.pub]\n    threshold: 2\n",
        "rules:\n  - match: a\n    keys: [key.pub]\n", "rules:\n  - match: a\n",
        "rules:\n  - match: a\n    require: accept\n    keys: [key.pub]\n",
        "rules:\n  - match: a\n    require: accept\n    minimum_version: 1.0\n",
        "rules:\n  - match: a\n    require: signature\n    keys: [key.pub]\n"
        "    minimum_version: abc\n",
        "keys: [key.pub]\n", "default: maybe\n"}) {
    const auto refused = admit_with(policy(text));
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, ErrorCode::kBadInput) << text;
    EXPECT_THAT(refused.error().where, HasSubstr("trust.yaml:")) << text;
  }
}

}  // namespace
}  // namespace bundle::packager::signing
