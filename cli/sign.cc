// bundle keygen and bundle sign: keys, and signatures by them.
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/open_model.h"
#include "packager/signing/sign_bundle.h"
#include "packager/store_files.h"

namespace bundle::cli {
namespace {

namespace signing = packager::signing;

struct KeygenArguments {
  std::string file;
  std::string curve = "p256";
  std::string password_file;
};

struct SignArguments {
  std::string reference;
  std::string key;
  std::string password_file;
  std::string identity;
  std::string signature;
};

/// The first line of the file, else BUNDLE_KEY_PASSWORD, else "".
Result<std::string> key_password(const std::string& file) {
  if (file.empty()) {
    const char* given = std::getenv("BUNDLE_KEY_PASSWORD");
    return std::string(given == nullptr ? "" : given);
  }
  BUNDLE_TRY(const std::string text, read_file(file, 4096));
  return text.substr(0, text.find('\n'));
}

signing::Curve curve_of(const std::string& name) {
  if (name == "p384") return signing::Curve::kP384;
  return name == "p521" ? signing::Curve::kP521 : signing::Curve::kP256;
}

/// Never over a file that is there: it may be the only copy of a key.
Status write_new_file(const std::string& file, const std::string& text, unsigned mode) {
  const Fd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd && errno == EEXIST) {
    return failed("the file is there already", file, "Name another file, or move it away.");
  }
  if (!fd) return system_error("cannot create the file", file);
  BUNDLE_CHECK(packager::write_all(fd.get(), text, file));
  if (::fsync(fd.get()) != 0) return system_error("cannot sync the file", file);
  return {};
}

Result<Outcome> keygen(const KeygenArguments& arguments) {
  BUNDLE_TRY(const std::string password, key_password(arguments.password_file));
  BUNDLE_TRY(const auto key, signing::PrivateKey::generate(curve_of(arguments.curve)));
  BUNDLE_TRY(const std::string pem, key.pem(password));
  const std::string public_file = arguments.file + ".pub";
  std::error_code ignored;
  if (std::filesystem::exists(public_file, ignored)) {
    return failed("the file is there already", public_file, "Name another key.");
  }
  BUNDLE_CHECK(write_new_file(arguments.file, pem, 0600));
  BUNDLE_CHECK(write_new_file(public_file, key.public_key().pem(), 0644));
  return Outcome{JsonObject{{"private_key", arguments.file},
                            {"public_key", public_file},
                            {"hint", key.public_key().hint()}},
                 "private key: " + arguments.file + "\npublic key:  " + public_file + "\n"};
}

Json to_json(const signing::SignReport& report) {
  JsonArray signatures;
  for (const std::string& digest : report.signatures) signatures.emplace_back(digest);
  return JsonObject{{"name", report.name},
                    {"digest", report.digest},
                    {"key", report.key_hint},
                    {"files", static_cast<std::int64_t>(report.num_files)},
                    {"signatures", std::move(signatures)}};
}

Result<Outcome> sign_path(const SignArguments& arguments, const signing::PrivateKey& key,
                          const Session& session) {
  const Path folder = arguments.reference;
  std::error_code error;
  const bool is_folder = std::filesystem::is_directory(folder, error);
  const Path file = !arguments.signature.empty() ? Path(arguments.signature)
                    : is_folder                  ? folder / "model.sig"
                                                 : Path(folder.string() + ".sig");
  BUNDLE_TRY(const std::string text, signing::sign_folder(folder, file, key, session.progress()));
  BUNDLE_CHECK(write_file_atomic(file, text));
  return Outcome{JsonObject{{"name", folder.string()},
                            {"key", key.public_key().hint()},
                            {"signature", file.string()}},
                 "signed " + folder.string() + "\n" + file.string() + "\n"};
}

Result<Outcome> sign(const SignArguments& arguments, const Session& session) {
  BUNDLE_TRY(const std::string password, key_password(arguments.password_file));
  BUNDLE_TRY(const auto key, signing::PrivateKey::load(arguments.key, password));
  if (names_a_path(arguments.reference)) return sign_path(arguments, key, session);
  BUNDLE_TRY(packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto bundle, store.resolve(arguments.reference));
  BUNDLE_TRY(const auto report, signing::sign_bundle(store, bundle, key, arguments.identity));
  return Outcome{to_json(report), "signed " + report.name + ", " +
                                      std::to_string(report.num_files) + " files\n" +
                                      report.digest + "\n"};
}

}  // namespace

void add_keygen(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<KeygenArguments>();
  CLI::App* command = add_command(
      app, "keygen", "Make a key that signs bundles",
      "Writes FILE (private, readable by you alone) and FILE.pub (give it to who verifies). Keys\n"
      "made by 'openssl ecparam -genkey' on P-256, P-384 or P-521 sign as well.\n\n"
      "Example:\n  bundle keygen release.key");
  command->add_option("FILE", arguments->file, "Where to write the private key")->required();
  command->add_option("--curve", arguments->curve, "Elliptic curve")
      ->capture_default_str()
      ->check(CLI::IsMember({"p256", "p384", "p521"}))
      ->type_name("p256|p384|p521");
  command
      ->add_option("--key-password-file", arguments->password_file,
                   "Encrypt the key with this file's first line (else BUNDLE_KEY_PASSWORD)")
      ->check(CLI::ExistingFile);
  on_run(command, session, [arguments] { return keygen(*arguments); });
}

void add_sign(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<SignArguments>();
  CLI::App* command = add_command(
      app, "sign", "Sign a bundle, or a model folder",
      "A bundle gets an OpenSSF Model Signing signature over its files and its digest, and\n"
      "signatures as cosign makes them over each of its manifests. They travel with push, pull,\n"
      "export and import. For a folder or file, writes a signature that 'model_signing' "
      "verifies.\n\n"
      "Examples:\n"
      "  bundle sign smollm2 --key release.key --identity registry.example.com/team/smollm2\n"
      "  bundle sign ./my-model --key release.key --signature model.sig");
  command->add_option("REF", arguments->reference, "A bundle of the store, or a path")->required();
  command->add_option("--key", arguments->key, "Private key (PEM)")
      ->required()
      ->check(CLI::ExistingFile);
  command
      ->add_option("--key-password-file", arguments->password_file,
                   "Its first line opens the key (else BUNDLE_KEY_PASSWORD)")
      ->check(CLI::ExistingFile);
  command
      ->add_option("--identity", arguments->identity,
                   "Repository where the bundle will be found; cosign and skopeo check it")
      ->type_name("REGISTRY/NAME");
  command
      ->add_option("--signature", arguments->signature,
                   "For a path: where to write (default: model.sig in the folder)")
      ->type_name("FILE");
  on_run(command, session, [arguments, &session] { return sign(*arguments, session); });
}

}  // namespace bundle::cli
