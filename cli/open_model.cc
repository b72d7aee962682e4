#include "cli/open_model.h"

#include "packager/store.h"

namespace bundle::cli {

bool names_a_path(const std::string& reference) {
  return reference.find('/') != std::string::npos || reference.ends_with(".gguf") ||
         reference == "." || reference == "..";
}

Result<format::ModelSource> model_source(const std::string& reference) {
  if (names_a_path(reference)) return format::ModelSource::open(reference);
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  BUNDLE_TRY(packager::StoredBundle stored, store.resolve(reference));
  return std::move(stored.model);
}

Result<format::Checkpoint> open_checkpoint(const std::string& reference) {
  BUNDLE_TRY(format::ModelSource source, model_source(reference));
  return format::Checkpoint::open(std::move(source));
}

Result<JsonObject> runtime_section(const std::string& reference) {
  if (names_a_path(reference)) return JsonObject();
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  BUNDLE_TRY(packager::StoredBundle stored, store.resolve(reference));
  return std::move(stored.runtime);
}

}  // namespace bundle::cli
