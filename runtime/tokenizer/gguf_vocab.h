// The parts of GGUF metadata that all its tokenizers share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/format/gguf.h"
#include "runtime/tokenizer/pipeline.h"

namespace bundle::tokenizer {

/// Values of `tokenizer.ggml.token_type`; SentencePiece's piece types have the same numbers.
enum class TokenType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct GgufVocab {
  std::vector<std::string> tokens;  // valid UTF-8
  std::vector<TokenType> types;     // one for each token
  std::vector<float> scores;        // one for each token; 0 where the file has none
  std::optional<std::int32_t> bos;
  std::optional<std::int32_t> eos;
  std::optional<std::int32_t> unknown;
};

/// Refused: lists of different lengths, ids out of range. kNotFound when there are no tokens.
Result<GgufVocab> read_gguf_vocab(const format::GgufMetadata& metadata, std::string_view where);

/// Fills parts.vocabulary, parts.added (control and user-defined tokens), bos and eos, and puts
/// them before and after where the file says so, or `adds_bos` when it says nothing.
Status fill_from_gguf(const GgufVocab& vocab, const format::GgufMetadata& metadata, bool adds_bos,
                      bool adds_eos, PipelineParts& parts);

}  // namespace bundle::tokenizer
