#include "packager/source_files.h"

#include <algorithm>

#include <boost/json/object.hpp>

#include "packager/glob.h"
#include "packager/tar_layer.h"
#include "runtime/format/gguf_split.h"
#include "runtime/format/safetensors_index.h"

namespace bundle::packager {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostTemplateBytes = 1u << 20;
constexpr std::string_view kManifestName = "bundle.yaml";

/// What a model's folder may hold beside its weights that a server or a reader of the license
/// needs. Everything else stays where it is: it may be secret.
constexpr std::string_view kUsualFiles[] = {
    "config.json", "*_config.json", "params.json", "*.safetensors.index.json",
    "tokenizer*",  "*tokens*.json", "vocab*",      "merges.txt",
    "tekken.json", "*.tiktoken",    "*.model",     "chat_template*",
    "*.jinja",     "LICENSE*",      "NOTICE*",     "README.md",
};

bool is_usual(std::string_view name) {
  return std::ranges::any_of(kUsualFiles, [&](auto glob) { return matches_glob(glob, name); });
}

bool is_weight_format(std::string_view name) {
  return name.ends_with(".safetensors") || name.ends_with(".gguf");
}

bool lies_in(const Path& path, const Path& folder) {
  const auto [rest, end] = std::ranges::mismatch(folder, path);
  return rest == folder.end();
}

/// A folder that someone else made may hold a link to a secret of the person who builds.
Status check_link(const Path& file, const Path& folder) {
  std::error_code error;
  if (!fs::is_symlink(file, error)) return {};
  const Path target = fs::canonical(file, error);
  if (error) return bad_input("a link that leads nowhere", file.string());
  const Path home = fs::canonical(folder, error);
  // A Hugging Face cache keeps snapshots/REVISION/NAME -> ../../blobs/HASH.
  const Path cache = home.parent_path().parent_path() / "blobs";
  if (lies_in(target, home) || lies_in(target, cache)) return {};
  return bad_input("a link that leads out of the model's folder to " + target.string(),
                   file.string(), "Put the file itself there, or leave it out with 'exclude'.");
}

/// What bundle.yaml says wrongly is bad input, at its place there.
Result<Path> fetched_path(const Manifest& manifest, const FetchSource& fetch) {
  auto fetched = fetch(manifest.model, manifest);
  if (fetched || fetched.error().code != ErrorCode::kUsage) return fetched;
  Error error = std::move(fetched).error();
  error.code = ErrorCode::kBadInput;
  error.where = manifest.model_where;
  return error;
}

Result<Path> model_path(const Path& folder, const Manifest& manifest, const FetchSource& fetch) {
  if (manifest.model.find("://") != std::string::npos) {
    if (fetch) return fetched_path(manifest, fetch);
    return Error{ErrorCode::kUsage, "the model must be fetched first: " + manifest.model,
                 manifest.model_where};
  }
  const Path path = manifest.model.empty() ? folder : folder / manifest.model;
  std::error_code error;
  if (fs::exists(path, error)) return path;
  return not_found("the model '" + path.string() + "' does not exist", manifest.model_where,
                   "Correct 'model' in it, or fetch the model there.");
}

/// The template's text, when the manifest names a file; never a file outside the manifest's folder.
Status load_template(BuildSource& source) {
  Json* value = source.manifest.runtime.if_contains("chat_template");
  if (value == nullptr) return {};
  const std::string text(value->get_string());
  if (text.find('\n') != std::string::npos || text.find("{{") != std::string::npos ||
      text.find("{%") != std::string::npos) {
    return {};
  }
  const std::string where = source.manifest_file.string() + " runtime.chat_template";
  const Path folder = source.manifest_file.parent_path();
  std::error_code error;
  const Path file = fs::canonical(folder / text, error);
  if (error) return not_found("no such file: '" + text + "'", where, "Write a path or a template.");
  if (!lies_in(file, fs::canonical(folder.empty() ? "." : folder, error))) {
    return bad_input("'" + text + "' lies outside the folder of bundle.yaml", where,
                     "Copy the template beside bundle.yaml.");
  }
  BUNDLE_TRY(const std::string content, read_file(file, kMostTemplateBytes));
  *value = content;
  return {};
}

/// The names of the files that hold the weights, as the format's own rules say.
Result<std::vector<std::string>> weight_names(const format::ModelSource& files) {
  const auto ends_with = [](std::string_view suffix) {
    return [suffix](const format::SourceFile& file) { return file.name.ends_with(suffix); };
  };
  if (std::ranges::any_of(files.files(), ends_with(".gguf")) &&
      std::ranges::none_of(files.files(), ends_with(".safetensors"))) {
    return format::gguf_parts(files);
  }
  BUNDLE_TRY(const format::SafetensorsFiles found, format::safetensors_files(files));
  return found.names;
}

Result<ChosenFile> choose(const format::SourceFile& file, const Path& folder, bool is_weight) {
  if (const std::string fault = member_path_fault("models/" + file.name); !fault.empty()) {
    return bad_input("a file's name cannot stand in a bundle: " + fault, folder.string());
  }
  BUNDLE_CHECK(check_link(folder / file.name, folder));
  BUNDLE_TRY(const FileStamp stamp, stamp_file(file.path));
  return ChosenFile{file, stamp, is_weight};
}

std::vector<std::string> names_of(const format::ModelSource& files) {
  std::vector<std::string> names;
  for (const format::SourceFile& file : files.files()) names.push_back(file.name);
  return names;
}

/// Selects among the files of a folder, or takes the one model that a path names.
Result<std::vector<ChosenFile>> choose_files(const Path& path, const Manifest& manifest) {
  BUNDLE_TRY(const format::ModelSource all, format::ModelSource::open(path));
  std::error_code error;
  const bool is_folder = fs::is_directory(path, error);
  std::vector<format::SourceFile> candidates;
  if (is_folder) BUNDLE_CHECK(check_include(manifest.include, names_of(all), path.string()));
  for (const format::SourceFile& file : all.files()) {
    const bool is_wanted =
        !is_folder || (manifest.include.empty() ? is_usual(file.name) || is_weight_format(file.name)
                                                : matches_any(file.name, manifest.include));
    if (is_wanted && !matches_any(file.name, manifest.exclude)) candidates.push_back(file);
  }
  auto weights = weight_names(format::ModelSource(candidates));
  if (!weights) {
    Error failure = std::move(weights).error();
    if (failure.where.empty()) failure.where = path.string();
    return failure;
  }
  const Path folder = is_folder ? path : path.parent_path();
  std::vector<ChosenFile> chosen;
  for (const format::SourceFile& file : candidates) {
    const bool is_weight = std::ranges::find(*weights, file.name) != weights->end();
    if (!is_weight && is_weight_format(file.name)) continue;  // another copy of the same model
    if (!is_folder) {
      // A person named this file: a link to it is meant.
      BUNDLE_TRY(const FileStamp stamp, stamp_file(file.path));
      chosen.push_back({file, stamp, is_weight});
      continue;
    }
    BUNDLE_TRY(ChosenFile one, choose(file, folder, is_weight));
    chosen.push_back(std::move(one));
  }
  return chosen;
}

/// "models--org--name/snapshots/REVISION" is name; any other path its last part.
std::string name_of_path(const Path& path) {
  std::error_code error;
  Path absolute = fs::absolute(path, error).lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  if (absolute.extension() == ".gguf") return normalized_name(absolute.stem().string());
  if (absolute.parent_path().filename() == "snapshots") {
    const std::string repository = absolute.parent_path().parent_path().filename().string();
    const std::size_t dashes = repository.rfind("--");
    if (dashes != std::string::npos) return normalized_name(repository.substr(dashes + 2));
  }
  return normalized_name(absolute.filename().string());
}

/// The manifest that belongs to `source`, or an empty path.
Result<Path> find_manifest(const Path& source) {
  std::error_code error;
  if (!fs::exists(source, error)) return not_found("no such file or folder", source.string());
  if (fs::is_directory(source, error)) {
    const Path file = source / kManifestName;
    return fs::exists(file, error) ? file : Path();
  }
  if (source.extension() == ".yaml" || source.extension() == ".yml") return source;
  if (source.extension() == ".gguf") return Path();
  return bad_input("neither a model's folder, nor a bundle.yaml, nor a .gguf file", source.string(),
                   "Name a folder in Hugging Face layout, a folder with bundle.yaml, or a .gguf "
                   "file.");
}

}  // namespace

bool is_packable(std::string_view name) { return is_usual(name) || is_weight_format(name); }

format::ModelSource BuildSource::model() const {
  std::vector<format::SourceFile> list;
  for (const ChosenFile& chosen : files) list.push_back(chosen.file);
  return format::ModelSource(std::move(list));
}

Result<BuildSource> open_source(const Path& source, const FetchSource& fetch) {
  BuildSource opened;
  BUNDLE_TRY(opened.manifest_file, find_manifest(source));
  Path model = source;
  opened.fallback_name = name_of_path(source);
  if (!opened.manifest_file.empty()) {
    BUNDLE_TRY(opened.manifest, read_manifest(opened.manifest_file));
    const Path folder = opened.manifest_file.parent_path();
    BUNDLE_TRY(model, model_path(folder, opened.manifest, fetch));
    opened.fallback_name = name_of_path(folder.empty() ? "." : folder);
    BUNDLE_CHECK(load_template(opened));
  }
  BUNDLE_TRY(opened.files, choose_files(model, opened.manifest));
  return opened;
}

}  // namespace bundle::packager
