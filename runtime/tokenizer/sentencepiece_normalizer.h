// SentencePiece's normalization of a whole text.
#pragma once

#include "runtime/tokenizer/byte_trie.h"
#include "runtime/tokenizer/normalizer.h"
#include "runtime/tokenizer/sentencepiece.h"

namespace bundle::tokenizer {

/// `kept` holds the user-defined pieces, which no rule changes.
NormalizerPtr sentencepiece_normalizer(SentencePieceNormalization rules, ByteTrie kept);

/// The end of the longest key of a trie that `text` has at `at`, or `at`.
std::size_t longest_key(const ByteTrie& trie, std::string_view text, std::size_t at);

}  // namespace bundle::tokenizer
