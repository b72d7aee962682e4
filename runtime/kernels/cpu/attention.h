// Attention over the paged cache: the work of a step cut into pieces for the threads.
//
// A piece is one key/value head of one sequence with a few of its query rows (all heads that share
// the key/value head, for a few positions), walked chunk by chunk (kChunk positions); the chunks'
// results are merged in order. Where a step has fewer pieces than keep the threads busy, as when a
// single long sequence decodes, the chunks of a piece are shared out as well, and merged after in
// the same order: the result is the same, bit for bit.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "runtime/kernels/cpu/kernel_table.h"
#include "runtime/kernels/cpu/kv_cache.h"
#include "runtime/kernels/cpu/thread_pool.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cpu {

/// Holds the scratch memory between steps. Not thread-safe.
class AttentionRunner {
 public:
  AttentionRunner(const KernelTable& table, ThreadPool& pool);

  /// Device::attention.
  void run(Tensor qkv, const AttentionShape& shape, std::span<const Slice> slices,
           const CpuKvCache& cache, std::int64_t layer, Tensor out);

 private:
  static constexpr std::int64_t kTilesPerChunk = kChunk / kTile;

  /// One call of run.
  struct Step {
    Tensor qkv;
    const AttentionShape& shape;
    const CpuKvCache& cache;
    std::int64_t layer;
    Tensor out;

    std::int64_t group() const { return shape.heads / shape.kv_heads; }
    std::int64_t first_visible(std::int64_t position) const;
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
    float* out;  // (rows, dim)
  };

  /// One thread's memory.
  struct Scratch {
    std::vector<float> q;
    std::vector<float> scores;
    std::vector<std::int64_t> begin;
    std::vector<std::int64_t> end;
    std::vector<float> chunk;
    std::vector<float> total;
    std::array<const std::byte*, kTilesPerChunk> k_tiles;
    std::array<const std::byte*, kTilesPerChunk> v_tiles;
    std::vector<std::byte> gathered;
  };

  static Result result_at(float* memory, std::int64_t rows);
  static void add_pieces(const Step& step, const Slice& slice, std::vector<Piece>& pieces);
  static void reserve(const Step& step, std::int64_t rows, Scratch& scratch);
  static void load_queries(const Step& step, const Piece& piece, Scratch& scratch);
  static void find_tiles(const Step& step, const Piece& piece, std::int64_t chunk,
                         AttentionArgs& args, Scratch& scratch);
  static bool sees(const Step& step, std::int64_t position, std::int64_t chunk);

  void attend_chunk(const Step& step, const Piece& piece, std::int64_t chunk, Result out,
                    Scratch& scratch) const;
  void merge_chunk(const Step& step, const Piece& piece, std::int64_t chunk, Result part,
                   Result total) const;
  void write_rows(const Step& step, const Piece& piece, Result total) const;
  void run_piece(const Step& step, const Piece& piece, Scratch& scratch) const;
  void run_split(const Step& step, std::span<const Piece> pieces);

  const KernelTable& table_;
  ThreadPool& pool_;
  std::vector<Scratch> scratch_;  // one a thread
  std::vector<float> partials_;
};

}  // namespace bundle::kernels::cpu
