// Split GGUF: one model over files named "NAME-00001-of-00003.gguf", the metadata in the first.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/format/gguf.h"
#include "runtime/format/source.h"

namespace bundle::format {

/// What a split file's name says. `number` counts from 1.
struct SplitName {
  std::string prefix;
  int number = 0;
  int count = 0;
};

/// None when `name` is not of that form, or its numbers make no sense.
std::optional<SplitName> parse_split_name(std::string_view name);
std::string split_name(std::string_view prefix, int number, int count);

/// The GGUF files of a source that make one model, first part first. Refused: none, several models
/// side by side, a missing part.
Result<std::vector<std::string>> gguf_parts(const ModelSource& source);

/// Checks what the metadata of part `number` (from 1) of `count` files says about the split.
Status check_split(const GgufMetadata& metadata, std::size_t number, std::size_t count,
                   std::string_view where);
/// Checks the number of tensors that the first part announces for all parts.
Status check_split_total(const GgufMetadata& first, std::size_t tensors, std::string_view where);

}  // namespace bundle::format
