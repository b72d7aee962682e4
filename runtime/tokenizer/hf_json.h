// tokenizer.json, the format of Hugging Face's `tokenizers`.
#pragma once

#include <memory>
#include <string_view>

#include "base/json.h"
#include "runtime/tokenizer/json_reader.h"
#include "runtime/tokenizer/pipeline.h"

namespace bundle::tokenizer {

/// The begin and end tokens that tokenizer_config.json names beside a tokenizer.json; "" for none.
struct SpecialNames {
  std::string bos = {};
  std::string eos = {};
};

/// A whole document, its tables cut out. `where` names it in errors. A step or model that is not
/// known is refused by its name: leaving it out would give wrong ids.
Result<std::shared_ptr<const Tokenizer>> load_hf_json(const Json& document,
                                                      const JsonTables& tables,
                                                      std::string_view where,
                                                      const SpecialNames& names = {});

/// What the pre-tokenizers of a document come to.
struct PreTokenizerSteps {
  std::vector<PreTokenizerPtr> steps;
  /// The last step spells bytes by their stand-ins. It is left out of `steps`: a model may work on
  /// bytes instead, or add it.
  bool ends_in_byte_level = false;
};

/// The parts of a document; null stands for none.
Result<std::vector<NormalizerPtr>> read_normalizers(const Json* value, std::string_view where);
Result<PreTokenizerSteps> read_pre_tokenizers(const Json* value, std::string_view where);
Result<Decoder> read_decoder(const Json* value, std::string_view where);
/// Fills parts.before and parts.after; parts.vocabulary must hold the tokens.
Status read_post_processor(const Json* value, PipelineParts& parts, std::string_view where);

/// Builds parts.model and the model's share of parts.vocabulary.
Status read_model(const Json& value, const JsonTables& tables, bool byte_level,
                  PipelineParts& parts, std::string_view where);

/// The member `key`, null when it is absent or JSON's null.
const Json* find_present(const Json& value, std::string_view key);

}  // namespace bundle::tokenizer
