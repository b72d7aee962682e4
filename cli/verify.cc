// bundle verify: every byte of a bundle or folder against what was signed; or a deployment's
// streams against a roll of its servers.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/open_model.h"
#include "cli/trust_options.h"
#include "cli/verify_deployment.h"
#include "packager/build.h"
#include "packager/modelcar_shell.h"
#include "packager/signing/sign_bundle.h"
#include "packager/signing/trust.h"
#include "packager/store_files.h"
#include "packager/verified_blobs.h"

namespace bundle::cli {
namespace {

namespace signing = packager::signing;

struct VerifyArguments {
  std::string reference;
  std::string signature;
  std::string rebuild;
  bool quick = false;
  std::shared_ptr<signing::TrustOptions> trust;
  bool deployment = false;
  RollArguments roll;
};

Result<signing::PublicKey> one_key(const VerifyArguments& arguments) {
  if (arguments.trust->keys.size() != 1) {
    return Error{ErrorCode::kUsage, "a signature file is verified with one --key", "", ""};
  }
  return signing::PublicKey::load(arguments.trust->keys.front());
}

Outcome signed_files(const std::string& name, const signing::ModelStatement& statement) {
  return {JsonObject{{"name", name}, {"files", static_cast<std::int64_t>(statement.files.size())}},
          "verified " + name + ": " + std::to_string(statement.files.size()) +
              " files are as they were signed\n"};
}

Result<Outcome> verify_path(const VerifyArguments& arguments, const Session& session) {
  const Path folder = arguments.reference;
  std::error_code error;
  const Path file = !arguments.signature.empty()                   ? Path(arguments.signature)
                    : std::filesystem::is_directory(folder, error) ? folder / "model.sig"
                                                                   : Path(folder.string() + ".sig");
  BUNDLE_TRY(const auto key, one_key(arguments));
  BUNDLE_TRY(const auto statement, signing::verify_folder(folder, file, key, session.progress()));
  return signed_files(folder.string(), statement);
}

Json to_json(const signing::CheckedSignature& signature) {
  JsonObject document{{"kind", signing::kind_name(signature.kind)},
                      {"key", signature.key},
                      {"key_hint", signature.key_hint}};
  if (!signature.identity.empty()) document["identity"] = signature.identity;
  return document;
}

/// Signatures by the keys that the options and the policy name, or none where neither asks.
Result<std::vector<signing::CheckedSignature>> check_signatures(
    const VerifyArguments& arguments, const packager::StorePaths& paths,
    const packager::StoredBundle& bundle) {
  signing::TrustOptions options = *arguments.trust;
  options.require_signature |= !options.keys.empty();
  BUNDLE_TRY(const auto trust, signing::Trust::load(options));
  BUNDLE_TRY(const auto found, signing::stored_signatures(paths, bundle.digest));
  BUNDLE_TRY(auto checked, trust.check({bundle.name}, found, bundle.digest));
  BUNDLE_CHECK(trust.check_version({bundle.name}, signing::version_of(bundle)));
  return checked;
}

bool has_runtime(const packager::StoredBundle& bundle) {
  return std::ranges::any_of(bundle.layers, [](const packager::StoredLayer& layer) {
    return layer.role == packager::LayerRole::kRuntime;
  });
}

/// Builds the source again, in a store of its own, and compares the digests.
Result<Outcome> verify_rebuild(const std::string& source, const packager::StoredBundle& bundle,
                               const Session& session) {
  std::string folder = (bundle_home() / "rebuild-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return system_error("cannot create a folder", folder);
  auto built = [&]() -> Result<packager::BuildResult> {
    BUNDLE_TRY(packager::Store scratch, packager::Store::open(Path(folder)));
    packager::BuildOptions options;
    options.name = "rebuild";
    options.with_runtime = has_runtime(bundle);
    const Path busybox = Path(folder) / "busybox";
    BUNDLE_TRY(const bool has_shell, packager::extract_busybox(bundle, busybox));
    if (has_shell) options.shell = busybox;
    BUNDLE_TRY(options.quantize, get_string_or(bundle.bundle, "quantize", "", bundle.digest));
    return packager::build(source, scratch, options, session.progress());
  }();
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  if (!built) return std::move(built).error();
  if (built->digest == bundle.digest) {
    return Outcome{JsonObject{{"name", bundle.name}, {"digest", bundle.digest}, {"rebuilt", true}},
                   "rebuilt " + bundle.name + " from " + source + ": the same digest\n" +
                       bundle.digest + "\n"};
  }
  const bool same_content = built->content_digest == bundle.content_digest;
  return bad_input("building the source gives " + built->digest + ", the bundle is " +
                       bundle.digest + (same_content ? "; their content is the same" : ""),
                   source,
                   "The source, its bundle.yaml or this program's server are not those that the "
                   "bundle was built with.");
}

/// A deployment is meant where it is said so, or where the name is a deployment's and no bundle's.
bool means_deployment(const VerifyArguments& arguments) {
  if (arguments.deployment) return true;
  const bool of_bytes = names_a_path(arguments.reference) || !arguments.signature.empty() ||
                        !arguments.rebuild.empty() || !arguments.trust->keys.empty();
  if (of_bytes) return false;
  const auto store = packager::Store::open();
  if (!store) return false;
  const auto bundle = store->resolve(arguments.reference);
  if (bundle || bundle.error().code != ErrorCode::kNotFound) return false;
  const PlaceArguments& place = arguments.roll.place;
  if (!place.file.empty() || !place.target.empty()) return true;
  const auto provider = find_provider(arguments.reference, arguments.roll.place);
  return provider && (*provider)->specification(arguments.reference, 0);
}

Result<Outcome> verify(const VerifyArguments& arguments, const Session& session) {
  if (means_deployment(arguments)) {
    return verify_deployment(arguments.reference, arguments.roll, session);
  }
  if (names_a_path(arguments.reference)) return verify_path(arguments, session);
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  const packager::StorePaths paths{store.root()};
  BUNDLE_TRY(const auto bundle, store.resolve(arguments.reference));
  if (!arguments.signature.empty()) {
    BUNDLE_TRY(const auto key, one_key(arguments));
    BUNDLE_TRY(const auto statement, signing::verify_files(bundle, arguments.signature, key));
    BUNDLE_TRY(const auto blobs, signing::blobs_of(paths, bundle));
    BUNDLE_CHECK(packager::check_blobs(paths, blobs, !arguments.quick, session.progress()));
    return signed_files(bundle.name, statement);
  }
  if (!arguments.rebuild.empty()) return verify_rebuild(arguments.rebuild, bundle, session);
  BUNDLE_TRY(const auto checked, check_signatures(arguments, paths, bundle));
  BUNDLE_TRY(const auto blobs, signing::blobs_of(paths, bundle));
  BUNDLE_CHECK(packager::check_blobs(paths, blobs, !arguments.quick, session.progress()));
  JsonArray signatures;
  std::string text;
  for (const auto& signature : checked) {
    signatures.push_back(to_json(signature));
    text += std::string("signed by ") + signature.key + " (" + signing::kind_name(signature.kind) +
            ")\n";
  }
  if (checked.empty()) text += "no signature was asked for: name a key with --key\n";
  text += "verified " + bundle.name + ": " + std::to_string(blobs.size()) + " blobs, " +
          human_bytes(bundle.size) + "\n" + bundle.digest + "\n";
  return Outcome{JsonObject{{"name", bundle.name},
                            {"tag", bundle.tag},
                            {"digest", bundle.digest},
                            {"content_digest", bundle.content_digest},
                            {"blobs", static_cast<std::int64_t>(blobs.size())},
                            {"size", static_cast<std::int64_t>(bundle.size)},
                            {"signatures", std::move(signatures)}},
                 std::move(text)};
}

}  // namespace

void add_verify(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* command = add_command(
      app, "verify",
      "Check a bundle's bytes and signatures, or that rolling a deployment cuts no stream",
      "Hashes every blob, and with --key or a trust policy checks who signed. Exit code 4: not\n"
      "signed; 1: signed by no trusted key; 3: damaged, or the signature of another bundle.\n"
      "A deployment (a name that no bundle has, or with --deployment) gets streams opened, is\n"
      "restarted as an update would, and every stream must come to its end. Exit code 1: one was\n"
      "cut.\n\n"
      "Examples:\n"
      "  bundle verify smollm2 --key release.key.pub\n"
      "  bundle verify ./my-model --signature model.sig --key publisher.pub\n"
      "  bundle verify prod --deployment --through http://127.0.0.1:8080");
  command->add_option("REF", arguments->reference, "A bundle of the store, a path, or a deployment")
      ->required();
  command
      ->add_option("--signature", arguments->signature,
                   "An OpenSSF Model Signing file, instead of what lies with the bundle")
      ->type_name("FILE");
  command
      ->add_option("--rebuild", arguments->rebuild,
                   "Build this source again and compare the digest: proves what the bundle is of")
      ->type_name("SOURCE");
  command->add_flag("--quick", arguments->quick,
                    "Trust the record of files that were hashed before and have not changed");
  command->add_flag("--deployment", arguments->deployment, "REF is a deployment");
  add_roll_options(*command, arguments->roll);
  arguments->trust = add_trust_options(command);
  on_run(command, session, [arguments, &session] { return verify(*arguments, session); });
}

}  // namespace bundle::cli
