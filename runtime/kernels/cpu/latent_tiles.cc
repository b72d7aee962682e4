#include "runtime/kernels/cpu/latent_tiles.h"

#include <algorithm>
#include <cstring>

#include "runtime/kernels/dequantize.h"
#include "runtime/kernels/int8_group.h"

namespace bundle::kernels::cpu {
namespace {

template <typename T>
T* at_least(std::vector<T>& vector, std::int64_t size) {
  if (vector.size() < static_cast<std::size_t>(size)) vector.resize(static_cast<std::size_t>(size));
  return vector.data();
}

std::int64_t round_up(std::int64_t value) { return (value + kTile - 1) / kTile * kTile; }

/// The tile of the cache that holds a position.
std::byte* tile_of(const CpuKvCache& cache, std::int64_t layer, const Slice& slice,
                   std::int64_t position) {
  const std::int64_t block_tokens = cache.shape().block_tokens;
  return cache.tile(slice.blocks[position / block_tokens], layer, 0,
                    position % block_tokens / kTile);
}

/// A position's place in its tile.
std::int64_t lane_of(const CpuKvCache& cache, std::int64_t position) {
  return position % cache.shape().block_tokens % kTile;
}

/// The latent of one position in the cache.
const std::byte* latent_at(const CpuKvCache& cache, std::int64_t layer, const Slice& slice,
                           std::int64_t position) {
  return tile_of(cache, layer, slice, position) +
         lane_of(cache, position) * cache.dim() * cache.element_bytes();
}

constexpr std::int64_t kGroupScales = kTile * CpuKvCache::kScaleBytes;  // bytes, of a tile

/// Sixteen rows of `dim` elements to (dim, 16).
template <typename Element>
void turn_tile(const std::byte* const* rows, std::int64_t dim, std::byte* out) {
  constexpr std::int64_t kRun = 32;  // columns whose lines stay in the nearest cache
  auto* columns = reinterpret_cast<Element*>(out);
  for (std::int64_t d = 0; d < dim; d += kRun) {
    const std::int64_t end = std::min(dim, d + kRun);
    for (std::int64_t i = 0; i < kTile; ++i) {
      const auto* row = reinterpret_cast<const Element*>(rows[i]);
      for (std::int64_t c = d; c < end; ++c) columns[c * kTile + i] = row[c];
    }
  }
}

}  // namespace

/// Copies a position's latent and its scales to place `lane` of a tile.
void AbsorbedTiles::copy_latent(const Slice& slice, std::int64_t position, std::byte* tile,
                                std::int64_t lane) const {
  const auto row_bytes = static_cast<std::size_t>(cache_.dim() * cache_.element_bytes());
  std::memcpy(tile + lane * static_cast<std::int64_t>(row_bytes),
              latent_at(cache_, layer_, slice, position), row_bytes);
  const std::byte* scales =
      cache_.scales(tile_of(cache_, layer_, slice, position), lane_of(cache_, position));
  for (std::int64_t g = 0; g < cache_.scale_groups(); ++g)
    std::memcpy(cache_.scales(tile, lane) + g * kGroupScales, scales + g * kGroupScales,
                CpuKvCache::kScaleBytes);
}

void AbsorbedTiles::find(const ChunkPlace& place, TileScratch& scratch) const {
  const std::int64_t tile_bytes = cache_.tile_bytes();
  const bool whole_tiles = cache_.shape().block_tokens % kTile == 0;
  const auto row_bytes = static_cast<std::size_t>(cache_.dim() * cache_.element_bytes());
  std::byte* memory = at_least(scratch.tiles, 2 * kTilesPerChunk * tile_bytes);
  for (std::int64_t t = place.first_tile; t < place.last_tile; ++t) {
    const std::int64_t first = place.start + t * kTile;
    const std::byte* rows[kTile];
    std::byte* keys = memory + 2 * t * tile_bytes;
    std::byte* values = keys + tile_bytes;
    if (whole_tiles) {
      // Memory behind the sequence's end is zeroed or holds older latents: finite either way.
      for (std::int64_t i = 0; i < kTile; ++i)
        rows[i] = latent_at(cache_, layer_, *place.slice, first) + i * row_bytes;
    } else {
      std::memset(values, 0, static_cast<std::size_t>(tile_bytes));
      for (std::int64_t i = 0; i < kTile; ++i) {
        std::byte* row = values + i * row_bytes;
        if (first + i < place.end) copy_latent(*place.slice, first + i, values, i);
        rows[i] = row;
      }
    }
    switch (cache_.element_bytes()) {
      case 4:
        turn_tile<std::uint32_t>(rows, cache_.dim(), keys);
        break;
      case 2:
        turn_tile<std::uint16_t>(rows, cache_.dim(), keys);
        break;
      default:
        turn_tile<std::uint8_t>(rows, cache_.dim(), keys);
    }
    // Scales of keys and of values lie in the same order.
    std::memcpy(keys + kTile * static_cast<std::int64_t>(row_bytes), rows[0] + kTile * row_bytes,
                static_cast<std::size_t>(cache_.scale_groups() * kGroupScales));
    scratch.k_tiles[static_cast<std::size_t>(t)] = keys;
    scratch.v_tiles[static_cast<std::size_t>(t)] = rows[0];
  }
}

ExpandedTiles::ExpandedTiles(const KernelTable& table, const CpuKvCache& cache, std::int64_t layer,
                             const LatentShape& shape, const LatentWeights& weights)
    : table_(table),
      cache_(cache),
      layer_(layer),
      shape_(shape),
      key_up_(static_cast<const PackedMatrix&>(*weights.key_up)),
      value_up_(static_cast<const PackedMatrix&>(*weights.value_up)),
      dim_(round_up(shape.query_dim())),
      value_dim_(round_up(shape.value_dim)) {}

void ExpandedTiles::load_latents(const ChunkPlace& place, std::int64_t first, std::int64_t count,
                                 float* out) const {
  for (std::int64_t i = 0; i < count; ++i, out += shape_.latent_dim()) {
    const std::byte* latent = latent_at(cache_, layer_, *place.slice, first + i);
    if (cache_.type() != KvType::kI8) {
      dequantize_row(cache_.shape().type, latent, shape_.latent_dim(), out);
      continue;
    }
    const std::byte* scales =
        cache_.scales(tile_of(cache_, layer_, *place.slice, first + i), lane_of(cache_, first + i));
    load_int8(latent, scales, kTile, shape_.latent_dim(), out);
  }
}

void ExpandedTiles::find(const ChunkPlace& place, TileScratch& scratch) const {
  const std::int64_t first = place.start + place.first_tile * kTile;
  const std::int64_t count = place.end - first;
  const std::int64_t tiles = place.last_tile - place.first_tile;
  const std::int64_t latents_size = kChunk * shape_.latent_dim();
  float* latents = at_least(scratch.floats, latents_size + kChunk * (2 * dim_ + value_dim_));
  float* plain_keys = latents + latents_size;
  float* keys = plain_keys + kChunk * dim_;
  float* values = keys + kChunk * dim_;
  load_latents(place, first, count, latents);
  std::fill_n(plain_keys, tiles * kTile * dim_, 0.0f);
  std::fill_n(values, tiles * kTile * value_dim_, 0.0f);
  multiply_part(table_, key_up_.parts()[static_cast<std::size_t>(place.kv_head)], latents,
                shape_.latent_dim(), count, plain_keys, dim_, scratch.activations);
  multiply_part(table_, value_up_.parts()[static_cast<std::size_t>(place.kv_head)], latents,
                shape_.latent_dim(), count, values, value_dim_, scratch.activations);
  for (std::int64_t i = 0; i < count; ++i)
    std::copy_n(latents + i * shape_.latent_dim() + shape_.rank, shape_.rope_dim,
                plain_keys + i * dim_ + shape_.nope_dim);
  for (std::int64_t t = 0; t < tiles; ++t) {
    const std::byte* rows[kTile];
    for (std::int64_t i = 0; i < kTile; ++i)
      rows[i] = reinterpret_cast<const std::byte*>(plain_keys + (t * kTile + i) * dim_);
    auto* turned = reinterpret_cast<std::byte*>(keys + t * kTile * dim_);
    turn_tile<std::uint32_t>(rows, dim_, turned);
    const auto at = static_cast<std::size_t>(place.first_tile + t);
    scratch.k_tiles[at] = turned;
    scratch.v_tiles[at] = reinterpret_cast<const std::byte*>(values + t * kTile * value_dim_);
  }
}

void multiply_part(const KernelTable& table, const PackedPart& part, const float* x,
                   std::int64_t x_stride, std::int64_t tokens, float* y, std::int64_t y_stride,
                   std::vector<std::byte>& memory) {
  GemmArgs args;
  args.activation_layout.kind = activation_kind(table, part.layout.type);
  args.activation_layout.cols = part.layout.cols;
  args.activation_layout.sums16 = needs_sums16(part.layout.type);
  PrepareArgs prepare;
  prepare.x = x;
  prepare.x_stride = x_stride;
  prepare.tokens = tokens;
  prepare.layout = args.activation_layout;
  prepare.out = at_least(memory, tokens * prepare.layout.token_bytes());
  table.prepare(prepare);
  args.layout = &part.layout;
  args.weights = part.data;
  args.rows = part.rows;
  args.activations = prepare.out;
  args.tokens = tokens;
  args.y = y;
  args.y_stride = y_stride;
  table.gemm[static_cast<int>(part.layout.type)](args);
}

}  // namespace bundle::kernels::cpu
