#include "packager/build.h"

#include <algorithm>
#include <optional>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "base/text.h"
#include "packager/documents.h"
#include "packager/hash_cache.h"
#include "packager/layer_writer.h"
#include "packager/manifests.h"
#include "packager/model_facts.h"
#include "packager/modelcar_shell.h"
#include "packager/oci.h"
#include "packager/quantize/quantized_source.h"
#include "packager/runtime_pack.h"
#include "packager/source_files.h"
#include "packager/store_index.h"
#include "packager/stored_bundle.h"
#include "packager/write_session.h"
#include "runtime/format/required_tensors.h"
#include "runtime/format/weight_scales.h"

namespace bundle::packager {
namespace {

constexpr std::uint64_t kBigLayer = 10'000'000'000;  // some registries refuse larger ones
constexpr std::size_t kManyLayers = 120;             // container runtimes stack up to about 127
constexpr std::uint64_t kMostConfigBytes = 128u << 20;

struct BundleName {
  std::string name;
  std::string tag;
};

/// What is known before anything is written.
struct Plan {
  BuildSource source;
  ModelFacts facts;
  BundleName name;
  std::vector<PackFile> runtime;
  std::vector<PackFile> cuda;
  std::optional<LayerPlan> shell;
  std::optional<quantize::Quantization> quantization;
  std::optional<format::Checkpoint> published;  // what is to be quantized
};

/// Tells of all layers together; the total is known before the first byte is read.
class Meter {
 public:
  Meter(const Progress& progress, std::uint64_t total) : progress_(progress), total_(total) {}

  bool add(std::string_view stage, std::uint64_t more) {
    done_ += more;
    return !progress_ || progress_(stage, std::min(done_, total_), total_);
  }

