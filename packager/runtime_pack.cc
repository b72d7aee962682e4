#include "packager/runtime_pack.h"

#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sha256.h"
#include "packager/store_files.h"
#include "packager/tar_layer.h"

namespace bundle::packager {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLoader = "/runtime/lib/ld-linux-x86-64.so.2";
constexpr std::string_view kLibraries = "/runtime/lib";
constexpr std::string_view kProgram = "/runtime/bin/bundle-server";
constexpr std::string_view kUnfinished = "unfinished-";

/// What a killed process left; only under the lock.
void clear_unfinished(const Path& cache) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(cache, error)) {
    std::error_code ignored;
    if (entry.path().filename().string().starts_with(kUnfinished)) {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

Status extract_member(const Bytes layer, const TarMember& member, const Path& folder) {
  if (!member.path.starts_with("runtime/")) {
    return bad_input("the runtime layer holds '" + member.path + "'");
  }
  const Path target = folder / member.path;
  BUNDLE_CHECK(make_directories(target.parent_path()));
  const Fd file(::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return system_error("cannot create a file", target.string());
  BUNDLE_CHECK(
      write_all(file.get(), as_text(layer.subspan(member.offset, member.size)), target.string()));
  if (::fchmod(file.get(), member.mode) != 0 || ::fsync(file.get()) != 0) {
    return system_error("cannot write a file", target.string());
  }
  return {};
}

/// Checks the whole layer against its digest, and writes its members from that same map.
Status extract_layer(const StoredLayer& layer, const Path& folder) {
  BUNDLE_TRY(const std::vector<TarMember> members, read_layer(layer.blob));
  BUNDLE_TRY(const MappedFile map, MappedFile::open(layer.blob));
  if ("sha256:" + sha256_hex(map.bytes()) != layer.descriptor.digest) {
    return bad_input("the runtime layer does not have the digest that names it",
                     layer.blob.string(), "The bundle is damaged: build it again.");
  }
  for (const TarMember& member : members) {
    if (member.size > map.bytes().size() || member.offset > map.bytes().size() - member.size) {
      return bad_input("the runtime layer is cut short", layer.blob.string());
    }
    BUNDLE_CHECK(extract_member(map.bytes(), member, folder));
  }
  return {};
}

Status extract_layers(const std::vector<StoredLayer>& layers, const Path& cache,
                      const Path& target) {
  std::string name = (cache / (std::string(kUnfinished) + "XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) return system_error("cannot create a folder", name);
  ::chmod(name.c_str(), 0755);
  Status done;
  for (const StoredLayer& layer : layers) {
    if (done) done = extract_layer(layer, name);
  }
  if (done && ::rename(name.c_str(), target.c_str()) != 0) {
    done = system_error("cannot rename a folder into place", target.string());
  }
  std::error_code ignored;
  if (!done) fs::remove_all(name, ignored);
  return done;
}

std::vector<StoredLayer> runtime_layers(const StoredBundle& bundle) {
  std::vector<StoredLayer> layers;
  for (const StoredLayer& layer : bundle.layers) {
    if (layer.role == LayerRole::kRuntime) layers.push_back(layer);
  }
  return layers;
}

/// One folder for each set of layers: bundles with the same runtime share it.
std::string folder_name(const std::vector<StoredLayer>& layers) {
  if (layers.size() == 1) return layers.front().descriptor.digest.substr(7);
  std::string digests;
  for (const StoredLayer& layer : layers) digests += layer.descriptor.digest + '\n';
  return sha256_hex(digests);
}

}  // namespace

std::vector<std::string> runtime_start(const std::string& root) {
  const std::string base = root.ends_with('/') ? root.substr(0, root.size() - 1) : root;
  return {base + std::string(kLoader), "--library-path", base + std::string(kLibraries),
          base + std::string(kProgram)};
}

Result<Path> default_server() {
  std::error_code error;
  const Path self = fs::read_symlink("/proc/self/exe", error);
  const Path server = self.parent_path() / "bundle-server";
  if (!error && fs::is_regular_file(server, error)) return server;
  return not_found("there is no bundle-server beside this program", server.string(),
                   "Install both together, or name the runtime with --server.");
}

Result<std::vector<std::string>> unpack_runtime(const StoredBundle& bundle, const Path& cache) {
  const std::vector<StoredLayer> layers = runtime_layers(bundle);
  if (layers.empty()) return not_found("the bundle carries no runtime", bundle.name);
  std::error_code error;
  const Path root = fs::absolute(cache, error) / folder_name(layers);
  if (!fs::exists(root, error)) {
    BUNDLE_CHECK(make_directories(cache));
    BUNDLE_TRY(const FileLock lock, FileLock::exclusive(cache / ".lock"));
    clear_unfinished(cache);
    if (!fs::exists(root, error)) BUNDLE_CHECK(extract_layers(layers, cache, root));
  }
  return runtime_start(root.string());
}

Result<std::vector<std::string>> unpack_runtime(const StoredBundle& bundle) {
  return unpack_runtime(bundle, bundle_home() / "runtime");
}

}  // namespace bundle::packager
