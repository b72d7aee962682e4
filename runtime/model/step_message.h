// What the first rank tells the others: the call that all of them make next, as bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/model/model.h"

namespace bundle::model {

/// A call of every rank's Model, with all that it refers to.
struct StepMessage {
  enum class Kind : std::uint32_t { kPrepare, kForward, kDraft, kStop };

  /// The cache that each rank makes for itself.
  struct Cache {
    std::int64_t blocks = 0;
    std::int64_t block_tokens = 0;
    DType type = DType::kF16;
    bool drafting = false;
  };

  /// A chunk of either call, with memory of its own.
  struct Chunk {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> blocks;
    std::int64_t first_row = 0;
    std::int64_t position = 0;
    std::int64_t logits = 0;
    std::int64_t prompt = 0;
    std::int64_t group = 0;
  };

  Kind kind = Kind::kStop;
  Cache cache;                // of kPrepare
  std::vector<Chunk> chunks;  // of kForward and kDraft

  /// Views of the chunks, as long as they live.
  std::vector<SequenceChunk> sequence_chunks() const;
  std::vector<DraftChunk> draft_chunks() const;
};

std::string encode_stop();
std::string encode_prepare(const StepMessage::Cache& cache);
std::string encode_forward(std::span<const SequenceChunk> chunks);
std::string encode_draft(std::span<const DraftChunk> chunks);

/// kBadInput, naming what, when it is cut short or says what cannot be.
Result<StepMessage> decode_step_message(Bytes bytes);

}  // namespace bundle::model
