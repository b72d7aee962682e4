// Tokenizers in GGUF metadata: `tokenizer.ggml.*`.
#pragma once

#include <memory>
#include <string_view>

#include "runtime/format/gguf.h"
#include "runtime/tokenizer/pipeline.h"

namespace bundle::tokenizer {

/// By `tokenizer.ggml.model`: gpt2 (byte-level BPE, split as `tokenizer.ggml.pre` says), llama
/// (SentencePiece BPE), t5 (unigram). kNotFound when there is no vocabulary.
Result<std::shared_ptr<const Tokenizer>> load_gguf_tokenizer(const format::GgufMetadata& metadata,
                                                             std::string_view where);

}  // namespace bundle::tokenizer
