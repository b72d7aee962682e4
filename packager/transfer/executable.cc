#include "packager/transfer/executable.h"

#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/launcher/trailer.h"
#include "packager/stored_bundle.h"
#include "packager/tar_layer.h"
#include "packager/transfer/volumes.h"

namespace bundle::packager {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kKeyDigits = 24;

Result<Path> default_launcher() {
  std::error_code error;
  const Path launcher =
      std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "bundle-launcher";
  if (std::filesystem::is_regular_file(launcher, error)) return launcher;
  return not_found("there is no bundle-launcher beside this program", launcher.string(),
                   "Install both together.");
}

class ExecutableWriter {
 public:
  ExecutableWriter(const StoredBundle& bundle, const Path& file, const Progress& progress)
      : bundle_(bundle), out_(file, 0), progress_(progress) {
    for (const format::SourceFile& one : bundle.model.files()) total_ += one.length;
  }

  Result<ModelExport> write(const Path& launcher, bool replace) {
    BUNDLE_TRY(const std::string stub, read_file(launcher));
    BUNDLE_CHECK(out_.write(stub));
    BUNDLE_CHECK(write_runtime());
    BUNDLE_TRY(const std::string launch, write_model());
    directory_ += fmt::format("launch {}\n{}", launch.size(), launch);
    BUNDLE_CHECK(write_end());
    if (::fchmod(out_.fd(), 0755) != 0) return system_error("cannot make it executable");
    BUNDLE_CHECK(out_.commit(replace));
    return ModelExport{out_.names(), out_.written()};
  }

 private:
  Status pad() { return out_.write(std::string((kPage - out_.written() % kPage) % kPage, '\0')); }

  Result<std::uint64_t> copy(const Path& from, std::uint64_t offset, std::uint64_t length) {
    BUNDLE_CHECK(pad());
    const std::uint64_t start = out_.written();
    const Fd fd(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return system_error("cannot open a blob", from.string());
    BUNDLE_CHECK(out_.copy(fd.get(), offset, length, from, [this](std::uint64_t more) {
      done_ += more;
      return !progress_ || progress_("exporting", std::min(done_, total_), total_);
    }));
    return start;
  }

  Status write_runtime() {
    std::string digests;
    for (const StoredLayer& layer : bundle_.layers) {
      if (layer.role != LayerRole::kRuntime) continue;
      digests += layer.descriptor.digest;
      BUNDLE_TRY(const auto members, read_layer(layer.blob));
      for (const TarMember& member : members) {
        total_ += member.size;
        BUNDLE_TRY(const std::uint64_t at, copy(layer.blob, member.offset, member.size));
        directory_ +=
            fmt::format("file {:o} {} {} {}\n", member.mode, at, member.size, member.path);
      }
    }
    key_ = sha256_hex(digests).substr(0, kKeyDigits);
    if (!digests.empty()) return {};
    return Error{ErrorCode::kUsage, "the bundle carries no runtime", bundle_.name,
                 "Build it without --no-runtime."};
  }

  /// A launch document (runtime/launch/contract.h) whose files lie in this one.
  Result<std::string> write_model() {
    std::vector<format::SourceFile> files;
    for (const format::SourceFile& file : bundle_.model.files()) {
      BUNDLE_TRY(const std::uint64_t at, copy(file.path, file.offset, file.length));
      files.push_back({file.name, kSelfMark, at, file.length, file.sha256});
    }
    return print_json(JsonObject{{"version", 1},
                                 {"name", bundle_.name},
                                 {"content_digest", bundle_.content_digest},
                                 {"model", format::ModelSource(std::move(files)).to_json()},
                                 {"runtime", bundle_.runtime}});
  }

  Status write_end() {
    Trailer trailer;
    BUNDLE_CHECK(pad());
    trailer.directory_offset = out_.written();
    trailer.directory_size = directory_.size();
    std::memcpy(trailer.key, key_.data(), key_.size());
    std::memcpy(trailer.magic, kTrailerMagic, sizeof trailer.magic);
    BUNDLE_CHECK(out_.write(directory_));
    return out_.write({reinterpret_cast<const char*>(&trailer), sizeof trailer});
  }

  const StoredBundle& bundle_;
  VolumeWriter out_;
  const Progress& progress_;
  std::uint64_t total_ = 0;
  std::uint64_t done_ = 0;
  std::string directory_;
  std::string key_;
};

}  // namespace

Result<ModelExport> export_executable(const StoredBundle& bundle, const Path& file,
                                      const Path& launcher, bool replace,
                                      const Progress& progress) {
  Path front = launcher;
  if (front.empty()) {
    BUNDLE_TRY(front, default_launcher());
  }
  return ExecutableWriter(bundle, file, progress).write(front, replace);
}

}  // namespace bundle::packager
