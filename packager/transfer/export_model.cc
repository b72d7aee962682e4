#include "packager/transfer/export_model.h"

#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/referrers.h"
#include "packager/signing/dsse.h"
#include "packager/stored_bundle.h"
#include "packager/tar_layer.h"
#include "packager/transfer/volumes.h"
#include "runtime/format/checkpoint.h"

namespace bundle::packager {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kOllamaManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view kOllamaConfig = "application/vnd.docker.container.image.v1+json";

/// Copies ranges of blobs and counts.
class Copier {
 public:
  Copier(const Progress& progress, std::uint64_t total) : progress_(progress), total_(total) {}

  Status copy(const format::SourceFile& from, const Path& to, bool replace) {
    const Fd fd(::open(from.path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return system_error("cannot open a blob", from.path.string());
    VolumeWriter out(to, 0);
    BUNDLE_CHECK(out.write(""));
    BUNDLE_CHECK(out.copy(fd.get(), from.offset, from.length, from.path, [this](std::uint64_t n) {
      done_ += n;
      return !progress_ || progress_("exporting", done_, total_);
    }));
    if (from.length == 0) BUNDLE_CHECK(write_file_atomic(to, ""));
    BUNDLE_CHECK(out.commit(replace));
    made_.files.push_back(to);
    made_.size += from.length;
    return {};
  }

  Status write(const Path& to, std::string_view text) {
    BUNDLE_CHECK(write_file_atomic(to, text));
    made_.files.push_back(to);
    made_.size += text.size();
    return {};
  }

  ModelExport made() && { return std::move(made_); }

 private:
  const Progress& progress_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  ModelExport made_;
};

std::uint64_t total_of(const StoredBundle& bundle) {
  std::uint64_t total = 0;
  for (const format::SourceFile& file : bundle.model.files()) total += file.length;
  return total;
}

/// The first OpenSSF signature of the bundle, or "".
Result<std::string> model_signature(const StorePaths& paths, const std::string& digest) {
  BUNDLE_TRY(const auto referrers, referrers_of(paths, digest));
  for (const Referrer& referrer : referrers) {
    if (referrer.artifact_type != signing::kSigstoreBundleType || referrer.layers.empty()) continue;
    return read_checked_blob(paths, referrer.layers.front(), signing::kMostSignatureBytes);
  }
  return std::string();
}

/// The weights when they are one .gguf file.
Result<format::SourceFile> single_gguf(const StoredBundle& bundle) {
  std::vector<format::SourceFile> found;
  for (const format::SourceFile& file : bundle.model.files()) {
    if (file.name.ends_with(".gguf")) found.push_back(file);
  }
  if (found.size() == 1) return found.front();
  return Error{ErrorCode::kUsage,
               found.empty() ? "the model is no .gguf file"
                             : "the model is split over " + std::to_string(found.size()) + " files",
               bundle.name, "Use --to directory."};
}

Json ollama_layer(std::string_view kind, const std::string& sha256, std::uint64_t size) {
  return JsonObject{{"mediaType", "application/vnd.ollama.image." + std::string(kind)},
                    {"digest", "sha256:" + sha256},
                    {"size", size}};
}

/// Ollama's names for our sampling defaults.
JsonObject ollama_parameters(const StoredBundle& bundle) {
  JsonObject parameters;
  const Json* sampling = bundle.runtime.if_contains("sampling");
  const std::pair<const char*, const char*> kNames[] = {{"temperature", "temperature"},
                                                        {"top_p", "top_p"},
                                                        {"top_k", "top_k"},
                                                        {"min_p", "min_p"},
                                                        {"repetition_penalty", "repeat_penalty"},
                                                        {"max_tokens", "num_predict"}};
  for (const auto& [ours, theirs] : kNames) {
    const Json* value = sampling == nullptr ? nullptr : find(*sampling, ours);
    if (value != nullptr) parameters[theirs] = *value;
  }
  if (const Json* context = bundle.runtime.if_contains("context_length"); context != nullptr) {
    parameters["num_ctx"] = *context;
  }
  return parameters;
}

/// One store of Ollama's, as it lies on disk.
class OllamaWriter {
 public:
  OllamaWriter(Path folder, Copier& copier) : folder_(std::move(folder)), copier_(copier) {}

  Path blob(const std::string& sha256) const { return folder_ / "blobs" / ("sha256-" + sha256); }

  Status put_file(std::string_view kind, const format::SourceFile& file) {
    layers_.push_back(ollama_layer(kind, file.sha256, file.length));
    std::error_code error;
    if (fs::file_size(blob(file.sha256), error) == file.length && !error) return {};
    return copier_.copy(file, blob(file.sha256), true);
  }

  Status put_text(std::string_view kind, const std::string& text) {
    const std::string sha256 = sha256_hex(text);
    layers_.push_back(ollama_layer(kind, sha256, text.size()));
    return copier_.write(blob(sha256), text);
  }

  Status finish(const StoredBundle& bundle, const JsonObject& config) {
    JsonArray ids;
    for (const Json& layer : layers_) ids.push_back(layer.at("digest"));
    JsonObject image = config;
    image["architecture"] = "amd64";
    image["os"] = "linux";
    image["rootfs"] = JsonObject{{"type", "layers"}, {"diff_ids", std::move(ids)}};
    const std::string text = print_json(image);
    BUNDLE_CHECK(copier_.write(blob(sha256_hex(text)), text));
    const Json manifest = JsonObject{{"schemaVersion", 2},
                                     {"mediaType", kOllamaManifest},
                                     {"config", JsonObject{{"mediaType", kOllamaConfig},
                                                           {"digest", "sha256:" + sha256_hex(text)},
                                                           {"size", text.size()}}},
                                     {"layers", layers_}};
    // NAME is Ollama's "library/NAME", NAMESPACE/NAME stays.
    const Path name = bundle.name.find('/') == std::string::npos ? Path("library") / bundle.name
                                                                 : Path(bundle.name);
    const Path file = folder_ / "manifests" / "registry.ollama.ai" / name /
                      (bundle.tag.empty() ? "latest" : bundle.tag);
    BUNDLE_CHECK(make_directories(file.parent_path()));
    return copier_.write(file, print_json(manifest));
  }

 private:
  Path folder_;
  Copier& copier_;
  JsonArray layers_;
};

}  // namespace

Result<ModelExport> export_directory(const Store& store, const StoredBundle& bundle,
                                     const Path& folder, const Progress& progress) {
  std::error_code error;
  if (fs::is_symlink(folder, error) ||
      (fs::exists(folder, error) && !fs::is_empty(folder, error))) {
    return failed("the folder is there already, and not empty", folder.string(), "Name a new one.");
  }
  BUNDLE_CHECK(make_directories(folder));
  Copier copier(progress, total_of(bundle));
  for (const format::SourceFile& file : bundle.model.files()) {
    BUNDLE_CHECK(copier.copy(file, folder / file.name, false));
  }
  BUNDLE_TRY(const std::string signature, model_signature(StorePaths{store.root()}, bundle.digest));
  if (!signature.empty()) BUNDLE_CHECK(copier.write(folder / "model.sig", signature));
  return std::move(copier).made();
}

Result<ModelExport> export_gguf(const StoredBundle& bundle, const Path& file, bool replace,
                                const Progress& progress) {
  BUNDLE_TRY(const format::SourceFile gguf, single_gguf(bundle));
  Copier copier(progress, gguf.length);
  BUNDLE_CHECK(copier.copy(gguf, file, replace));
  return std::move(copier).made();
}

Result<ModelExport> export_ollama(const StoredBundle& bundle, const Path& folder,
                                  const Progress& progress) {
  BUNDLE_TRY(const format::SourceFile gguf, single_gguf(bundle));
  Copier copier(progress, gguf.length);
  OllamaWriter writer(folder, copier);
  BUNDLE_CHECK(make_directories(folder / "blobs"));
  BUNDLE_CHECK(writer.put_file("model", gguf));
  if (const JsonObject parameters = ollama_parameters(bundle); !parameters.empty()) {
    BUNDLE_CHECK(writer.put_text("params", print_json(parameters)));
  }
  for (const format::SourceFile& file : bundle.model.files()) {
    if (file.name.starts_with("LICENSE")) BUNDLE_CHECK(writer.put_file("license", file));
  }
  BUNDLE_TRY(const auto checkpoint, format::Checkpoint::open(bundle.model));
  // Ollama's families are llama.cpp's names of architectures.
  BUNDLE_TRY(const std::string family, checkpoint.gguf()->get_string("general.architecture"));
  BUNDLE_CHECK(writer.finish(
      bundle,
      {{"model_format", "gguf"}, {"model_family", family}, {"model_families", JsonArray{family}}}));
  return std::move(copier).made();
}

}  // namespace bundle::packager
