// SentencePiece: text is normalized as a whole, spaces become "▁", and a BPE or unigram model with
// scores cuts it. The same parts come from .model files and from GGUF metadata.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/charsmap.h"
#include "runtime/tokenizer/pipeline.h"

namespace bundle::tokenizer {

/// The type of a piece; GGUF's `tokenizer.ggml.token_type` has the same numbers.
enum class PieceType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

/// How text is normalized (NormalizerSpec).
struct SentencePieceNormalization {
  std::optional<Charsmap> charsmap;
  bool add_dummy_prefix = true;          // "a" is read as "▁a"
  bool remove_extra_whitespaces = true;  // runs become one space; none at either end
  bool escape_whitespaces = true;        // " " becomes "▁"
  bool whitespace_as_suffix = false;     // "a▁" instead of "▁a"
};

struct SentencePieceModel {
  std::vector<std::string> pieces;  // valid UTF-8; by id
  std::vector<PieceType> types;
  std::vector<float> scores;
  SentencePieceNormalization normalization;
  bool unigram = false;
  bool byte_fallback = false;
  std::optional<std::int32_t> unknown;
};

/// Makes the normalizer, pre-tokenizer, model and decoder of `parts`, and its vocabulary. Control
/// pieces become added tokens that only parse_special finds; so do user-defined ones, without
/// that condition, if `cut_user_defined`, and else they are kept whole inside the text.
Status build_sentencepiece(const SentencePieceModel& model, bool cut_user_defined,
                           PipelineParts& parts);

/// Whether bytes look like a .model file (a ModelProto).
bool looks_like_sentencepiece(std::string_view bytes);
Result<std::shared_ptr<const Tokenizer>> load_sentencepiece(std::string_view bytes, bool add_bos,
                                                            std::string_view where);

}  // namespace bundle::tokenizer
