#include "cloud/systemd/host_form.h"

#include <algorithm>
#include <filesystem>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/file.h"
#include "base/sha256.h"

namespace bundle::cloud {
namespace {

constexpr std::uint64_t kMostSecretBytes = 1u << 20;
constexpr std::size_t kShortHash = 16;

std::string short_hash(std::string_view text) { return sha256_hex(text).substr(0, kShortHash); }

Error needs_stored_bundle(const std::string& what) {
  return {ErrorCode::kUsage, what + " cannot be kept on a host", "",
          "Make a bundle of it first: bundle build SOURCE --name NAME."};
}

std::string shown_launch(const DeploymentSpec& spec) { return pretty_json(spec.launch); }

/// Moves the model's blobs from the store to the root; each blob is listed once.
Status move_model(const std::string& root, HostForm& form) {
  const std::string store = (bundle_home() / "store" / "blobs" / "sha256").string() + "/";
  Json* model = form.spec.launch.if_contains("model");
  if (model == nullptr || !model->is_array()) return failed("the launch document has no model");
  for (Json& file : model->get_array()) {
    BUNDLE_TRY(const std::string path, get_string(file, "path", "launch document"));
    if (path.starts_with(root + "/")) continue;  // in host form already
    if (!path.starts_with(store)) return needs_stored_bundle("the file " + path);
    const std::string hex = path.substr(store.size());
    const std::string there = root + "/blobs/sha256/" + hex;
    file.get_object()["path"] = there;
    const bool known = std::any_of(form.files.begin(), form.files.end(),
                                   [&](const auto& pair) { return pair.second == there; });
    if (known) continue;
    std::error_code error;
    const std::uint64_t size = std::filesystem::file_size(path, error);
    if (error) return not_found("a blob of the bundle is missing: " + error.message(), path);
    form.files.push_back({{path, hex, size}, there});
  }
  return {};
}

Result<std::string> file_hash(const Path& path) {
  BUNDLE_TRY(const MappedFile file, MappedFile::open(path));
  return sha256_hex(file.bytes());
}

/// Moves the server: every file of its unpacked folder, and the words of its command line.
Status move_server(const std::string& root, HostForm& form) {
  const std::string runtimes = (bundle_home() / "runtime").string() + "/";
  DeploymentSpec& spec = form.spec;
  if (!spec.server.empty() && spec.server.front().starts_with(root + "/runtime/")) return {};
  if (spec.server.empty() || !spec.server.front().starts_with(runtimes)) {
    return needs_stored_bundle("a bundle without a server of its own");
  }
  const std::string& loader = spec.server.front();
  const std::string hex =
      loader.substr(runtimes.size(), loader.find('/', runtimes.size()) - runtimes.size());
  for (std::string& word : spec.server) {
    if (word.starts_with(runtimes)) word = root + "/runtime/" + word.substr(runtimes.size());
  }
  std::error_code error;
  const Path folder = runtimes + hex;
  std::vector<Path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, error)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const Path& path : paths) {
    BUNDLE_TRY(const std::string hash, file_hash(path));
    const std::string there = root + "/runtime/" + path.string().substr(runtimes.size());
    form.files.push_back({{path.string(), hash, std::filesystem::file_size(path, error)}, there});
  }
  if (error) return failed("cannot read the unpacked server: " + error.message(), folder.string());
  return {};
}

/// Moves one small file that few may read, under a name that its content decides.
Status move_file(const std::string& root, const char* kind, std::string& path, HostForm& form) {
  if (path.empty() || path.starts_with(root + "/")) return {};
  BUNDLE_TRY(const std::string text, read_file(path, kMostSecretBytes));
  path = deployment_folder(root, form.spec.name) + "/" + kind + "-" + short_hash(text);
  form.texts.push_back({path, text, "0600"});
  return {};
}

Status move_keys(const std::string& root, HostForm& form) {
  DeploymentSpec& spec = form.spec;
  BUNDLE_CHECK(move_file(root, "keys", spec.api_key_file, form));
  BUNDLE_CHECK(move_file(root, "tls-certificate", spec.tls.certificate, form));
  BUNDLE_CHECK(move_file(root, "tls-key", spec.tls.key, form));
  return move_file(root, "tls-client-ca", spec.tls.client_ca, form);
}

/// A value between double quotes, as systemd.exec(5) reads EnvironmentFile=.
std::string environment_file_value(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (std::string_view("\"\\`$").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out + '"';
}

/// Values lie in one file that root alone reads; the specification keeps their hashes.
Status move_secrets(const std::string& root, HostForm& form) {
  const bool moved =
      std::all_of(form.spec.secrets.begin(), form.spec.secrets.end(),
                  [](const auto& pair) { return pair.second.starts_with("sha256:"); });
  if (moved) return {};
  std::string text;
  for (auto& [name, source] : form.spec.secrets) {
    BUNDLE_TRY(std::string value, read_file(source, kMostSecretBytes));
    while (!value.empty() && value.back() == '\n') value.pop_back();
    if (value.find('\0') != std::string::npos) {
      return bad_input("the secret '" + name + "' holds a zero byte", source);
    }
    text += name + '=' + environment_file_value(value) + '\n';
    source = "sha256:" + short_hash(value);
  }
  form.texts.push_back({secrets_file(form.spec, root), text, "0600"});
  return {};
}

}  // namespace

std::string deployment_folder(const std::string& root, std::string_view deployment) {
  return root + "/deployments/" + std::string(deployment);
}

std::string state_file(const std::string& root, std::string_view deployment) {
  return deployment_folder(root, deployment) + "/state.json";
}

std::string launch_file(const DeploymentSpec& host_spec, const std::string& root) {
  return deployment_folder(root, host_spec.name) + "/launch-" +
         short_hash(shown_launch(host_spec)) + ".json";
}

std::string secrets_file(const DeploymentSpec& host_spec, const std::string& root) {
  if (host_spec.secrets.empty()) return "";
  std::string hashes;
  for (const auto& [name, hash] : host_spec.secrets) hashes += name + '=' + hash + '\n';
  return deployment_folder(root, host_spec.name) + "/secrets-" + short_hash(hashes) + ".env";
}

Result<HostForm> host_form(const DeploymentSpec& spec, const std::string& root) {
  HostForm form{spec, {}, {}};
  BUNDLE_CHECK(move_model(root, form));
  BUNDLE_CHECK(move_server(root, form));
  BUNDLE_CHECK(move_keys(root, form));
  BUNDLE_CHECK(move_secrets(root, form));
  form.texts.push_back({launch_file(form.spec, root), shown_launch(form.spec), "0644"});
  return form;
}

std::vector<std::string> kept_names(const DeploymentSpec& host_spec, const std::string& root) {
  std::vector<std::string> names;
  if (const Json* model = host_spec.launch.if_contains("model");
      model != nullptr && model->is_array()) {
    for (const Json& file : model->get_array()) {
      const auto path = get_string(file, "path", "state");
      if (path) names.push_back(Path(*path).filename().string());
    }
  }
  const std::string runtimes = root + "/runtime/";
  if (!host_spec.server.empty() && host_spec.server.front().starts_with(runtimes)) {
    const std::string rest = host_spec.server.front().substr(runtimes.size());
    names.push_back(rest.substr(0, rest.find('/')));
  }
  return names;
}

}  // namespace bundle::cloud