 private:
  const Progress& progress_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
};

/// File names that say nothing about the model in them.
bool is_generic(std::string_view name) {
  return name.empty() || name == "model" || name == "models" || name.starts_with("ggml-model");
}

Result<BundleName> choose_name(const BuildSource& source, const ModelFacts& facts,
                               const std::string& wanted) {
  BundleName chosen{source.manifest.name, source.manifest.version};
  if (!wanted.empty()) {
    BUNDLE_TRY(const Reference reference, parse_reference(wanted));
    if (!reference.digest.empty()) {
      return Error{ErrorCode::kUsage, "'" + wanted + "' names a digest, not a bundle to make"};
    }
    chosen.name = reference.name;
    if (!reference.tag.empty()) chosen.tag = reference.tag;
  }
  if (chosen.name.empty()) {
    const std::string own = normalized_name(facts.title);
    chosen.name = is_generic(source.fallback_name) && !own.empty() ? own : source.fallback_name;
  }
  if (chosen.name.empty()) {
    return Error{ErrorCode::kUsage, "the source has no name that a bundle could have", "",
                 "Give one with --name NAME."};
  }
  if (chosen.tag.empty()) chosen.tag = kDefaultTag;
  if (is_variant_tag(chosen.tag)) {
    return Error{ErrorCode::kUsage, "the tag '" + chosen.tag + "' would name a variant", "",
                 "Choose one that does not end in -cpu, -cuda or -modelpack."};
  }
  return chosen;
}

/// Opens the model whole, as it is published or as it has become.
Result<format::Checkpoint> open_model(Plan& plan) {
  BUNDLE_TRY(auto checkpoint, format::Checkpoint::open(plan.source.model()));
  BUNDLE_TRY(auto config, format::read_model_config(checkpoint));
  BUNDLE_CHECK(format::check_required_tensors(checkpoint, config));
  BUNDLE_CHECK(format::check_finite_scales(checkpoint));
  plan.facts = model_facts(checkpoint, std::move(config));
  return checkpoint;
}

/// Opens and checks everything that the bundle will hold. Writes nothing.
Result<Plan> make_plan(const Path& path, const BuildOptions& options) {
  Plan plan;
  BUNDLE_TRY(plan.source, open_source(path, options.fetch));
  if (!options.quantize.empty()) plan.source.manifest.quantize = options.quantize;
  BUNDLE_TRY(auto checkpoint, open_model(plan));
  if (options.check) {
    BUNDLE_CHECK(options.check(plan.source.model(), plan.source.manifest.runtime));
  }
  if (const std::string& wanted = plan.source.manifest.quantize; !wanted.empty()) {
    BUNDLE_TRY(plan.quantization, quantize::parse_quantization(wanted));
    plan.published = std::move(checkpoint);
  }
  BUNDLE_TRY(plan.name, choose_name(plan.source, plan.facts, options.name));
  if (!options.shell.empty()) {
    BUNDLE_TRY(plan.shell, shell_plan(options.shell));
  }
  if (options.with_runtime) {
    Path server = options.server;
    if (server.empty()) {
      BUNDLE_TRY(server, default_server());
    }
    BUNDLE_TRY(plan.runtime, collect_runtime(server));
    if (options.with_cuda) {
      BUNDLE_TRY(plan.cuda, collect_cuda(server, plan.runtime));
    }
  }
  return plan;
}

LayerPlan weight_plan(const ChosenFile& chosen) {
  return {LayerRole::kWeights,
          {{std::string(kModelsFolder) + chosen.file.name,
            kPlainMode,
            {},
            chosen.file.path,
            chosen.stamp}}};
}

/// The small files, read once: what is hashed for bundle.json is what the layer holds.
Result<std::vector<LayerMember>> config_members(const BuildSource& source) {
  std::vector<LayerMember> members;
  std::uint64_t left = kMostConfigBytes;
  for (const ChosenFile& chosen : source.files) {
    if (chosen.is_weight) continue;
    if (chosen.stamp.size > left) {
      return bad_input("the files beside the weights are larger than " +
                           human_bytes(kMostConfigBytes) + " together",
                       chosen.file.path.string(), "Leave some out with 'exclude'.");
    }
    left -= chosen.stamp.size;
    BUNDLE_TRY(std::string text, read_file(chosen.file.path, chosen.stamp.size));
    members.push_back({std::string(kModelsFolder) + chosen.file.name, kPlainMode, std::move(text)});
  }
  return members;
}

/// Writes one bundle within a session.
class Builder {
 public:
  Builder(const Plan& plan, WriteSession& session, const Progress& progress)
      : plan_(plan),
        session_(session),
        cache_(HashCache::load(session.paths())),
        meter_(progress, total_bytes()) {}

  Result<BuildResult> run() {
    parts_.manifest = plan_.source.manifest;
    parts_.facts = plan_.facts;
    BUNDLE_TRY(std::vector<LayerMember> small, config_members(plan_.source));
    BUNDLE_CHECK(write_weights());
    BUNDLE_TRY(const auto runtime, write_runtime(plan_.runtime));
    BUNDLE_TRY(const auto cuda, write_runtime(plan_.cuda));
    parts_.cuda = cuda.has_value();
    note_small_files(small);
    BUNDLE_CHECK(write_config(std::move(small)));
    BUNDLE_CHECK(write_shell());
    // On top, so that a new server replaces the last layer and no container stacks weights anew.
    if (runtime) note_layer(*runtime, LayerRole::kRuntime, image_paths(plan_.runtime));
    if (cuda) note_layer(*cuda, LayerRole::kRuntime, image_paths(plan_.cuda));
    BUNDLE_TRY(const BundleManifests manifests,
               write_manifests(parts_, content_digest_, layers_,
                               [this](std::string_view media_type, const Json& document) {
                                 return put(media_type, document);
                               }));
    BUNDLE_CHECK(
        session_.tag(plan_.name.name, plan_.name.tag, manifests.index, manifests.variants));
    return finish(manifests.index);
  }

 private:
  std::uint64_t total_bytes() const {
    std::uint64_t total = 0;
    for (const ChosenFile& chosen : plan_.source.files) {
      if (chosen.is_weight) total += chosen.stamp.size;
    }
    return total;
  }

