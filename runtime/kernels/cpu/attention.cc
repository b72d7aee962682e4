#include "runtime/kernels/cpu/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace bundle::kernels::cpu {
namespace {

/// Query rows of a piece: enough to reuse every key and value read, and the scores fit the cache.
constexpr std::int64_t kPieceRows = 24;
/// Below so many multiplications the threads cost more than they save.
constexpr std::int64_t kWorthThreads = 100'000;

template <typename T>
void grow(std::vector<T>& vector, std::int64_t size) {
  if (vector.size() < static_cast<std::size_t>(size)) vector.resize(static_cast<std::size_t>(size));
}

/// Copies one position's scales from a tile to another.
void copy_scales(const CpuKvCache& cache, std::byte* from, std::int64_t from_lane, std::byte* to,
                 std::int64_t to_lane) {
  constexpr std::int64_t kApart = kTile * CpuKvCache::kScaleBytes;
  for (std::int64_t g = 0; g < cache.scale_groups(); ++g)
    std::memcpy(cache.scales(to, to_lane) + g * kApart, cache.scales(from, from_lane) + g * kApart,
                CpuKvCache::kScaleBytes);
}

/// Copies positions one by one into a tile, for caches whose blocks are no multiple of a tile.
void gather_tile(const CpuKvCache& cache, const std::int32_t* blocks, std::int64_t layer,
                 std::int64_t head, std::int64_t first, std::int64_t count, std::byte* tile) {
  const std::int64_t block_tokens = cache.shape().block_tokens;
  const auto element = static_cast<std::size_t>(cache.element_bytes());
  const std::size_t row_bytes = static_cast<std::size_t>(cache.dim()) * element;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t at = (first + i) % block_tokens;
    std::byte* keys = cache.tile(blocks[(first + i) / block_tokens], layer, head, at / kTile);
    const std::int64_t lane = at % kTile;
    for (std::int64_t d = 0; d < cache.dim(); ++d)
      std::memcpy(tile + (d * kTile + i) * cache.element_bytes(),
                  keys + (d * kTile + lane) * cache.element_bytes(), element);
    std::memcpy(tile + cache.tile_bytes() + static_cast<std::size_t>(i) * row_bytes,
                keys + cache.tile_bytes() + static_cast<std::size_t>(lane) * row_bytes, row_bytes);
    copy_scales(cache, keys, lane, tile, i);
    copy_scales(cache, keys + cache.tile_bytes(), lane, tile + cache.tile_bytes(), i);
  }
}

/// Keys and values of one layer as the cache holds them.
class GroupedTiles final : public TileSource {
 public:
  GroupedTiles(const CpuKvCache& cache, std::int64_t layer) : cache_(cache), layer_(layer) {}

  void find(const ChunkPlace& place, TileScratch& scratch) const override {
    const std::int64_t block_tokens = cache_.shape().block_tokens;
    const bool whole_tiles = block_tokens % kTile == 0;
    const std::int64_t pair_bytes = 2 * cache_.tile_bytes();
    if (!whole_tiles) grow(scratch.tiles, kTilesPerChunk * pair_bytes);
    for (std::int64_t t = place.first_tile; t < place.last_tile; ++t) {
      const std::int64_t position = place.start + t * kTile;
      std::byte* tile = nullptr;
      if (whole_tiles) {
        const std::int32_t block = place.slice->blocks[position / block_tokens];
        tile = cache_.tile(block, layer_, place.kv_head, position % block_tokens / kTile);
      } else {
        tile = scratch.tiles.data() + t * pair_bytes;
        gather_tile(cache_, place.slice->blocks, layer_, place.kv_head, position,
                    std::min(kTile, place.end - position), tile);
      }
      scratch.k_tiles[static_cast<std::size_t>(t)] = tile;
      scratch.v_tiles[static_cast<std::size_t>(t)] = tile + cache_.tile_bytes();
    }
  }

 private:
  const CpuKvCache& cache_;
  std::int64_t layer_;
};

}  // namespace

AttentionRunner::AttentionRunner(const KernelTable& table, ThreadPool& pool)
    : table_(table), pool_(pool), scratch_(static_cast<std::size_t>(pool.threads())) {}

std::int64_t AttentionTask::first_visible(std::int64_t position) const {
  if (sliding_window <= 0) return 0;
  return std::max<std::int64_t>(0, position - sliding_window + 1);
}

AttentionRunner::Result AttentionRunner::result_at(float* memory, std::int64_t rows) {
  return {memory, memory + rows, memory + 2 * rows};
}

bool AttentionRunner::sees(const AttentionTask& task, std::int64_t position, std::int64_t chunk) {
  return chunk * kChunk <= position && task.first_visible(position) < (chunk + 1) * kChunk;
}

