// The compiled server inside a bundle: the program, the shared libraries it needs and their loader,
// so that it runs on any x86-64 Linux whatever that has installed.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "packager/store.h"

namespace bundle::packager {

/// One file of the pack: where it lies now, and its path in the image.
struct PackFile {
  Path host;
  std::string image;  // "runtime/bin/bundle-server", "runtime/lib/libc.so.6"
};

/// The closure of an ELF program: itself, every library that it needs (as the loader would find
/// them, without CPU-specific variants) and the loader. Sorted by `image`. kBadInput when the file
/// is no x86-64 ELF program, kNotFound naming the library that is missing.
Result<std::vector<PackFile>> collect_runtime(const Path& program);

/// What makes that program compute on GPUs: libbundle_cuda.so, where it lies beside the program or
/// in ../lib, NCCL beside that, and what they need that is not in `runtime`, the program's closure.
/// The GPU's driver is the host's. Empty without the backend; errors as above.
Result<std::vector<PackFile>> collect_cuda(const Path& program,
                                           const std::vector<PackFile>& runtime);

/// Whether one of these files of an image is the backend for GPUs.
bool has_cuda(const std::vector<std::string>& files);

/// The command line that starts the packed server, up to its own arguments, when the pack lies
/// under `root`: loader, "--library-path", library folder, program.
std::vector<std::string> runtime_start(const std::string& root);

/// bundle-server beside the running program; kNotFound when there is none.
Result<Path> default_server();

/// Extracts the bundle's runtime layers once into `cache`/<digest> (checked against the digest
/// first) and gives the start of the command line that runs the server in it: loader,
/// "--library-path", library folder, program. kNotFound when the bundle carries no runtime.
Result<std::vector<std::string>> unpack_runtime(const StoredBundle& bundle, const Path& cache);

/// The same into $BUNDLE_HOME/runtime.
Result<std::vector<std::string>> unpack_runtime(const StoredBundle& bundle);

}  // namespace bundle::packager