  static std::vector<std::string> image_paths(const std::vector<PackFile>& files) {
    std::vector<std::string> paths;
    for (const PackFile& file : files) paths.push_back(file.image);
    return paths;
  }

  ByteMeter meter() {
    return [this](std::string_view stage, std::uint64_t more) { return meter_.add(stage, more); };
  }

  Status write_weights() {
    for (const ChosenFile& chosen : plan_.source.files) {
      if (!chosen.is_weight) continue;
      const LayerPlan plan = weight_plan(chosen);
      BUNDLE_TRY(const WrittenLayer layer, write_layer(plan, session_, cache_, meter()));
      // Now, so that an interrupted build need not read the file again; losing it only costs time.
      (void)cache_.save(session_.paths());
      parts_.files.push_back(
          {chosen.file.name, chosen.stamp.size, layer.sha256.front(), layer.descriptor.digest});
      note_layer(layer, LayerRole::kWeights, {plan.members.front().path});
    }
    return {};
  }

  static bool silent(std::string_view, std::uint64_t) { return true; }

  Status write_shell() {
    if (!plan_.shell) return {};
    BUNDLE_TRY(const WrittenLayer layer, write_layer(*plan_.shell, session_, cache_, silent));
    std::vector<std::string> paths;
    for (const LayerMember& member : plan_.shell->members) paths.push_back(member.path);
    note_layer(layer, LayerRole::kShell, std::move(paths));
    return {};
  }

  Result<std::optional<WrittenLayer>> write_runtime(const std::vector<PackFile>& files) {
    if (files.empty()) return std::optional<WrittenLayer>();
    BUNDLE_TRY(const LayerPlan plan, runtime_plan(files));
    BUNDLE_TRY(WrittenLayer layer, write_layer(plan, session_, cache_, silent));
    parts_.runtime_layers.push_back(layer.descriptor);
    parts_.start = runtime_start("");
    return std::optional(std::move(layer));
  }

  void note_small_files(const std::vector<LayerMember>& members) {
    for (const LayerMember& member : members) {
      parts_.files.push_back({member.path.substr(kModelsFolder.size()), member.text.size(),
                              sha256_hex(member.text), ""});
    }
    std::ranges::sort(parts_.files, {}, &BundleFile::name);
  }

  Status write_config(std::vector<LayerMember> members) {
    const std::string bundle = pretty_json(bundle_document(parts_));
    content_digest_ = "sha256:" + sha256_hex(bundle);
    const std::string launch = pretty_json(launch_document(parts_, content_digest_));
    members.push_back({std::string(kBundleJson), kPlainMode, bundle});
    members.push_back({std::string(kLaunchJson), kPlainMode, launch});
    std::ranges::sort(members, {}, &LayerMember::path);
    std::vector<std::string> paths;
    for (const LayerMember& member : members) paths.push_back(member.path);
    const LayerPlan plan{LayerRole::kConfig, std::move(members)};
    BUNDLE_TRY(const WrittenLayer layer, write_layer(plan, session_, cache_, meter()));
    note_layer(layer, LayerRole::kConfig, std::move(paths));
    return {};
  }

  void note_layer(const WrittenLayer& layer, LayerRole role, std::vector<std::string> files) {
    result_.layers.push_back({layer.descriptor.digest, layer.descriptor.size,
                              layer.descriptor.media_type, role_name(role), files, layer.reused});
    layers_.push_back({layer.descriptor, role, {}, std::move(files)});
  }

  Result<Descriptor> put(std::string_view media_type, const Json& document) {
    BUNDLE_TRY(Descriptor blob, session_.put(media_type, print_json(document)));
    result_.size += blob.size;
    return blob;
  }

