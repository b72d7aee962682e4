// Layer format 1: the tar files that a bundle is made of, written and read here byte by byte.
// docs/layer-format.md is its text. It is frozen: another byte would be another digest, and every
// bundle would be uploaded again.
//
// A weight layer has one member, whose data starts at byte 4096 of the file, so that the runtime
// maps it from the store in place. What lies before is a ustar header made long by a PAX comment.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace bundle::packager {

/// Where the data of a weight layer's member starts.
inline constexpr std::uint64_t kWeightDataOffset = 4096;

/// Permissions of a member: all that a tar header of ours can say.
inline constexpr unsigned kPlainMode = 0644;
inline constexpr unsigned kProgramMode = 0755;

/// The bytes before the data of a weight layer's member: kWeightDataOffset of them.
std::string weight_header(std::string_view path, std::uint64_t size);

/// The bytes before the data of a member of a layer with many.
std::string member_header(std::string_view path, std::uint64_t size, unsigned mode);

/// Zero bytes that follow `size` bytes of data up to the next block.
std::string member_padding(std::uint64_t size);

/// Zero bytes that end a layer.
std::string layer_end();

/// The size of the whole weight layer for a file of `size` bytes.
std::uint64_t weight_layer_size(std::uint64_t size);

/// Why `path` cannot be a member: relative, canonical, printable UTF-8, at most 512 bytes, and no
/// part of it starts with '-'. An empty text when it can.
std::string member_path_fault(std::string_view path);

/// One member of a layer on this host.
struct TarMember {
  std::string path;
  std::uint64_t offset = 0;  // of the data in the layer
  std::uint64_t size = 0;
  unsigned mode = kPlainMode;
};

/// Reads the headers of a layer, never the data. Strict: what this format does not write (links,
/// devices, other PAX keys, paths that are not canonical or come twice, a size past the end, bytes
/// after the end) is kBadInput.
Result<std::vector<TarMember>> read_layer(const Path& layer);

}  // namespace bundle::packager
