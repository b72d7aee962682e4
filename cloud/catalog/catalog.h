// The catalogue: models, GPUs and machines with a source and a date for every figure. Compiled in
// as data (data/*.json), and extended or corrected by documents of the same form.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "runtime/sizing/gpu.h"
#include "runtime/sizing/model_shape.h"

namespace bundle::catalog {

/// Where one entry's figures come from.
struct Origin {
  std::string source;
  std::string date;
};

/// A model of the catalogue.
struct ModelEntry {
  std::string name;
  std::string hub_id;
  std::int64_t context_length = 0;
  Json document;  // config, published, computed, checkpoint, source, notes
};

/// A value; thread-safe when const. References stay good as long as the catalogue is not changed.
class Catalog {
 public:
  /// What is compiled in.
  static Result<Catalog> built_in();
  /// That, then the file that `bundle catalog update` keeps and the user's own, when they are
  /// there: BUNDLE_HOME/catalog/{update,local}.json.
  static Result<Catalog> open();

  /// Adds the entries of a document with any of `models`, `gpus` (maps by name) and `instances` (a
  /// list), in the form of data/*.json; an entry of the same name replaces the older one. Nothing
  /// is changed when an entry is malformed: kBadInput names it.
  Status merge(const Json& document, std::string_view where);

  const std::vector<sizing::GpuSpec>& gpus() const { return gpus_; }
  const std::vector<sizing::MachineSpec>& machines() const { return machines_; }
  const std::vector<ModelEntry>& models() const { return models_; }

  /// By id, name or alias ("h200", "H200-141GB"), whatever the case. kNotFound with the nearest.
  Result<const sizing::GpuSpec*> gpu(std::string_view name) const;
  /// By name, hub id or alias ("deepseek-r1", "deepseek-ai/DeepSeek-R1"). kNotFound with the
  /// nearest.
  Result<const ModelEntry*> model(std::string_view name) const;
  /// Null when there is none: no error is made up.
  const ModelEntry* find_model(std::string_view name) const;

  std::vector<std::string> providers() const;

 private:
  std::vector<sizing::GpuSpec> gpus_;
  std::vector<sizing::MachineSpec> machines_;
  std::vector<ModelEntry> models_;
};

/// The shape of a model of the catalogue. kBadInput for an attention that cannot be counted yet.
Result<sizing::ModelShape> shape_of(const ModelEntry& entry);

/// Machines that somebody owns: {"hosts": [{"name", "gpu", "gpus", "count", "network_gbps",
/// "usd_per_hour"}]}. kBadInput names the host at fault; kNotFound for a GPU that is not known.
Result<std::vector<sizing::MachineSpec>> read_inventory(const Json& document,
                                                        const Catalog& catalog,
                                                        std::string_view where);

/// Puts the entries of `more` into `kept`, in place of those of the same name. How many of each
/// list there were: {"models": 2}. `more` has been merged into a catalogue before.
JsonObject join_documents(Json& kept, const Json& more);

/// Where `bundle catalog update` keeps what it was given, and where a user may put his own.
std::string update_file();
std::string local_file();

}  // namespace bundle::catalog
