// The unigram model: of all ways to cut a word into pieces the one with the greatest sum of scores.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "runtime/tokenizer/byte_trie.h"
#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/vocabulary.h"

namespace bundle::tokenizer {

struct UnigramOptions {
  std::optional<std::int32_t> unknown = {};
  bool byte_fallback = false;     // an unknown character becomes "<0xE4>" tokens
  bool single_precision = false;  // sums are float, as in SentencePiece; else double
};

class Unigram final : public Model {
 public:
  /// `pieces` must be indexed. Words are cut into the ids for
  /// which `usable` holds; `scores[id]` belongs to each id.
  Unigram(std::shared_ptr<const Vocabulary> pieces, std::vector<double> scores,
          const std::vector<bool>& usable, UnigramOptions options);

  void tokenize(std::string_view word, std::vector<std::int32_t>& ids) const override;

 private:
  struct Step;

  std::vector<Step> best_paths(std::string_view word) const;
  void append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const;

  std::shared_ptr<const Vocabulary> pieces_;
  std::vector<double> scores_;
  UnigramOptions options_;
  ByteTrie trie_;
  double unknown_score_ = 0;
  std::array<std::int32_t, 256> byte_ids_{};
};

}  // namespace bundle::tokenizer
