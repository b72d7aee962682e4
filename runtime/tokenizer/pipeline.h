// The tokenizer that tokenizer.json, GGUF and rank files describe: a row of stages.
//
//   text -> added tokens cut out -> normalizers -> added tokens that are normalized cut out
//        -> pre-tokenizers -> model -> ids;   ids -> decoder -> text
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/tokenizer/added_tokens.h"
#include "runtime/tokenizer/decoder.h"
#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/normalizer.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/tokenizer.h"
#include "runtime/tokenizer/vocabulary.h"

namespace bundle::tokenizer {

/// The stages of one tokenizer, as a loader fills them in.
struct PipelineParts {
  Vocabulary vocabulary;  // every token's spelling, added tokens included; not yet indexed
  std::vector<AddedToken> added;
  std::vector<NormalizerPtr> normalizers;
  std::vector<PreTokenizerPtr> pre_tokenizers;
  std::unique_ptr<const Model> model;
  std::vector<std::int32_t> before;  // added by encoding with add_special
  std::vector<std::int32_t> after;
  Decoder decoder;
  std::optional<std::int32_t> bos;
  std::optional<std::int32_t> eos;
};

Result<std::shared_ptr<const Tokenizer>> make_pipeline(PipelineParts parts);

}  // namespace bundle::tokenizer
