// WordPiece (the longest piece that a word starts with, again and again) and whole-word models.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/vocabulary.h"

namespace bundle::tokenizer {

struct WordPieceOptions {
  std::optional<std::int32_t> unknown;
  std::string continuing_prefix = "##";
  std::size_t max_characters = 100;  // longer words are unknown
};

class WordPiece final : public Model {
 public:
  WordPiece(std::shared_ptr<const Vocabulary> pieces, WordPieceOptions options)
      : pieces_(std::move(pieces)), options_(std::move(options)) {}

  void tokenize(std::string_view word, std::vector<std::int32_t>& ids) const override;

 private:
  bool cut(std::string_view word, std::vector<std::int32_t>& ids) const;

  std::shared_ptr<const Vocabulary> pieces_;
  WordPieceOptions options_;
};

/// A word is a token or unknown.
class WordLevel final : public Model {
 public:
  WordLevel(std::shared_ptr<const Vocabulary> words, std::optional<std::int32_t> unknown)
      : words_(std::move(words)), unknown_(unknown) {}

  void tokenize(std::string_view word, std::vector<std::int32_t>& ids) const override;

 private:
  std::shared_ptr<const Vocabulary> words_;
  std::optional<std::int32_t> unknown_;
};

}  // namespace bundle::tokenizer
