#include "cli/size_model.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "cli/open_model.h"
#include "packager/manifest.h"
#include "packager/store.h"

namespace bundle::cli {
namespace {

/// What the runtime loads, beside the published form.
constexpr const char* kServed[] = {"bf16", "fp8", "q8_0", "q4_k_m"};

/// The stored type with most bytes names the format.
void name_format(sizing::SizedModel& model) {
  std::uint64_t most = 0;
  for (const auto& [type, total] : sizing::totals_by_type(model.parts)) {
    if (total.bytes <= most) continue;
    most = total.bytes;
    model.shape.format.type = type;
    model.shape.format.name = std::string(type);
  }
  std::transform(model.shape.format.name.begin(), model.shape.format.name.end(),
                 model.shape.format.name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
}

Result<SizeInput> from_config(const Json& config, const std::string& name) {
  SizeInput input;
  input.source = "config.json";
  BUNDLE_TRY(input.model.shape, sizing::shape_of_config(config, name));
  BUNDLE_TRY(input.model.parts, sizing::predicted_parts(input.model.shape));
  input.context_length = input.model.shape.config.max_positions;
  return input;
}

std::uint64_t elements_of(const std::vector<sizing::WeightPart>& parts) {
  std::uint64_t elements = 0;
  for (const sizing::WeightPart& part : parts) elements += part.prediction ? 0 : part.elements;
  return elements;
}

/// Refuses files that hold much less than the configuration describes: another model's, or a part.
Status check_complete(const sizing::SizedModel& model, const std::string& where) {
  sizing::ModelShape plain = model.shape;
  plain.format = {};
  const auto predicted = sizing::predicted_parts(plain);
  if (!predicted) return {};
  const std::uint64_t here = elements_of(model.parts);
  const std::uint64_t all = elements_of(*predicted);
  if (static_cast<double>(here) >= 0.95 * static_cast<double>(all)) return {};
  return bad_input("its files hold " + std::to_string(here) + " parameters of the " +
                       std::to_string(all) + " that its configuration describes",
                   model.shape.name + " (" + where + ")",
                   "Are all shards and their index here, and of this model?");
}

/// Tensors that are here, and the configuration beside them.
Result<SizeInput> from_weights(format::ModelSource source, const std::string& name,
                               const std::string& kind) {
  const format::SourceFile* config_file = source.find("config.json");
  std::optional<sizing::ModelShape> shape;
  if (config_file != nullptr) {
    BUNDLE_TRY(const std::string text, source.read("config.json"));
    BUNDLE_TRY(const Json config, parse_json(text, "config.json"));
    // A vocabulary that only the tensors know is read below.
    if (find(config, "vocab_size") != nullptr) {
      BUNDLE_TRY(shape, sizing::shape_of_config(config, name));
    }
  }
  BUNDLE_TRY(const format::Checkpoint checkpoint, format::Checkpoint::open(std::move(source)));
  SizeInput input;
  input.source = kind;
  if (shape) {
    input.model.shape = std::move(*shape);
  } else {
    input.model.shape.name = name;
    BUNDLE_TRY(input.model.shape.config, format::read_model_config(checkpoint));
  }
  input.model.parts = sizing::stored_parts(checkpoint, input.model.shape.config);
  if (!shape) name_format(input.model);
  BUNDLE_CHECK(check_complete(input.model, kind));
  input.context_length = input.model.shape.config.max_positions;
  return input;
}

bool has_weights(const format::ModelSource& source) {
  return std::any_of(source.files().begin(), source.files().end(), [](const auto& file) {
    return file.name.ends_with(".safetensors") || file.name.ends_with(".gguf");
  });
}

Result<SizeInput> from_folder(const Path& folder) {
  const Path manifest_file = folder / "bundle.yaml";
  if (std::filesystem::exists(manifest_file)) {
    BUNDLE_TRY(const packager::Manifest manifest, packager::read_manifest(manifest_file));
    const Path model = folder / (manifest.model.empty() ? "." : manifest.model);
    if (model.lexically_normal() != folder.lexically_normal() && model != folder / ".") {
      BUNDLE_TRY(format::ModelSource source, format::ModelSource::open(model));
      return from_weights(std::move(source), manifest.name, "folder");
    }
  }
  BUNDLE_TRY(format::ModelSource source, format::ModelSource::open(folder));
  const std::string name = std::filesystem::absolute(folder).lexically_normal().filename().string();
  if (has_weights(source)) return from_weights(std::move(source), name, "folder");
  BUNDLE_TRY(const std::string text, source.read("config.json"));
  BUNDLE_TRY(const Json config, parse_json(text, (folder / "config.json").string()));
  return from_config(config, name);
}

Result<SizeInput> from_path(const std::string& path) {
  if (std::filesystem::is_directory(path)) return from_folder(path);
  if (path.ends_with(".json")) {
    BUNDLE_TRY(const Json config, read_json_file(path, 1u << 20));
    return from_config(config, Path(path).stem().string());
  }
  BUNDLE_TRY(format::ModelSource source, format::ModelSource::open(path));
  return from_weights(std::move(source), Path(path).stem().string(), "GGUF file");
}

/// Publishers name quantized copies of a model by a suffix.
struct Suffix {
  std::string_view text;
  const char* format;
};
constexpr Suffix kSuffixes[] = {{"-fp8", "fp8"},  {"-gptq-int4", "int4"}, {"-int4", "int4"},
                                {"-awq", "int4"}, {"-nvfp4", "nvfp4"},    {"-fp4", "nvfp4"}};

/// The suffix that `name` ends in, or null.
const Suffix* suffix_of(const std::string& name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto* at = std::find_if(std::begin(kSuffixes), std::end(kSuffixes),
                                [&](const Suffix& suffix) { return lower.ends_with(suffix.text); });
  return at == std::end(kSuffixes) ? nullptr : at;
}

/// The entry of a name, or of the name without the suffix of a quantized copy.
const catalog::ModelEntry* entry_of(const catalog::Catalog& catalog, const std::string& name) {
  if (const auto* entry = catalog.find_model(name)) return entry;
  const Suffix* suffix = suffix_of(name);
  if (suffix == nullptr) return nullptr;
  return catalog.find_model(name.substr(0, name.size() - suffix->text.size()));
}

Result<SizeInput> from_entry(const catalog::ModelEntry& entry, const std::string& reference) {
  SizeInput input;
  input.source = "catalogue";
  BUNDLE_TRY(input.model.shape, catalog::shape_of(entry));
  const Suffix* suffix = suffix_of(reference);
  if (suffix != nullptr && suffix_of(entry.name) == nullptr) {
    BUNDLE_TRY(input.model.shape.format, sizing::weight_format(suffix->format));
    input.model.shape.name = entry.name + " as " + suffix->format;
  }
  BUNDLE_TRY(input.model.parts, sizing::predicted_parts(input.model.shape));
  input.context_length =
      entry.context_length > 0 ? entry.context_length : input.model.shape.config.max_positions;
  return input;
}

bool is_path(const std::string& reference) {
  return names_a_path(reference) || reference.ends_with(".json");
}

}  // namespace

Result<SizeInput> size_input(const std::string& reference, const catalog::Catalog& catalog) {
  const bool exists = std::filesystem::exists(reference);
  if (exists && is_path(reference)) return from_path(reference);
  if (const auto store = packager::Store::open()) {
    if (auto bundle = store->resolve(reference)) {
      return from_weights(std::move(bundle->model), reference, "bundle");
    }
  }
  if (const auto* entry = entry_of(catalog, reference)) return from_entry(*entry, reference);
  if (exists) return from_path(reference);
  if (is_path(reference) && reference.find('/') == std::string::npos) {
    return not_found("no such file", reference);
  }
  BUNDLE_TRY(const auto* unused, catalog.model(reference));
  (void)unused;
  return not_found("no such model", reference);
}

Result<std::vector<sizing::SizedModel>> in_formats(const SizeInput& input,
                                                   const std::vector<std::string>& names) {
  std::vector<sizing::SizedModel> models;
  if (names.empty()) {
    models.push_back(input.model);
    return models;
  }
  std::vector<std::string> wanted;
  for (const std::string& name : names) {
    if (name == "any") {
      models.push_back(input.model);
      wanted.insert(wanted.end(), std::begin(kServed), std::end(kServed));
    } else {
      wanted.push_back(name);
    }
  }
  for (const std::string& name : wanted) {
    if (name == input.model.shape.format.name) {
      if (models.empty()) models.push_back(input.model);
      continue;
    }
    sizing::SizedModel model{input.model.shape, {}};
    BUNDLE_TRY(model.shape.format, sizing::weight_format(name));
    BUNDLE_TRY(model.parts, sizing::predicted_parts(model.shape));
    models.push_back(std::move(model));
  }
  return models;
}

}  // namespace bundle::cli
