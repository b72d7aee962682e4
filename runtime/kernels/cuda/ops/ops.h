// Every kernel by what it computes: arguments in device memory, and the table of functions that
// queue them. One table comes from libbundle_cuda.so, another from the same sources compiled for
// the emulator. Activations are float, row-major; row counts may be 0.
//
// Sums of each operation run in an order that depends on one row's shape alone, so its results do
// not depend on the batch; but for matmul_wide, which may cut a product by the number of its
// tokens.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/kernels/cuda/lane/stream.h"

namespace bundle::kernels::cuda {

enum class WeightKind : int {
  kF32,
  kF16,
  kBF16,
  kF8,      // e4m3, a float scale for 128 columns of 128 rows or one
  kInt8,    // signed bytes with such scales
  kQuant4,  // packed_weights.h: codes of 4 bits
  kQuant8,  // levels of 8 bits, signed
};

/// How the scales of a quantized matrix lie: value = d · scale · level − dmin · min.
struct QuantScales {
  const void* blocks = nullptr;  // d of a block (half); with has_min {d, dmin}
  const void* groups = nullptr;  // scale of a group (int8); with has_min {scale, min (uint8)}
  int block = 32;                // weights that share d
  int group = 32;                // weights that share scale; null `groups`: every scale is 1
  bool has_min = false;
  bool table = false;  // 4-bit codes are entries of IQ4's table
  int offset = 0;      // level = code − offset
};

/// A matrix (rows, cols) of one kind in device memory. Rows start at multiples of 16 bytes; columns
/// past the end are zero.
struct DeviceMatrix {
  WeightKind kind = WeightKind::kF32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;  // elements (of 4-bit codes: columns) from row to row
  const void* data = nullptr;
  QuantScales quant;
  const float* block_scales = nullptr;  // (rows of blocks, ceil(cols / 128))
  /// (rows): the row of block_scales that holds a row's; null: row / 128.
  const std::int32_t* block_of_row = nullptr;
};

struct EmbedArgs {
  DeviceMatrix table;
  std::int64_t first_row;   // that the table begins with: other ids are left alone
  const std::int32_t* ids;  // (rows)
  float* out;               // (rows, table.cols)
  std::int64_t rows;
};

/// out = x / sqrt(mean(x²) + eps) · weight. out may be x.
struct RmsNormArgs {
  const float* x;       // (rows, cols)
  const float* weight;  // (cols)
  float* out;           // in rows of out_stride
  std::int64_t rows;
  std::int64_t cols;
  float eps;
  std::int64_t out_stride = 0;  // 0: cols
};

/// Slots of a mixture that go to one expert, together. A slot is one of a token's choices: slot
/// token · top_k + k.
struct ExpertTile {
  std::int32_t expert;
  std::int32_t first;  // of the slots in order
  std::int32_t count;  // 0: no tile
  std::int32_t spare;
};

/// A stack of matrices of equal shape behind each other in one. Each token goes through all of them
/// (heads), or through one (experts).
struct MatrixStack {
  std::int64_t count = 1;
  std::int64_t x_step = 0;  // heads: matrix i reads x from i · x_step on, and writes y from
  std::int64_t y_step = 0;  // i · y_step on
  /// Experts: tokens are slots then, and `share` neighbouring slots have one row of x. Either each
  /// slot's expert is said, or slots are in `order` and cut into tiles of at most kRowsTile or
  /// kTokensTile.
  const std::int32_t* chosen = nullptr;  // (tokens)
  const std::int32_t* order = nullptr;   // (tokens)
  const ExpertTile* tiles = nullptr;     // (tile_count)
  std::int64_t tile_count = 0;
  std::int64_t share = 1;
  /// Number of the first matrix, where the stack has some of a layer's experts; slots whose
  /// `chosen` is not among them are left alone.
  std::int32_t first = 0;
};

/// y = norm(x) Wᵀ + bias, or y += …
struct MatmulArgs {
  DeviceMatrix w;
  const float* x;     // (tokens, w.cols) in rows of x_stride
  const float* norm;  // (w.cols): RMSNorm's weights; null: x as it is
  float eps;          // of the norm
  const float* bias;  // (w.rows), or null
  float* y;           // (tokens, rows of a matrix) in rows of y_stride
  std::int64_t y_stride;
  std::int64_t tokens;
  bool accumulate;
  std::int64_t x_stride = 0;  // 0: w.cols
  MatrixStack stack = {};
  /// A matrix is gates and as many other rows behind them, and y (tokens, half of the rows) =
  /// silu(gate) · other. For products that multiplies_few() alone.
  bool gated = false;
};
/// Products of up to so many tokens are matmul's, which reads their weights once where
/// multiplies_few; those of more are matmul_wide's or matmul_tiles'.
inline constexpr std::int64_t kFewTokens = 16;
/// Most slots of a tile, for matmul and for matmul_tiles.
inline constexpr int kRowsTile = 8;
inline constexpr int kTokensTile = 64;

/// Shared memory that matmul_few needs for a block: Hopper's. A100 and consumer GPUs have less.
inline constexpr std::size_t kFewSharedBytes = 227 * 1024;
/// Whether matmul() goes to the tensor cores: on such GPUs, for weights that bfloat16 holds as one
/// number or two, and rows of activations that can be copied 16 bytes at a time. A matter of the
/// model's shapes alone.
inline bool multiplies_few(const MatmulArgs& a, std::size_t shared_bytes) {
  const bool kind = a.w.kind == WeightKind::kBF16 || a.w.kind == WeightKind::kF16 ||
                    a.w.kind == WeightKind::kF8 || a.w.kind == WeightKind::kInt8;
  const auto aligned = [](const float* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
  return kind && shared_bytes >= kFewSharedBytes && aligned(a.x) && aligned(a.norm) &&
         a.w.cols % 4 == 0 && a.x_stride % 4 == 0 && a.stack.x_step % 4 == 0;
}

/// Rows of activations as bfloat16, in one part or two (cut.h): out (parts, rows, width), zeros
/// past cols. `permuted`: columns of each 16 as multiply_wide wants them for 8-bit weights.
struct CutRowsArgs {
  const float* x;  // (rows, cols) in rows of x_stride
  std::int64_t x_stride;
  std::uint16_t* out;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t width;  // cols or more, a multiple of kPlaneColumns
  int parts;
  bool permuted;
  int column_blocks = 0;  // set by cut_rows
};

/// A product of many tokens, for sm_90a: `product`, but for x, which is what cut_rows gave.
struct WideArgs {
  MatmulArgs product;  // without norm; x, x_stride are not read
  const std::uint16_t* x;
  std::int64_t x_rows;
  std::int64_t x_width;
  int parts;
  int tile;                  // tokens a block: 32, 64, 128 or, in one part of bfloat16 weights, 256
  int splits = 1;            // of the columns; 1 for stacks
  float* partial = nullptr;  // (splits, tokens, rows) for more than one
};

/// What each row of a batch is, in device memory.
struct RowMap {
  const std::int32_t* positions;  // (rows): of the row in its sequence; -1: a row of nobody
  const std::int32_t* tables;     // (rows): where the row's block table starts in `blocks`
  const std::int32_t* blocks;     // block tables of all sequences
};

enum class CacheType : int { kF32, kF16, kBF16, kF8 };

/// A layer of a paged cache: (blocks, vectors, kv_heads, block_tokens, stride), keys first and
/// values second, or the latent alone. `stride` is head_dim rounded up to 8, padded with zeros.
struct CacheLayer {
  void* data;
  CacheType type;
  std::int64_t blocks;
  int block_tokens;
  int kv_heads;
  int head_dim;
  int stride;
  int vectors = 2;
};

/// Normalizes (where norms are not null) and rotates the heads of q and k in place, and writes k
/// and v to the cache.
struct RopeStoreArgs {
  float* qkv;  // (rows, (heads + 2 kv_heads) · head_dim)
  std::int64_t rows;
  int heads;
  const float* q_norm;  // (head_dim)
  const float* k_norm;
  float eps;
  const float* inv_freq;  // (rotary_dim / 2)
  int rotary_dim;
  float scale;
  bool interleaved;
  RowMap map;
  CacheLayer cache;
};

/// About as many parts are positions cut into: of grouped heads, whose blocks of threads each have
/// eight warps, and of latents.
inline constexpr int kAttentionParts = 16;
inline constexpr int kLatentParts = 8;

/// Attention of each row to the cached positions up to its own. Positions are cut into spans of
/// span_tokens(position, parts); partial results of rows with more than one span go through
/// `partial`. Caches of 8 and 16 bits go to tensor cores, whose error is 2^-16.
struct AttentionArgs {
  const float* qkv;  // (rows, qkv_stride): q first
  std::int64_t qkv_stride;
  float* out;  // (rows, heads · head_dim)
  std::int64_t rows;
  int heads;
  float scale;
  std::int64_t window;  // a row sees that many last positions; 0: all
  RowMap map;
  CacheLayer cache;
  std::int64_t max_positions;  // no row's position + 1 is larger
  float* partial;              // attention_partial_floats(…) floats, or null when that is 0
  int parts = kAttentionParts;
};

/// A run of up to kAttentionTileRows consecutive rows of one sequence.
struct AttentionTile {
  std::int32_t first_row;  // in the batch
  std::int32_t rows;
  std::int32_t position;  // of the first row
  std::int32_t table;     // where the sequence's block table starts in RowMap::blocks
};
inline constexpr int kAttentionTileRows = 64;

/// The same for runs of rows, on tensor cores, for heads of up to 128 elements.
struct AttentionTilesArgs {
  const float* qkv;  // (rows, qkv_stride): q first
  std::int64_t qkv_stride;
  float* out;                  // (rows, heads · head_dim)
  const AttentionTile* tiles;  // (count)
  std::int64_t count;
  int heads;
  float scale;
  std::int64_t window;
  RowMap map;  // its blocks alone are read
  CacheLayer cache;
};

/// Rotates the last rope_dim of each head of q in place; normalizes the latents, rotates their last
/// rope_dim, and writes them to the cache.
struct LatentStoreArgs {
  float* q;  // (rows, heads · (nope_dim + rope_dim))
  std::int64_t rows;
  int heads;
  int nope_dim;
  int rope_dim;
  const float* latent;  // (rows, rank + rope_dim)
  int rank;
  const float* norm;  // (rank)
  float eps;
  const float* inv_freq;  // (rope_dim / 2)
  float scale;
  bool interleaved;
  RowMap map;
  CacheLayer cache;
};

/// Attention of each row's heads to the cached latents up to its own: the query of a head is one
/// for latents, and what comes out is a mix of latents. Cut into spans as AttentionArgs, with
/// kLatentParts. Of a BF16 cache with a rank of up to 512 on tensor cores, error 2^-16.
struct LatentAttentionArgs {
  const float* query;  // (rows, heads, rank)
  const float* q;      // (rows, heads, nope_dim + rope_dim): the rotated part is read
  float* out;          // (rows, heads, rank)
  std::int64_t rows;
  int heads;
  int nope_dim;
  int rope_dim;
  int rank;
  float scale;
  RowMap map;
  CacheLayer cache;
  std::int64_t max_positions;
  float* partial;  // latent_partial_floats(…) floats, or null when that is 0
};
/// What the kernel holds of a latent: rank and rope_dim even, their sum at most this.
inline constexpr int kMostLatentDim = 576;

/// The rule of RouterShape (device.h).
struct RouteArgs {
  const float* logits;   // (rows, experts)
  const float* bias;     // (experts), or null
  std::int32_t* chosen;  // (rows, top_k)
  float* weights;        // (rows, top_k)
  std::int64_t rows;
  int experts;
  int top_k;
  int groups;
  int top_groups;
  int group_best;
  bool sigmoid;
  bool normalize;
  float scale;
};
inline constexpr int kMostExperts = 1024;
inline constexpr int kMostGroups = 64;
inline constexpr int kMostChosen = 32;

/// Sorts slots by expert, in their own order within one, and cuts them into tiles.
struct ExpertPlanArgs {
  const std::int32_t* chosen;  // (slots)
  std::int64_t slots;
  int experts;
  int tile;              // most slots of one
  std::int32_t* order;   // (slots)
  std::int32_t* starts;  // (experts + 1): where an expert's slots begin in `order`
  ExpertTile* tiles;     // (tile_count)
  std::int64_t tile_count;
  std::int32_t first = 0;  // expert 0's number in `chosen`; slots of others are in no tile
};

/// Tiles that suffice for any choice.
constexpr std::int64_t most_expert_tiles(std::int64_t slots, std::int64_t experts,
                                         std::int64_t tile) {
  const std::int64_t some = experts + slots / tile;
  return slots < some ? slots : some;
}

/// y (rows, cols) += Σ weights · of each row's top_k slots, in their order.
struct CombineArgs {
  const float* slots;    // (rows · top_k, cols)
  const float* weights;  // (rows, top_k)
  float* y;
  std::int64_t rows;
  std::int64_t cols;
  int top_k;
  const std::int32_t* chosen;  // (rows, top_k): slots of other experts count for nothing
  std::int32_t first;          // number of the first expert that there is
  std::int32_t experts;        // how many there are
};

/// Zeroes the first cols of the named rows of out.
struct BlankArgs {
  const std::int64_t* which;  // (rows)
  float* out;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t stride;
};

/// out (rows, cols) = silu(gate) · up of gate_up (rows, 2 cols), gate first.
struct SiluMulArgs {
  const float* gate_up;
  float* out;
  std::int64_t rows;
  std::int64_t cols;
};

/// out (rows, cols) = the named rows of x.
struct GatherArgs {
  const float* x;
  const std::int64_t* from;  // (rows)
  float* out;
  std::int64_t rows;
  std::int64_t cols;
};

/// out (count) = the parts (parts, count) added up, in their order. out may be one of them.
struct AddPartsArgs {
  const float* parts;
  float* out;
  std::int64_t count;
  int number;  // of parts
};

/// A token to be chosen: TokenChoice (device.h), with its numbers as the kernels take them.
struct RowChoice {
  std::int64_t row;    // of the logits
  double uniform;      // in [0, 1)
  double top_p;        // 1: all
  double offset;       // tokens stay whose logit is at least the largest plus this; -inf: all
  float scale;         // 1 / temperature; below 0: the likeliest
  std::int32_t top_k;  // 0: all
};

/// ids[i] = what choices[i] names; -1 where a logit of its row is not finite.
struct ChooseArgs {
  const float* logits;       // (rows, cols)
  const RowChoice* choices;  // (count)
  std::int32_t* ids;         // (count)
  float* run_max;            // (count, choice_runs(cols)): room for intermediate results
  double* run_sums;          // (count, choice_runs(cols))
  std::int64_t count;        // at most kMostChoices
  std::int64_t cols;         // at most kMostChoiceCols
  bool weighs_all;           // some choice has a scale and no top_k below cols
};
/// Neighbouring tokens whose largest logit is found first.
inline constexpr int kChoiceRun = 128;
inline constexpr std::int64_t kMostChoices = 65535;
inline constexpr std::int64_t kMostChoiceCols = 524288;

constexpr std::int64_t choice_runs(std::int64_t cols) {
  return (cols + kChoiceRun - 1) / kChoiceRun;
}

/// Cached positions that one block of threads walks for a row that sees `positions` of them, as a
/// power of two: from 64 to 1024, more for long sequences, so that the parts stay few, and a matter
/// of that row alone.
constexpr int span_shift(std::int64_t positions, int parts = kLatentParts) {
  int shift = 6;
  for (int next = 6; next < 10; ++next) shift += std::int64_t{parts} << next < positions ? 1 : 0;
  return shift;
}
constexpr std::int64_t span_tokens(std::int64_t positions, int parts = kLatentParts) {
  return std::int64_t{1} << span_shift(positions, parts);
}

/// Parts that the longest row of a batch is cut into.
constexpr std::int64_t span_count(std::int64_t positions, int parts = kLatentParts) {
  return (positions + span_tokens(positions, parts) - 1) >> span_shift(positions, parts);
}

/// The most parts any row with up to `positions` positions has: span_count falls where the span
/// doubles.
constexpr std::int64_t most_spans(std::int64_t positions, int parts = kLatentParts) {
  const std::int64_t own = span_count(positions, parts);
  return positions > std::int64_t{64} * parts && own < parts ? parts : own;
}

/// Floats of parts: of each, its largest score, its sum, and `values`.
constexpr std::int64_t partial_floats(std::int64_t rows, std::int64_t heads, std::int64_t values,
                                      std::int64_t max_positions, int parts) {
  const std::int64_t spans = most_spans(max_positions, parts);
  return spans <= 1 ? 0 : rows * heads * spans * (values + 2);
}

/// Floats of AttentionArgs::partial.
constexpr std::int64_t attention_partial_floats(std::int64_t rows, std::int64_t heads,
                                                std::int64_t stride, std::int64_t max_positions) {
  return partial_floats(rows, heads, stride, max_positions, kAttentionParts);
}

/// Of a latent's parts: largest score, sum, and rank values.
constexpr std::int64_t latent_partial_floats(std::int64_t rows, std::int64_t heads,
                                             std::int64_t rank, std::int64_t max_positions) {
  return partial_floats(rows, heads, rank, max_positions, kLatentParts);
}

struct Ops {
  void (*embed)(Stream, const EmbedArgs&);
  void (*rms_norm)(Stream, const RmsNormArgs&);
  void (*matmul)(Stream, const MatmulArgs&);        // for few tokens
  void (*matmul_tiles)(Stream, const MatmulArgs&);  // for many; takes no norm, error 2^-16
  void (*rope_store)(Stream, const RopeStoreArgs&);
  void (*attention)(Stream, const AttentionArgs&);
  void (*attention_tiles)(Stream, const AttentionTilesArgs&);  // error 2^-16
  void (*silu_mul)(Stream, const SiluMulArgs&);
  void (*gather)(Stream, const GatherArgs&);
  void (*blank)(Stream, const BlankArgs&);
  void (*latent_store)(Stream, const LatentStoreArgs&);
  void (*latent_attention)(Stream, const LatentAttentionArgs&);
  void (*route)(Stream, const RouteArgs&);
  void (*plan_experts)(Stream, const ExpertPlanArgs&);
  void (*combine)(Stream, const CombineArgs&);
  void (*cut_rows)(Stream, const CutRowsArgs&);
  void (*matmul_wide)(Stream, const WideArgs&);
  void (*choose)(Stream, const ChooseArgs&);
  void (*add_parts)(Stream, const AddPartsArgs&);
};

// One function a source file of ops/.
void embed(Stream stream, const EmbedArgs& args);
void rms_norm(Stream stream, const RmsNormArgs& args);
void matmul(Stream stream, const MatmulArgs& args);
void matmul_few(Stream stream, const MatmulArgs& args);  // matmul, where multiplies_few
void matmul_tiles(Stream stream, const MatmulArgs& args);
void rope_store(Stream stream, const RopeStoreArgs& args);
void attention(Stream stream, const AttentionArgs& args);
void attention_tiles(Stream stream, const AttentionTilesArgs& args);
void silu_mul(Stream stream, const SiluMulArgs& args);
void gather(Stream stream, const GatherArgs& args);
void blank(Stream stream, const BlankArgs& args);
void latent_store(Stream stream, const LatentStoreArgs& args);
void latent_attention(Stream stream, const LatentAttentionArgs& args);
void route(Stream stream, const RouteArgs& args);
void plan_experts(Stream stream, const ExpertPlanArgs& args);
void combine(Stream stream, const CombineArgs& args);
void cut_rows(Stream stream, const CutRowsArgs& args);
void matmul_wide(Stream stream, const WideArgs& args);
void choose(Stream stream, const ChooseArgs& args);
void add_parts(Stream stream, const AddPartsArgs& args);

inline constexpr Ops kOps = {embed,        rms_norm,         matmul,   matmul_tiles, rope_store,
                             attention,    attention_tiles,  silu_mul, gather,       blank,
                             latent_store, latent_attention, route,    plan_experts, combine,
                             cut_rows,     matmul_wide,      choose,   add_parts};

}  // namespace bundle::kernels::cuda
