#include "packager/signing/sign_bundle.h"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/oci.h"
#include "packager/signing/cosign.h"
#include "packager/signing/dsse.h"
#include "packager/stored_bundle.h"

namespace bundle::packager::signing {
namespace {

std::vector<SignedFile> files_of(const StoredBundle& bundle) {
  std::vector<SignedFile> files;
  for (const format::SourceFile& file : bundle.model.files()) {
    files.push_back({file.name, file.sha256});
  }
  sort_files(files);
  return files;
}

std::string folder_name(const Path& folder) {
  std::error_code error;
  Path absolute = std::filesystem::absolute(folder, error).lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  return absolute.filename().string();
}

/// The signature's path inside the folder, or "" when it lies elsewhere.
std::string path_inside(const Path& folder, const Path& file) {
  std::error_code error;
  const Path inside =
      std::filesystem::absolute(file, error)
          .lexically_normal()
          .lexically_relative(std::filesystem::absolute(folder, error).lexically_normal());
  const std::string text = inside.generic_string();
  return text.empty() || text == "." || text.starts_with("..") ? "" : text;
}

/// Makes the signatures of one bundle within a session.
class Signer {
 public:
  Signer(WriteSession& session, const StoredBundle& bundle, const PrivateKey& key)
      : session_(session), bundle_(bundle), key_(key), hint_(key.public_key().hint()) {}

  Result<Descriptor> sign_model(const Descriptor& index) {
    const ModelStatement statement{
        bundle_.name, files_of(bundle_), {}, bundle_.digest, bundle_.content_digest};
    BUNDLE_TRY(const std::string text, sign_statement(write_statement(statement), key_));
    BUNDLE_CHECK(drop_own_statements(index.digest));
    return add_referrer(session_,
                        {.artifact_type = std::string(kSigstoreBundleType),
                         .subject = index,
                         .layers = {{std::string(kSigstoreBundleType), text}},
                         .annotations = {{"dev.sigstore.bundle.content", "dsse-envelope"},
                                         {"dev.sigstore.bundle.predicateType", kPredicateType}}});
  }

  /// One manifest holds the signatures of all keys: a registry has one tag for it.
  Result<Descriptor> sign_manifest(const Descriptor& manifest, const std::string& identity) {
    std::vector<ReferrerLayer> layers;
    std::vector<std::string> replaced;
    BUNDLE_CHECK(take_others(manifest.digest, layers, replaced));
    const std::string payload = cosign_payload(manifest.digest, identity);
    BUNDLE_TRY(const std::string signature, cosign_sign(payload, key_));
    layers.push_back({std::string(kSimpleSigningType), payload, {{kCosignAnnotation, signature}}});
    BUNDLE_TRY(const std::string config, cosign_config(layers));
    BUNDLE_TRY(const Descriptor made,
               add_referrer(session_, {.artifact_type = std::string(kCosignArtifact),
                                       .subject = manifest,
                                       .layers = std::move(layers),
                                       .config_type = std::string(oci::kConfigType),
                                       .config = config}));
    std::erase(replaced, made.digest);
    BUNDLE_CHECK(drop_referrers(session_.paths(), replaced));
    return made;
  }

 private:
  ReadBlob reader() const {
    return [this](const Descriptor& blob, std::uint64_t cap) {
      return read_checked_blob(session_.paths(), blob, cap);
    };
  }

  /// A second signature of the same key would only stand beside the first.
  Status drop_own_statements(const std::string& subject) {
    BUNDLE_TRY(const auto referrers, referrers_of(session_.paths(), subject));
    std::vector<std::string> own;
    for (const Referrer& referrer : referrers) {
      if (referrer.artifact_type != kSigstoreBundleType) continue;
      BUNDLE_TRY(const auto found,
                 signatures_in(referrer.document, referrer.manifest.digest, reader()));
      for (const FoundSignature& signature : found) {
        const auto envelope = read_signed_statement(signature.text, signature.where);
        if (envelope && is_signed_by(*envelope, key_.public_key())) {
          own.push_back(referrer.manifest.digest);
        }
      }
    }
    return drop_referrers(session_.paths(), own);
  }

  /// Other keys' layers of the cosign manifests that are there, which the new one replaces.
  Status take_others(const std::string& subject, std::vector<ReferrerLayer>& layers,
                     std::vector<std::string>& replaced) const {
    BUNDLE_TRY(const auto referrers, referrers_of(session_.paths(), subject));
    for (const Referrer& referrer : referrers) {
      if (referrer.artifact_type != kCosignArtifact) continue;
      replaced.push_back(referrer.manifest.digest);
      BUNDLE_TRY(const auto found,
                 signatures_in(referrer.document, referrer.manifest.digest, reader()));
      for (const FoundSignature& one : found) {
        if (is_cosigned_by(one.text, one.signature, key_.public_key())) continue;
        layers.push_back(
            {std::string(kSimpleSigningType), one.text, {{kCosignAnnotation, one.signature}}});
      }
    }
    return {};
  }

