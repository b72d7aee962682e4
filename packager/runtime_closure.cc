// Which files a program needs to run, found as the loader finds them, except that folders for
// newer processors (glibc-hwcaps) are never looked into: the bundle must run on any x86-64 host.
#include <algorithm>
#include <fnmatch.h>
#include <map>

#include "packager/elf.h"
#include "packager/runtime_pack.h"
#include "packager/tar_layer.h"

namespace bundle::packager {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostLibraries = 512;
constexpr std::uint64_t kMostConfBytes = 1u << 20;
constexpr int kMostIncludes = 8;
constexpr const char* kCudaBackend = "libbundle_cuda.so";
constexpr const char* kNccl = "libnccl.so.2";

/// The folders that /etc/ld.so.conf names, in its order; what is unreadable is left out.
void read_conf(const Path& file, std::vector<Path>& folders, int depth);

void read_included(const std::string& pattern, std::vector<Path>& folders, int depth) {
  const Path path = fs::path(pattern).is_absolute() ? Path(pattern) : "/etc" / Path(pattern);
  std::vector<Path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (::fnmatch(path.filename().c_str(), name.c_str(), 0) == 0) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  for (const Path& file : files) read_conf(file, folders, depth + 1);
}

void read_conf(const Path& file, std::vector<Path>& folders, int depth) {
  const auto text = read_file(file, kMostConfBytes);
  if (!text || depth > kMostIncludes) return;
  for (std::string_view rest = *text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string line(rest.substr(0, std::min(rest.find('#'), end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::erase_if(line, [](char c) { return c == '\r' || c == '\t'; });
    line.erase(0, line.find_first_not_of(' '));
    line.erase(line.find_last_not_of(' ') + 1);
    if (line.starts_with("include ")) {
      read_included(line.substr(line.find_first_not_of(' ', 7)), folders, depth);
    } else if (line.starts_with('/')) {
      folders.emplace_back(line);
    }
  }
}

std::vector<Path> system_folders() {
  std::vector<Path> folders;
  read_conf("/etc/ld.so.conf", folders, 0);
  for (const char* folder : {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64",
                             "/usr/lib64", "/lib", "/usr/lib"}) {
    folders.emplace_back(folder);
  }
  return folders;
}

/// Follows what each file needs until nothing new turns up.
class Closure {
 public:
  Result<std::vector<PackFile>> collect(const Path& program) {
    BUNDLE_TRY(const ElfFile elf, read_elf(program));
    if (elf.interpreter.empty()) {
      return bad_input("the program names no loader: it is a library or linked statically",
                       program.string());
    }
    files_["runtime/bin/bundle-server"] = program;
    BUNDLE_CHECK(add_library(Path(elf.interpreter).filename().string(), elf.interpreter));
    BUNDLE_CHECK(follow(elf, program));
    return files();
  }

  /// The closure of libraries that the program loads by itself, without what it has already.
  Result<std::vector<PackFile>> collect(const std::vector<Path>& libraries,
                                        const std::vector<PackFile>& there) {
    for (const PackFile& file : there) files_[file.image] = file.host;
    for (const Path& library : libraries) {
      BUNDLE_CHECK(add_library(library.filename().string(), library));
      BUNDLE_TRY(const ElfFile elf, read_elf(library));
      BUNDLE_CHECK(follow(elf, library));
    }
    for (const PackFile& file : there) files_.erase(file.image);
    return files();
  }

 private:
  std::vector<PackFile> files() const {
    std::vector<PackFile> files;
    for (const auto& [image, host] : files_) files.push_back({host, image});
    return files;
  }

  Status follow(const ElfFile& elf, const Path& wanted_by) {
    for (const std::string& name : elf.needed) {
      if (files_.contains(image_path(name))) continue;
      BUNDLE_TRY(const Path path, locate(name, elf, wanted_by));
      BUNDLE_CHECK(add_library(name, path));
      BUNDLE_TRY(const ElfFile library, read_elf(path));
      BUNDLE_CHECK(follow(library, path));
    }
    return {};
  }

  static std::string image_path(const std::string& name) { return "runtime/lib/" + name; }

  Status add_library(const std::string& name, const Path& path) {
    const bool is_plain = name.find('/') == std::string::npos;
    if (!is_plain || !member_path_fault(image_path(name)).empty()) {
      return bad_input("'" + name + "' is no name of a library", path.string());
    }
    if (files_.size() == kMostLibraries) return bad_input("it needs over 512 libraries", name);
    files_[image_path(name)] = path;
    return {};
  }

  Result<Path> locate(const std::string& name, const ElfFile& elf, const Path& wanted_by) const {
    std::vector<Path> folders(elf.runpath.begin(), elf.runpath.end());
    folders.insert(folders.end(), system_.begin(), system_.end());
    for (const Path& folder : folders) {
      std::error_code error;
      const Path candidate = folder / name;
      if (fs::is_regular_file(candidate, error) && read_elf(candidate)) return candidate;
    }
    return not_found("the library '" + name + "' is not installed", wanted_by.string(),
                     "Install it, or name another runtime with --server.");
  }

  std::vector<Path> system_ = system_folders();
  std::map<std::string, Path> files_;  // path in the image -> on this host
};

}  // namespace

Result<std::vector<PackFile>> collect_runtime(const Path& program) {
  return Closure().collect(program);
}

Result<std::vector<PackFile>> collect_cuda(const Path& program,
                                           const std::vector<PackFile>& runtime) {
  std::error_code error;
  for (const Path& folder : {program.parent_path(), program.parent_path() / "../lib"}) {
    if (!fs::is_regular_file(folder / kCudaBackend, error)) continue;
    std::vector<Path> libraries = {folder / kCudaBackend};
    if (fs::is_regular_file(folder / kNccl, error)) libraries.push_back(folder / kNccl);
    return Closure().collect(libraries, runtime);
  }
  return std::vector<PackFile>();
}

bool has_cuda(const std::vector<std::string>& files) {
  return std::ranges::any_of(
      files, [](const std::string& file) { return Path(file).filename() == kCudaBackend; });
}

}  // namespace bundle::packager
