// bundle export: a bundle as a file or folder that leaves the store.
#include <memory>
#include <set>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "packager/reference.h"
#include "packager/signing/trust.h"
#include "packager/transfer/archive.h"
#include "packager/transfer/executable.h"
#include "packager/transfer/export_model.h"

namespace bundle::cli {
namespace {

constexpr std::uint64_t kMostDigestsBytes = 64u << 20;

struct ExportArguments {
  std::string reference;
  std::string file;
  std::string form = "archive";
  std::string have;
  std::uint64_t volume_bytes = 0;
  bool force = false;
};

/// Every digest in a text: one a line, or anywhere in a JSON document.
std::set<std::string> digests_in(std::string_view text) {
  std::set<std::string> digests;
  constexpr std::size_t kLength = 7 + 64;
  for (std::size_t at = text.find("sha256:"); at != std::string_view::npos;
       at = text.find("sha256:", at + 1)) {
    const std::string_view digest = text.substr(at, kLength);
    if (packager::is_valid_digest(digest)) digests.emplace(digest);
  }
  return digests;
}

Outcome exported(const packager::StoredBundle& bundle, const std::vector<Path>& files,
                 std::uint64_t size, std::uint64_t left_out) {
  JsonArray names;
  std::string text = "exported " + bundle.name + ", " + human_bytes(size);
  if (left_out > 0) text += " (left out " + human_bytes(left_out) + ")";
  text += "\n";
  for (const Path& file : files) {
    names.emplace_back(file.string());
    if (files.size() <= 20) text += file.string() + "\n";
  }
  if (files.size() > 20) text += std::to_string(files.size()) + " files\n";
  return {JsonObject{{"name", bundle.name},
                     {"digest", bundle.digest},
                     {"files", std::move(names)},
                     {"size", size},
                     {"left_out", left_out}},
          std::move(text)};
}

Result<Outcome> export_tar(const ExportArguments& arguments, const packager::Store& store,
                           const packager::StoredBundle& bundle, const Session& session) {
  packager::ExportOptions options{{}, arguments.volume_bytes, arguments.force};
  if (!arguments.have.empty()) {
    BUNDLE_TRY(const std::string text, read_file(arguments.have, kMostDigestsBytes));
    options.have = digests_in(text);
    if (options.have.empty()) {
      return bad_input("there is no digest in it", arguments.have,
                       "Write what 'bundle list --blobs' says on the other host into it.");
    }
  }
  const bool is_docker = arguments.form == "docker-archive";
  BUNDLE_TRY(const auto report, is_docker
                                    ? packager::export_docker_archive(store, bundle, arguments.file,
                                                                      options, session.progress())
                                    : packager::export_archive(store, bundle, arguments.file,
                                                               options, session.progress()));
  return exported(bundle, report.files, report.size, report.left_out);
}

Result<packager::ModelExport> export_model(const ExportArguments& arguments,
                                           const packager::Store& store,
                                           const packager::StoredBundle& bundle,
                                           const Session& session) {
  if (arguments.form == "directory") {
    return packager::export_directory(store, bundle, arguments.file, session.progress());
  }
  if (arguments.form == "ollama") {
    return packager::export_ollama(bundle, arguments.file, session.progress());
  }
  if (arguments.form == "gguf-file") {
    return packager::export_gguf(bundle, arguments.file, arguments.force, session.progress());
  }
  return packager::export_executable(bundle, arguments.file, "", arguments.force,
                                     session.progress());
}

Result<Outcome> run_export(const ExportArguments& arguments, const Session& session) {
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto bundle, store.resolve(arguments.reference));
  BUNDLE_CHECK(packager::signing::check_undamaged(store, bundle, session.progress()));
  if (arguments.form == "archive" || arguments.form == "docker-archive") {
    return export_tar(arguments, store, bundle, session);
  }
  if (arguments.volume_bytes > 0 || !arguments.have.empty()) {
    return Error{ErrorCode::kUsage, "--split and --have are for archives only"};
  }
  BUNDLE_TRY(const auto made, export_model(arguments, store, bundle, session));
  return exported(bundle, made.files, made.size, 0);
}

}  // namespace

void add_export(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = add_command(
      app, "export", "Write a bundle to a file, for hosts without a network",
      "  archive         one file (an OCI archive) that 'bundle import' and skopeo read\n"
      "  executable      one program: copy it to a host, run it, it serves\n"
      "  docker-archive  the image, for 'docker load' and 'podman load'\n"
      "  directory       the model's files as they were published\n"
      "  gguf-file       the model's .gguf file\n"
      "  ollama          into an Ollama model folder\n\n"
      "Examples:\n"
      "  bundle export smollm2 smollm2.tar\n"
      "  bundle export r1 r1.tar --split 100G --have blobs-over-there.txt\n"
      "  bundle export smollm2 smollm2-server --to executable && ./smollm2-server --port 8000");
  command->add_option("REF", arguments->reference, "The bundle")->required();
  command->add_option("FILE", arguments->file, "Where to write")->required();
  command->add_option("--to", arguments->form, "What to write")
      ->capture_default_str()
      ->check(CLI::IsMember(
          {"archive", "executable", "docker-archive", "directory", "gguf-file", "ollama"}));
  command
      ->add_option("--have", arguments->have,
                   "Leave out the blobs whose digests stand in this file ('bundle list --blobs')")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  command
      ->add_option("--split", arguments->volume_bytes, "Write FILE.001, FILE.002, … of this size")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{1u << 16}, std::uint64_t{1} << 50))
      ->type_name("SIZE");
  command->add_flag("--force", arguments->force, "Overwrite what is there");
  on_run(command, session, [arguments, &session] { return run_export(*arguments, session); });
}

}  // namespace bundle::cli
