// The parts of GGUF metadata that all its tokenizers share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/format/gguf.h"
#include "runtime/tokenizer/sentencepiece.h"

namespace bundle::tokenizer {

struct GgufVocab {
  std::vector<std::string> tokens;  // valid UTF-8
  std::vector<PieceType> types;     // one for each token
  std::vector<float> scores;        // one for each token; 0 where the file has none
  std::optional<std::int32_t> bos;
  std::optional<std::int32_t> eos;
  std::optional<std::int32_t> unknown;
};

/// Refused: lists of different lengths, ids out of range. kNotFound when there are no tokens.
Result<GgufVocab> read_gguf_vocab(const format::GgufMetadata& metadata, std::string_view where);

/// Fills parts.vocabulary and parts.added (control and user-defined tokens).
Status fill_from_gguf(const GgufVocab& vocab, PipelineParts& parts);

/// Sets bos and eos, and puts them before and after texts where the file says so, or where
/// `adds_bos` and `adds_eos` do if it says nothing.
Status add_affixes(const GgufVocab& vocab, const format::GgufMetadata& metadata, bool adds_bos,
                   bool adds_eos, PipelineParts& parts);

}  // namespace bundle::tokenizer
