// GGUF's binary form (version 3), written.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "packager/quantize/planned_file.h"

namespace bundle::packager::quantize {

/// Metadata entries on their way into a file. The order stays that in which they were added.
class GgufEntries {
 public:
  void add_u32(std::string_view key, std::int64_t value);
  void add_f32(std::string_view key, double value);
  void add_bool(std::string_view key, bool value);
  void add_text(std::string_view key, std::string_view text);

  /// The entries of a whole GGUF file as they stand, types included, but for the keys of `dropped`.
  /// The file must be one that format::parse_gguf accepts.
  Status copy(Bytes file, const std::vector<std::string_view>& dropped);

  std::uint64_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void begin(std::string_view key, std::uint32_t type);

  std::string bytes_;
  std::uint64_t count_ = 0;
};

/// Lays the tensors out one after the other, each at a multiple of 32 bytes, and writes the head of
/// the file: fills their `offset`, `head` and `size`.
PlannedFile lay_out_gguf(std::string name, const GgufEntries& entries,
                         std::vector<PlannedTensor> tensors);

}  // namespace bundle::packager::quantize