void AttentionRunner::add_pieces(const AttentionTask& task, const Slice& slice,
                                 std::vector<Piece>& pieces) {
  const std::int64_t most = std::max<std::int64_t>(1, task.piece_rows / task.group());
  for (std::int64_t head = 0; head < task.kv_heads; ++head)
    for (std::int64_t first = 0; first < slice.rows; first += most) {
      const std::int64_t positions = std::min(most, slice.rows - first);
      const std::int64_t begin = slice.position + first;
      pieces.push_back({&slice, head, first, positions, task.first_visible(begin) / kChunk,
                        (begin + positions - 1) / kChunk + 1});
    }
}

void AttentionRunner::reserve(const AttentionTask& task, std::int64_t rows, Scratch& scratch) {
  grow(scratch.q, rows * task.dim);
  grow(scratch.scores, rows * kChunk);
  grow(scratch.begin, rows);
  grow(scratch.end, rows);
  grow(scratch.chunk, rows * (task.value_dim + 2));
  grow(scratch.total, rows * (task.value_dim + 2));
}

/// The piece's queries, scaled, each padded to the task's dim by zeros.
void AttentionRunner::load_queries(const AttentionTask& task, const Piece& piece,
                                   Scratch& scratch) {
  const std::int64_t group = task.group();
  reserve(task, piece.positions * group, scratch);
  float* q = scratch.q.data();
  for (std::int64_t i = 0; i < piece.positions; ++i) {
    const std::int64_t row = piece.slice->first_row + piece.first + i;
    const float* source = task.q.f32() + row * task.q.cols + piece.kv_head * group * task.head_dim;
    for (std::int64_t h = 0; h < group; ++h, q += task.dim, source += task.head_dim) {
      for (std::int64_t d = 0; d < task.head_dim; ++d) q[d] = source[d] * task.scale;
      std::fill(q + task.head_dim, q + task.dim, 0.0f);
    }
  }
}

/// The tiles that any row of the piece sees.
void AttentionRunner::find_tiles(const Step& step, const Piece& piece, std::int64_t chunk,
                                 AttentionArgs& args, Scratch& scratch) {
  ChunkPlace place;
  place.slice = piece.slice;
  place.kv_head = piece.kv_head;
  place.start = chunk * kChunk;
  const std::int64_t first = piece.slice->position + piece.first;
  const std::int64_t begin =
      std::max(step.task.first_visible(first) - place.start, std::int64_t{0});
  const std::int64_t end = std::min(first + piece.positions - place.start, kChunk);
  place.first_tile = begin / kTile;
  place.last_tile = (end + kTile - 1) / kTile;
  place.end = place.start + end;
  step.source.find(place, scratch.tiles);
  args.first_tile = place.first_tile;
  args.last_tile = place.last_tile;
  args.k_tiles = scratch.tiles.k_tiles.data();
  args.v_tiles = scratch.tiles.v_tiles.data();
}

/// The queries are loaded already.
void AttentionRunner::attend_chunk(const Step& step, const Piece& piece, std::int64_t chunk,
                                   Result out, Scratch& scratch) const {
  const AttentionTask& task = step.task;
  const std::int64_t group = task.group();
  AttentionArgs args;
  args.q = scratch.q.data();
  args.rows = piece.positions * group;
  args.dim = task.dim;
  args.value_dim = task.value_dim;
  args.value_stride = task.value_stride;
  args.begin = scratch.begin.data();
  args.end = scratch.end.data();
  args.scores = scratch.scores.data();
  args.max = out.max;
  args.sum = out.sum;
  args.out = out.out;
  for (std::int64_t row = 0; row < args.rows; ++row) {
    const std::int64_t position = piece.slice->position + piece.first + row / group;
    const std::int64_t start = chunk * kChunk;
    scratch.begin[static_cast<std::size_t>(row)] =
        std::clamp(task.first_visible(position) - start, std::int64_t{0}, kChunk);
    scratch.end[static_cast<std::size_t>(row)] =
        std::clamp(position + 1 - start, std::int64_t{0}, kChunk);
  }
  find_tiles(step, piece, chunk, args, scratch);
  table_.attend[static_cast<int>(task.type)](args);
}

/// Rows that see nothing of the chunk stay as they are.
void AttentionRunner::merge_chunk(const AttentionTask& task, const Piece& piece, std::int64_t chunk,
                                  Result part, Result total) const {
  const std::int64_t dim = task.value_dim;
  const std::int64_t group = task.group();
  for (std::int64_t row = 0; row < piece.positions * group; ++row) {
    if (!sees(task, piece.slice->position + piece.first + row / group, chunk)) continue;
    table_.merge_attention(total.max + row, total.sum + row, total.out + row * dim, part.max[row],
                           part.sum[row], part.out + row * dim, dim);
  }
}

void AttentionRunner::write_rows(const AttentionTask& task, const Piece& piece,
                                 Result total) const {
  const std::int64_t group = task.group();
  const std::int64_t head_dim = task.value_head_dim;
  for (std::int64_t i = 0; i < piece.positions; ++i) {
    const std::int64_t row = piece.slice->first_row + piece.first + i;
    float* out = task.out.f32() + row * task.out.cols + piece.kv_head * group * head_dim;
    for (std::int64_t h = 0; h < group; ++h, out += head_dim) {
      const std::int64_t at = i * group + h;
      const float inverse = 1.0f / total.sum[at];
      const float* source = total.out + at * task.value_dim;
      for (std::int64_t d = 0; d < head_dim; ++d) out[d] = source[d] * inverse;
    }
  }
}

