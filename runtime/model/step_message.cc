#include "runtime/model/step_message.h"

#include <limits>

namespace bundle::model {
namespace {

constexpr const char* kWhere = "message between ranks";

struct Head {
  StepMessage::Kind kind;
  std::uint32_t chunks;
};

struct CacheFields {
  std::int64_t blocks;
  std::int64_t block_tokens;
  std::uint32_t type;
  std::uint32_t drafting;
};

/// `tokens` and `blocks` numbers follow.
struct ChunkFields {
  std::int64_t first_row;
  std::int64_t position;
  std::int64_t logits;
  std::int64_t prompt;
  std::int64_t group;
  std::uint32_t tokens;
  std::uint32_t blocks;
};
static_assert(sizeof(Head) == 8 && sizeof(CacheFields) == 24 && sizeof(ChunkFields) == 48);

template <typename T>
void put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void put_all(std::string& out, std::span<const std::int32_t> values) {
  out.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

std::string start(StepMessage::Kind kind, std::size_t chunks) {
  std::string out;
  put(out, Head{kind, static_cast<std::uint32_t>(chunks)});
  return out;
}

void put_chunk(std::string& out, ChunkFields fields, std::span<const std::int32_t> tokens,
               std::span<const std::int32_t> blocks) {
  fields.tokens = static_cast<std::uint32_t>(tokens.size());
  fields.blocks = static_cast<std::uint32_t>(blocks.size());
  put(out, fields);
  put_all(out, tokens);
  put_all(out, blocks);
}

Result<std::vector<std::int32_t>> take_all(ByteReader& in, std::uint32_t count, const char* what) {
  BUNDLE_TRY(const Bytes raw, in.take(std::uint64_t{count} * sizeof(std::int32_t), what));
  std::vector<std::int32_t> values(count);
  if (count > 0) std::memcpy(values.data(), raw.data(), raw.size());
  return values;
}

Result<StepMessage::Chunk> take_chunk(ByteReader& in) {
  BUNDLE_TRY(const auto fields, in.read<ChunkFields>("chunk"));
  StepMessage::Chunk chunk;
  BUNDLE_TRY(chunk.tokens, take_all(in, fields.tokens, "tokens"));
  BUNDLE_TRY(chunk.blocks, take_all(in, fields.blocks, "blocks"));
  chunk.first_row = fields.first_row;
  chunk.position = fields.position;
  chunk.logits = fields.logits;
  chunk.prompt = fields.prompt;
  chunk.group = fields.group;
  const bool sane = chunk.first_row >= 0 && chunk.position >= 0 && chunk.prompt >= 0 &&
                    chunk.group >= 0 && chunk.logits >= 0 && chunk.logits <= fields.tokens;
  if (!sane) return bad_input("a chunk that cannot be", kWhere);
  return chunk;
}

Result<StepMessage::Cache> take_cache(ByteReader& in) {
  BUNDLE_TRY(const auto fields, in.read<CacheFields>("cache"));
  const auto type = static_cast<DType>(fields.type);
  const bool known =
      type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || type == DType::kF8E4M3;
  if (!known || fields.blocks < 1 || fields.block_tokens < 1 ||
      fields.blocks > std::numeric_limits<std::int32_t>::max()) {
    return bad_input("a cache that cannot be", kWhere);
  }
  return StepMessage::Cache{fields.blocks, fields.block_tokens, type, fields.drafting != 0};
}

}  // namespace

std::vector<SequenceChunk> StepMessage::sequence_chunks() const {
  std::vector<SequenceChunk> views;
  for (const Chunk& c : chunks) {
    views.push_back({c.tokens, c.position, c.blocks, c.logits, c.prompt, false, c.group});
  }
  return views;
}

std::vector<DraftChunk> StepMessage::draft_chunks() const {
  std::vector<DraftChunk> views;
  for (const Chunk& c : chunks) {
    views.push_back({c.first_row, c.tokens, c.position, c.blocks, c.logits > 0, c.prompt, c.group});
  }
  return views;
}

std::string encode_stop() { return start(StepMessage::Kind::kStop, 0); }

std::string encode_prepare(const StepMessage::Cache& cache) {
  std::string out = start(StepMessage::Kind::kPrepare, 0);
  put(out, CacheFields{cache.blocks, cache.block_tokens, static_cast<std::uint32_t>(cache.type),
                       cache.drafting ? 1u : 0u});
  return out;
}

std::string encode_forward(std::span<const SequenceChunk> chunks) {
  std::string out = start(StepMessage::Kind::kForward, chunks.size());
  for (const SequenceChunk& c : chunks) {
    put_chunk(out, {0, c.position, c.logits, c.prompt, c.group, 0, 0}, c.tokens, c.blocks);
  }
  return out;
}

std::string encode_draft(std::span<const DraftChunk> chunks) {
  std::string out = start(StepMessage::Kind::kDraft, chunks.size());
  for (const DraftChunk& c : chunks) {
    const bool asks = c.logits && !c.following.empty();
    put_chunk(out, {c.first_row, c.position, asks ? 1 : 0, c.prompt, c.group, 0, 0}, c.following,
              c.blocks);
  }
  return out;
}

Result<StepMessage> decode_step_message(Bytes bytes) {
  ByteReader in(bytes, kWhere);
  BUNDLE_TRY(const auto head, in.read<Head>("head"));
  if (head.kind > StepMessage::Kind::kStop) return bad_input("an unknown message", kWhere);
  StepMessage message;
  message.kind = head.kind;
  if (head.kind == StepMessage::Kind::kPrepare) {
    BUNDLE_TRY(message.cache, take_cache(in));
  }
  for (std::uint32_t i = 0; i < head.chunks; ++i) {
    BUNDLE_TRY(StepMessage::Chunk chunk, take_chunk(in));
    message.chunks.push_back(std::move(chunk));
  }
  if (in.left() > 0) return bad_input("bytes behind the message", kWhere);
  return message;
}

}  // namespace bundle::model