  BuildResult finish(const Descriptor& index) {
    result_.name = plan_.name.name;
    result_.tag = plan_.name.tag;
    result_.digest = index.digest;
    result_.content_digest = content_digest_;
    for (const BuiltLayer& layer : result_.layers) {
      result_.size += layer.size;
      if (layer.size > kBigLayer) {
        result_.warnings.push_back("The layer of " + layer.files.front() + " has " +
                                   human_bytes(layer.size) +
                                   ": some registries refuse layers over 10 GB.");
      }
    }
    if (layers_.size() > kManyLayers) {
      result_.warnings.push_back("The image has " + std::to_string(layers_.size()) +
                                 " layers: some container runtimes stop at 127. The store and "
                                 "'bundle serve' have no such limit.");
    }
    return std::move(result_);
  }

  const Plan& plan_;
  WriteSession& session_;
  HashCache cache_;
  Meter meter_;
  BundleParts parts_;
  std::string content_digest_;
  std::vector<StoredLayer> layers_;
  BuildResult result_;
};

/// Puts the quantized files in the place of the published ones.
Result<quantize::QuantizedSource> quantize_weights(Plan& plan, const WriteSession& session,
                                                   const Progress& progress) {
  BUNDLE_TRY(auto made, quantize::quantize_source(plan.source, *plan.published, plan.facts.config,
                                                  *plan.quantization, session, progress));
  plan.source.files = made.chosen;
  BUNDLE_TRY([[maybe_unused]] const auto checked, open_model(plan));
  return made;
}

Status report_quality(const Plan& plan, const MeasureQuality& measure, WriteSession& session,
                      BuildResult& result) {
  auto report = measure(plan.published->source(), plan.source.model());
  if (!report) {
    if (report.error().code == ErrorCode::kInterrupted) return std::move(report).error();
    result.warnings.push_back("There is no report on quality: " + report.error().message());
    return {};
  }
  report->as_object()["quantize"] = plan.source.manifest.quantize;
  BUNDLE_TRY(const Descriptor index,
             describe_blob(session.paths(), oci::kIndexType, result.digest));
  BUNDLE_CHECK(attach_quality(session, index, *report));
  result.quality = std::move(*report);
  return {};
}

Result<BuildResult> build_in_session(Plan& plan, const MeasureQuality& measure,
                                     const StorePaths& paths, const Progress& progress) {
  BUNDLE_TRY(WriteSession session, WriteSession::begin(paths));
  if (!plan.quantization) return Builder(plan, session, progress).run();
  BUNDLE_TRY([[maybe_unused]] const auto files, quantize_weights(plan, session, progress));
  BUNDLE_TRY(BuildResult result, Builder(plan, session, progress).run());
  if (measure) BUNDLE_CHECK(report_quality(plan, measure, session, result));
  return result;
}

}  // namespace

Result<BuildResult> build(const Path& source, Store& store, const BuildOptions& options,
                          const Progress& progress) {
  BUNDLE_TRY(Plan plan, make_plan(source, options));
  auto result = build_in_session(plan, options.measure, StorePaths{store.root()}, progress);
  // What was written stays only for a build that is going to go on.
  if (!result && result.error().code != ErrorCode::kInterrupted) (void)store.collect_blobs();
  return result;
}

Json to_json(const BuildResult& result) {
  JsonArray layers;
  for (const BuiltLayer& layer : result.layers) {
    JsonArray files;
    for (const std::string& file : layer.files) files.emplace_back(file);
    layers.push_back(JsonObject{{"digest", layer.digest},
                                {"size", static_cast<std::int64_t>(layer.size)},
                                {"media_type", layer.media_type},
                                {"role", layer.role},
                                {"reused", layer.reused},
                                {"files", std::move(files)}});
  }
  JsonArray warnings;
  for (const std::string& warning : result.warnings) warnings.emplace_back(warning);
  JsonObject document{{"name", result.name},
                      {"tag", result.tag},
                      {"digest", result.digest},
                      {"content_digest", result.content_digest},
                      {"size", static_cast<std::int64_t>(result.size)},
                      {"layers", std::move(layers)},
                      {"warnings", std::move(warnings)}};
  if (!result.quality.is_null()) document["quality"] = result.quality;
  return document;
}

}  // namespace bundle::packager
