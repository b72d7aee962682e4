// What turns one word (a piece of text that the pre-tokenizer cut) into token ids.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bundle::tokenizer {

/// Immutable; thread-safe.
class Model {
 public:
  virtual ~Model() = default;

  /// Appends the ids of `word`, which is valid UTF-8 unless the model works on bytes.
  virtual void tokenize(std::string_view word, std::vector<std::int32_t>& ids) const = 0;
};

}  // namespace bundle::tokenizer
