// The pattern and special tokens of the models that are published as bare rank files.
#pragma once

#include "runtime/tokenizer/rank_file.h"

namespace bundle::tokenizer {

/// Fills in everything but the ranks. Refused: a hint that is not known, and ranks that are no
/// known model's when there is no hint.
Status complete_ranks(RankedTokens& ranked, std::string_view model_hint, std::string_view where);

}  // namespace bundle::tokenizer
