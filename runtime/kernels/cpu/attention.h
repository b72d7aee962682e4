// Attention over the paged cache: the work of a step cut into pieces for the threads.
//
// A piece is one key/value head of one sequence with a few of its query rows (all heads that share
// the key/value head, for a few positions), walked chunk by chunk (kChunk positions); the chunks'
// results are merged in order. Where a step has fewer pieces than keep the threads busy, as when a
// single long sequence decodes, the chunks of a piece are shared out as well, and merged after in
// the same order: the result is the same, bit for bit.
//
// Where a chunk's keys and values come from is a TileSource's matter: the cache as it lies
// (grouped heads), or made of latents (latent_tiles.h).
#pragma once

#include <array>
#include <span>
#include <vector>

#include "runtime/kernels/cpu/kernel_table.h"
#include "runtime/kernels/cpu/kv_cache.h"
#include "runtime/kernels/cpu/thread_pool.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cpu {

inline constexpr std::int64_t kTilesPerChunk = kChunk / kTile;

/// One chunk of one key/value head of a sequence. Only tiles first_tile … last_tile − 1 are asked
/// for, and of the last of them positions below `end`.
struct ChunkPlace {
  const Slice* slice = nullptr;
  std::int64_t kv_head = 0;
  std::int64_t start = 0;  // first position of the chunk
  std::int64_t first_tile = 0;
  std::int64_t last_tile = 0;
  std::int64_t end = 0;  // positions below it are in the cache
};

/// A thread's memory for keys and values that are not read in place.
struct TileScratch {
  std::array<const std::byte*, kTilesPerChunk> k_tiles = {};
  std::array<const std::byte*, kTilesPerChunk> v_tiles = {};
  std::vector<std::byte> tiles;
  std::vector<float> floats;
  std::vector<std::byte> activations;
};

/// Keys and values by chunk. Thread-safe.
class TileSource {
 public:
  virtual ~TileSource() = default;
  /// Points the asked tiles of `scratch` at keys (dim, 16) and values (16, value_stride). What lies
  /// behind `end` in the last tile must be finite.
  virtual void find(const ChunkPlace& place, TileScratch& scratch) const = 0;
};

/// What is to be attended. Dims count elements as stored: multiples of kTile.
struct AttentionTask {
  Tensor q;  // (n, heads · head_dim …)
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t value_head_dim = 0;
  std::int64_t dim = 0;
  std::int64_t value_dim = 0;
  std::int64_t value_stride = 0;
  float scale = 0.0f;
  std::int64_t sliding_window = 0;
  KvType type = KvType::kF32;   // of the tiles
  std::int64_t piece_rows = 0;  // query rows of a piece, at least
  Tensor out;                   // (n, heads · value_head_dim)

  std::int64_t group() const { return heads / kv_heads; }
  std::int64_t first_visible(std::int64_t position) const;
};

/// Holds the scratch memory between steps. Not thread-safe.
class AttentionRunner {
 public:
  AttentionRunner(const KernelTable& table, ThreadPool& pool);

  /// Device::attention.
  void run(Tensor qkv, const AttentionShape& shape, std::span<const Slice> slices,
           const CpuKvCache& cache, std::int64_t layer, Tensor out);

  /// Rows of `slices` of the task, over whatever `source` gives.
  void run(const AttentionTask& task, std::span<const Slice> slices, const TileSource& source);

 private:
  /// One call of run.
  struct Step {
    const AttentionTask& task;
    const TileSource& source;
  };

  struct Piece {
    const Slice* slice;
    std::int64_t kv_head;
    std::int64_t first;      // row of the slice
    std::int64_t positions;  // rows of the slice, each `group` query rows
    std::int64_t first_chunk;
    std::int64_t end_chunk;
  };

  /// Of some query rows: the largest score, Σ exp(score − max), and Σ exp(score − max)·v.
  struct Result {
    float* max;
    float* sum;
    float* out;  // (rows, value_dim)
  };

  /// One thread's memory.
  struct Scratch {
    std::vector<float> q;
    std::vector<float> scores;
    std::vector<std::int64_t> begin;
    std::vector<std::int64_t> end;
    std::vector<float> chunk;
    std::vector<float> total;
    TileScratch tiles;
  };

  static Result result_at(float* memory, std::int64_t rows);
  static void add_pieces(const AttentionTask& task, const Slice& slice, std::vector<Piece>& pieces);
  static void reserve(const AttentionTask& task, std::int64_t rows, Scratch& scratch);
  static void load_queries(const AttentionTask& task, const Piece& piece, Scratch& scratch);
  static void find_tiles(const Step& step, const Piece& piece, std::int64_t chunk,
                         AttentionArgs& args, Scratch& scratch);
  static bool sees(const AttentionTask& task, std::int64_t position, std::int64_t chunk);

  void attend_chunk(const Step& step, const Piece& piece, std::int64_t chunk, Result out,
                    Scratch& scratch) const;
  void merge_chunk(const AttentionTask& task, const Piece& piece, std::int64_t chunk, Result part,
                   Result total) const;
  void write_rows(const AttentionTask& task, const Piece& piece, Result total) const;
  void run_piece(const Step& step, const Piece& piece, Scratch& scratch) const;
  void run_split(const Step& step, std::span<const Piece> pieces);

  const KernelTable& table_;
  ThreadPool& pool_;
  std::vector<Scratch> scratch_;  // one a thread
  std::vector<float> partials_;
};

}  // namespace bundle::kernels::cpu
