// bundle build: a model on disk becomes a bundle in the store.
#include "packager/build.h"

#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/check_servable.h"
#include "cli/commands.h"
#include "cli/measure_quality.h"
#include "cli/registry_options.h"
#include "cli/server_program.h"
#include "packager/attestations.h"
#include "packager/sources/fetch.h"

namespace bundle::cli {
namespace {

namespace sources = packager::sources;

struct BuildArguments {
  std::string source = ".";
  std::string name;
  std::string server;
  std::string shell;
  std::string quantize;
  bool no_report = false;
  bool no_runtime = false;
  bool no_cuda = false;
  bool keep_download = false;
  std::shared_ptr<TransferOptions> transfer;
};

/// "perplexity 24.81 (source 24.63), KL divergence 0.0021, same likeliest token 97.1 %"
std::string quality_line(const Json& quality) {
  const auto number = [&](const char* section, const char* key) {
    return quality.at(section).at(key).to_number<double>();
  };
  char line[200];
  std::snprintf(line, sizeof line,
                "  quality  perplexity %.4g (source %.4g), KL divergence %.3g, "
                "same likeliest token %.1f %%\n",
                number("perplexity", "bundle"), number("perplexity", "source"),
                number("kl_divergence", "mean"),
                100 * quality.at("same_top_token").to_number<double>());
  return line;
}

std::string build_text(const packager::BuildResult& result) {
  std::string text;
  for (const std::string& warning : result.warnings) text += "warning: " + warning + "\n";
  for (const auto& layer : result.layers) {
    text += "  " + layer.role + "  " + human_bytes(layer.size) +
            (layer.reused ? "  (in the store already)" : "") + "\n";
  }
  if (!result.quality.is_null()) text += quality_line(result.quality);
  text += "built " + result.name + ":" + result.tag + ", " + human_bytes(result.size) + "\n";
  return text + result.digest + "\n";
}

/// Fetches models for one build, keeps others away from them meanwhile, and deletes them when they
/// are in the store.
class ModelFetcher {
 public:
  ModelFetcher(const BuildArguments& arguments, const Session& session)
      : arguments_(arguments), session_(session) {}

  Result<sources::FetchedModel> fetch(const std::string& text, const packager::Manifest& manifest) {
    BUNDLE_TRY(const auto uri, sources::parse_source_uri(text));
    const sources::FetchOptions options{manifest.include, manifest.exclude,
                                        arguments_.transfer->parallel,
                                        arguments_.transfer->registry};
    BUNDLE_TRY(auto fetched, sources::fetch_model(uri, sources::downloads_folder(), options,
                                                  session_.progress()));
    fetched_.push_back(fetched);
    return fetched;
  }

  void clear() const {
    std::error_code ignored;
    for (const auto& model : fetched_) std::filesystem::remove_all(model.folder, ignored);
  }

 private:
  const BuildArguments& arguments_;
  const Session& session_;
  std::vector<sources::FetchedModel> fetched_;  // and their locks
};

/// The folder's or file's own name: a path would tell of this host.
std::string source_name(const Path& source) {
  std::error_code error;
  Path absolute = std::filesystem::absolute(source, error).lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  return absolute.filename().string();
}

Result<Outcome> build(const BuildArguments& arguments, const Session& session) {
  BUNDLE_CHECK(check_server_program(arguments.server));
  BUNDLE_TRY(packager::Store store, packager::Store::open());
  ModelFetcher fetcher(arguments, session);
  packager::BuildOptions options;
  options.name = arguments.name;
  options.server = arguments.server;
  options.shell = arguments.shell;
  options.with_runtime = !arguments.no_runtime;
  options.with_cuda = !arguments.no_cuda;
  options.quantize = arguments.quantize;
  if (!arguments.no_report) {
    options.measure = [&](const auto& published, const auto& quantized) {
      return measure_quality(published, quantized, session.progress());
    };
  }
  options.check = check_servable;
  Path source = arguments.source;
  Json origin = JsonObject{{"uri", source_name(source)}};
  options.fetch = [&](const std::string& text, const packager::Manifest& manifest) -> Result<Path> {
    BUNDLE_TRY(const auto fetched, fetcher.fetch(text, manifest));
    origin = fetched.provenance;
    return fetched.path;
  };
  if (sources::is_source_uri(arguments.source)) {
    BUNDLE_TRY(source, options.fetch(arguments.source, {}));
  }
  BUNDLE_TRY(const auto result, packager::build(source, store, options, session.progress()));
  BUNDLE_TRY(const auto bundle, store.resolve(result.name + ':' + result.tag));
  BUNDLE_CHECK(packager::attach_attestations(store, bundle, origin, BUNDLE_VERSION));
  if (!arguments.keep_download) fetcher.clear();
  return Outcome{packager::to_json(result), build_text(result)};
}

}  // namespace

void add_build(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<BuildArguments>();
  CLI::App* command = add_command(
      app, "build", "Pack a model into a bundle in the local store",
      "SOURCE is a folder with bundle.yaml, a Hugging Face model folder, a .gguf file, or a model\n"
      "elsewhere: hf://ORG/NAME[@REVISION][/FILE.gguf], https://HOST/FILE.gguf#sha256=HEX,\n"
      "s3://BUCKET/FOLDER, oci://REGISTRY/NAME[:TAG]. The model is checked whole before anything\n"
      "is written. The last line is the bundle's digest; the same input gives the same digest\n"
      "everywhere.\n\n"
      "--quantize makes smaller weights of BF16, F16 or F32 ones, and measures what that did to\n"
      "the model: perplexity and KL divergence on a text that comes with this program. 'inspect'\n"
      "shows them. Both models are loaded for that.\n\n"
      "HF_TOKEN opens gated models, HF_ENDPOINT names a mirror; S3 takes AWS's variables.\n\n"
      "Examples:\n"
      "  bundle build examples/smollm2\n"
      "  bundle build ./SmolLM2.Q4_1.gguf --name smollm2:q4\n"
      "  bundle build hf://Qwen/Qwen3-0.6B\n"
      "  bundle build hf://Qwen/Qwen3-0.6B --quantize q8_0");
  command->add_option("SOURCE", arguments->source, "What to pack (default: this folder)");
  command->add_option("--name", arguments->name, "Name in the store, instead of bundle.yaml's")
      ->type_name("NAME[:TAG]");
  command->add_option("--server", arguments->server, "Runtime to pack, instead of this program's")
      ->type_name("FILE");
  command
      ->add_option("--shell", arguments->shell,
                   "A static busybox to pack, for images that KServe mounts as modelcars")
      ->type_name("BUSYBOX")
      ->check(CLI::ExistingFile);
  command->add_option("--quantize", arguments->quantize, "Type of the bundle's weights")
      ->check(CLI::IsMember({"q8_0", "q4_0", "q4_k", "fp8", "int8"}));
  command->add_flag("--no-report", arguments->no_report, "Do not measure quantized weights");
  command->add_flag("--no-cuda", arguments->no_cuda,
                    "Leave out the runtime's backend for GPUs, where it is installed");
  command->add_flag("--no-runtime", arguments->no_runtime, "Pack weights and configuration alone");
  command->add_flag("--keep-download", arguments->keep_download,
                    "Keep the files of a model from elsewhere after they are packed");
  arguments->transfer = add_transfer_options(command, 8);
  on_run(command, session, [arguments, &session] { return build(*arguments, session); });
}

}  // namespace bundle::cli
