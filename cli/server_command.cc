#include "cli/server_command.h"

#include "cli/deployment_request.h"
#include "cli/open_model.h"
#include "packager/manifest.h"
#include "packager/runtime_pack.h"
#include "packager/store.h"

namespace bundle::cli {
namespace {

Result<packager::StoredBundle> admitted(const std::string& reference,
                                        const packager::signing::TrustOptions& options) {
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto trust, packager::signing::Trust::load(options));
  BUNDLE_TRY(const packager::FoundBundle found, store.find(reference));
  BUNDLE_CHECK(packager::signing::admit_digest(packager::StorePaths{store.root()}, {found.name},
                                               found.digest, trust));
  BUNDLE_TRY(packager::StoredBundle stored, store.resolve(reference));
  BUNDLE_CHECK(packager::signing::admit(store, stored, trust, {}));
  return stored;
}

Result<ServerCommand> from_store(const std::string& reference,
                                 const packager::signing::TrustOptions& trust) {
  BUNDLE_TRY(const packager::StoredBundle stored, admitted(reference, trust));
  ServerCommand command;
  command.launch.name = stored.name;
  command.launch.content_digest = stored.content_digest;
  command.launch.model = stored.model;
  command.launch.runtime = stored.runtime;
  command.bundle = stored.tag.empty() ? stored.name : stored.name + ":" + stored.tag;
  command.digest = stored.digest;
  for (const char* section : {"resources", "scaling", "env", "secrets"}) {
    if (const Json* value = find(stored.bundle, section)) command.settings[section] = *value;
  }
  auto runtime = packager::unpack_runtime(stored);
  if (!runtime && runtime.error().code != ErrorCode::kNotFound) return runtime.error();
  // A bundle that was built without a runtime is served by the one installed with this program.
  command.program = runtime ? *runtime : std::vector{sibling_program("bundle-server").string()};
  return command;
}

Result<ServerCommand> from_path(const std::string& path) {
  ServerCommand command;
  BUNDLE_TRY(command.launch.model, format::ModelSource::open(path));
  const Path absolute = std::filesystem::absolute(path).lexically_normal();
  const Path leaf = absolute.has_filename() ? absolute : absolute.parent_path();
  command.launch.name = packager::normalized_name(leaf.stem().string());
  if (command.launch.name.empty()) command.launch.name = "model";
  command.bundle = absolute.string();
  command.program = {sibling_program("bundle-server").string()};
  return command;
}

}  // namespace

Path sibling_program(const std::string& name) {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / name;
}

Result<ServerCommand> server_command(const std::string& reference, const JsonObject& overrides,
                                     const std::vector<std::string>& settings,
                                     const packager::signing::TrustOptions& trust) {
  BUNDLE_TRY(ServerCommand command,
             names_a_path(reference) ? from_path(reference) : from_store(reference, trust));
  JsonObject document = command.settings;
  document["runtime"] = command.launch.runtime;
  merge(document, overrides);
  JsonObject set = overrides;
  for (const std::string& assignment : settings) {
    BUNDLE_CHECK(packager::apply_setting(document, assignment));
    BUNDLE_CHECK(packager::apply_setting(set, assignment));
  }
  if (const Json* runtime = set.if_contains("runtime")) command.overrides = runtime->get_object();
  command.launch.runtime = document["runtime"].get_object();
  document.erase("runtime");
  command.settings = std::move(document);
  return command;
}

}  // namespace bundle::cli