void AttentionRunner::run_piece(const Step& step, const Piece& piece, Scratch& scratch) const {
  const std::int64_t rows = piece.positions * step.task.group();
  load_queries(step.task, piece, scratch);
  const Result part = result_at(scratch.chunk.data(), rows);
  const Result total = result_at(scratch.total.data(), rows);
  std::fill_n(total.max, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(total.sum, rows * (step.task.value_dim + 1), 0.0f);
  for (std::int64_t chunk = piece.first_chunk; chunk < piece.end_chunk; ++chunk) {
    attend_chunk(step, piece, chunk, part, scratch);
    merge_chunk(step.task, piece, chunk, part, total);
  }
  write_rows(step.task, piece, total);
}

/// Every (piece, chunk) is an item of its own; the merging follows, in order, on one thread.
void AttentionRunner::run_split(const Step& step, std::span<const Piece> pieces) {
  struct Item {
    const Piece* piece;
    std::int64_t chunk;
    std::int64_t at;  // in partials_
  };
  std::vector<Item> items;
  std::int64_t floats = 0;
  for (const Piece& piece : pieces)
    for (std::int64_t chunk = piece.first_chunk; chunk < piece.end_chunk; ++chunk) {
      items.push_back({&piece, chunk, floats});
      floats += piece.positions * step.task.group() * (step.task.value_dim + 2);
    }
  grow(partials_, floats);
  const auto part_of = [&](const Item& item) {
    return result_at(partials_.data() + item.at, item.piece->positions * step.task.group());
  };
  pool_.run(static_cast<std::int64_t>(items.size()), 1,
            [&](std::int64_t begin, std::int64_t end, int thread) {
              Scratch& scratch = scratch_[static_cast<std::size_t>(thread)];
              for (std::int64_t i = begin; i < end; ++i) {
                const Item& item = items[static_cast<std::size_t>(i)];
                load_queries(step.task, *item.piece, scratch);
                attend_chunk(step, *item.piece, item.chunk, part_of(item), scratch);
              }
            });
  for (auto item = items.begin(); item != items.end();) {
    const Piece* piece = item->piece;
    const std::int64_t rows = piece->positions * step.task.group();
    const Result total = result_at(scratch_[0].total.data(), rows);
    std::fill_n(total.max, rows, -std::numeric_limits<float>::infinity());
    std::fill_n(total.sum, rows * (step.task.value_dim + 1), 0.0f);
    for (; item != items.end() && item->piece == piece; ++item)
      merge_chunk(step.task, *piece, item->chunk, part_of(*item), total);
    write_rows(step.task, *piece, total);
  }
}

void AttentionRunner::run(const AttentionTask& task, std::span<const Slice> slices,
                          const TileSource& source) {
  const Step step{task, source};
  std::vector<Piece> pieces;
  std::int64_t work = 0;
  std::int64_t chunks = 0;
  std::int64_t most_rows = 0;
  for (const Slice& slice : slices) {
    add_pieces(task, slice, pieces);
    work += slice.rows * (slice.position + slice.rows) * task.heads * task.dim;
  }
  for (const Piece& piece : pieces) {
    chunks += piece.end_chunk - piece.first_chunk;
    most_rows = std::max(most_rows, piece.positions * task.group());
  }
  const auto count = static_cast<std::int64_t>(pieces.size());
  if (work > kWorthThreads && count < 4 * pool_.threads() && chunks > count &&
      pool_.threads() > 1) {
    reserve(task, most_rows, scratch_[0]);
    return run_split(step, pieces);
  }
  pool_.run(count, work > kWorthThreads ? 1 : count,
            [&](std::int64_t begin, std::int64_t end, int thread) {
              for (std::int64_t i = begin; i < end; ++i)
                run_piece(step, pieces[static_cast<std::size_t>(i)],
                          scratch_[static_cast<std::size_t>(thread)]);
            });
}

void AttentionRunner::run(Tensor qkv, const AttentionShape& shape, std::span<const Slice> slices,
                          const CpuKvCache& cache, std::int64_t layer, Tensor out) {
  AttentionTask task;
  task.q = qkv;
  task.heads = shape.heads;
  task.kv_heads = shape.kv_heads;
  task.head_dim = task.value_head_dim = shape.head_dim;
  task.dim = task.value_dim = task.value_stride = cache.dim();
  task.scale = shape.scale;
  task.sliding_window = shape.sliding_window;
  task.type = cache.type();
  task.piece_rows = kPieceRows;
  task.out = out;
  run(task, slices, GroupedTiles(cache, layer));
}

}  // namespace bundle::kernels::cpu