  /// What cosign writes: an image configuration without a time or a platform.
  Result<std::string> cosign_config(const std::vector<ReferrerLayer>& layers) {
    JsonArray ids;
    for (const ReferrerLayer& layer : layers) {
      BUNDLE_TRY(const Descriptor blob, session_.put(layer.media_type, layer.text));
      ids.emplace_back(blob.digest);
    }
    return print_json(
        JsonObject{{"architecture", ""},
                   {"os", ""},
                   {"config", JsonObject()},
                   {"rootfs", JsonObject{{"type", "layers"}, {"diff_ids", std::move(ids)}}}});
  }

  WriteSession& session_;
  const StoredBundle& bundle_;
  const PrivateKey& key_;
  std::string hint_;
};

Result<SignedStatement> read_signature_file(const Path& signature) {
  BUNDLE_TRY(const std::string text, read_file(signature, kMostSignatureBytes));
  return read_signed_statement(text, signature.string());
}

Status check_key(const SignedStatement& statement, const PublicKey& key, const Path& signature) {
  if (is_signed_by(statement, key)) return {};
  return failed("the signature is not by this key", signature.string(),
                "It is damaged, or another key made it.");
}

}  // namespace

Result<SignReport> sign_bundle(Store& store, const StoredBundle& bundle, const PrivateKey& key,
                               const std::string& identity) {
  const StorePaths paths{store.root()};
  BUNDLE_TRY(WriteSession session, WriteSession::begin(paths));
  Signer signer(session, bundle, key);
  SignReport report{bundle.tag.empty() ? bundle.name : bundle.name + ':' + bundle.tag,
                    bundle.digest,
                    key.public_key().hint(),
                    bundle.model.files().size(),
                    {}};
  BUNDLE_TRY(const Descriptor index, describe_blob(paths, oci::kIndexType, bundle.digest));
  BUNDLE_TRY(const Descriptor model, signer.sign_model(index));
  report.signatures.push_back(model.digest);
  const std::string name = identity.empty() ? bundle.name : identity;
  BUNDLE_TRY(auto subjects, oci::read_descriptors(bundle.index, "manifests", bundle.digest));
  subjects.insert(subjects.begin(), index);
  for (const Descriptor& subject : subjects) {
    BUNDLE_TRY(const Descriptor made, signer.sign_manifest(subject, name));
    report.signatures.push_back(made.digest);
  }
  return report;
}

Result<std::string> sign_folder(const Path& folder, const Path& signature, const PrivateKey& key,
                                const Progress& progress) {
  ModelStatement statement;
  statement.subject = folder_name(folder);
  statement.ignored = ignored_by_default();
  if (const std::string inside = path_inside(folder, signature); !inside.empty()) {
    statement.ignored.push_back(inside);
  }
  BUNDLE_TRY(statement.files, hash_folder(folder, statement.ignored, progress));
  if (statement.files.empty()) return bad_input("there is no file to sign", folder.string());
  return sign_statement(write_statement(statement), key);
}

Result<ModelStatement> verify_folder(const Path& folder, const Path& signature,
                                     const PublicKey& key, const Progress& progress) {
  BUNDLE_TRY(const SignedStatement signed_statement, read_signature_file(signature));
  BUNDLE_CHECK(check_key(signed_statement, key, signature));
  BUNDLE_TRY(ModelStatement statement,
             read_statement(signed_statement.payload, signature.string()));
  // What is left out is decided here: the signature's own file, and version control's where the
  // signer left it out too.
  std::vector<std::string> ignored;
  for (const std::string& path : statement.ignored) {
    if (std::ranges::find(ignored_by_default(), path) != ignored_by_default().end()) {
      ignored.push_back(path);
    }
  }
  if (const std::string inside = path_inside(folder, signature); !inside.empty()) {
    ignored.push_back(inside);
  }
  BUNDLE_TRY(auto files, hash_folder(folder, ignored, progress));
  BUNDLE_CHECK(compare_files(statement, std::move(files)));
  return statement;
}

Result<ModelStatement> verify_files(const StoredBundle& bundle, const Path& signature,
                                    const PublicKey& key) {
  BUNDLE_TRY(const SignedStatement signed_statement, read_signature_file(signature));
  BUNDLE_CHECK(check_key(signed_statement, key, signature));
  BUNDLE_TRY(ModelStatement statement,
             read_statement(signed_statement.payload, signature.string()));
  BUNDLE_CHECK(compare_files(statement, files_of(bundle)));
  return statement;
}

}  // namespace bundle::packager::signing
