#include "runtime/kernels/cuda/host/row_inputs.h"

#include <algorithm>
#include <cstring>

namespace bundle::kernels::cuda {
namespace {

constexpr std::size_t kAlignment = 16;
constexpr std::int64_t kLeastTiledRows = 16;

}  // namespace

RowInputs::RowInputs(Driver& driver, Stream stream, std::uint64_t& changes)
    : driver_(driver), stream_(stream), changes_(changes), copied_(driver.make_event()) {}

RowInputs::~RowInputs() {
  driver_.wait(stream_);
  driver_.free_event(copied_);
}

void RowInputs::begin() {
  bytes_.clear();
  blocks_.clear();
  tables_.clear();
  next_ = 0;
  arrays_.clear();
  rows_.clear();
}

template <typename T>
std::size_t RowInputs::append(std::span<const T> values) {
  const std::size_t offset = (bytes_.size() + kAlignment - 1) / kAlignment * kAlignment;
  bytes_.resize(offset + values.size_bytes());
  if (!values.empty()) std::memcpy(bytes_.data() + offset, values.data(), values.size_bytes());
  return offset;
}

void RowInputs::add_ids(std::span<const std::int32_t> ids) {
  arrays_.push_back({ids.data(), ids.size(), append(ids)});
}

void RowInputs::add_rows(std::span<const std::int64_t> rows) {
  arrays_.push_back({rows.data(), rows.size(), append(rows)});
}

/// Where a block table lies in `blocks_`, which may be among the `known` first: those of the kept
/// rows are the step's own, in the same order.
std::int32_t RowInputs::place(const std::int32_t* table, std::int64_t count, std::size_t known) {
  for (std::size_t i = 0; i < known; ++i) {
    const Table& other = tables_[next_++ % known];
    if (other.host == table && other.count >= count) return other.start;
  }
  const auto start = static_cast<std::int32_t>(blocks_.size());
  blocks_.insert(blocks_.end(), table, table + count);
  tables_.push_back({table, count, start});
  return start;
}

void RowInputs::add_slices(std::span<const Slice> slices, std::int64_t count,
                           std::int64_t block_tokens, std::int64_t max_positions, bool tiles_too) {
  std::vector<std::int32_t> positions(static_cast<std::size_t>(count), -1);
  std::vector<std::int32_t> tables(static_cast<std::size_t>(count), 0);
  std::vector<std::int32_t> singles(static_cast<std::size_t>(count), -1);
  std::vector<AttentionTile> tiles;
  const std::size_t known = tables_.size();
  Rows rows{};
  rows.slices = slices;
  rows.device.max_positions = rows.device.single_reach = max_positions;
  for (const Slice& slice : slices) {
    if (slice.rows == 0) continue;
    const std::int64_t end = slice.position + slice.rows;
    const std::int32_t table = place(slice.blocks, (end + block_tokens - 1) / block_tokens, known);
    const bool tiled = tiles_too && slice.rows >= kLeastTiledRows;
    for (std::int64_t i = 0; i < slice.rows; ++i) {
      const auto row = static_cast<std::size_t>(slice.first_row + i);
      positions[row] = static_cast<std::int32_t>(slice.position + i);
      tables[row] = table;
      if (!tiled) singles[row] = positions[row];
    }
    for (std::int64_t i = 0; tiled && i < slice.rows; i += kAttentionTileRows) {
      tiles.push_back(
          {static_cast<std::int32_t>(slice.first_row + i),
           static_cast<std::int32_t>(std::min<std::int64_t>(kAttentionTileRows, slice.rows - i)),
           static_cast<std::int32_t>(slice.position + i), table});
    }
    rows.device.max_positions = std::max(rows.device.max_positions, end);
    if (tiled) continue;
    rows.device.singles += slice.rows;
    rows.device.single_reach = std::max(rows.device.single_reach, end);
  }
  rows.positions = append(std::span<const std::int32_t>(positions));
  rows.tables = append(std::span<const std::int32_t>(tables));
  rows.singles = append(std::span<const std::int32_t>(singles));
  rows.tiles = append(std::span<const AttentionTile>(tiles));
  rows.device.tile_count = static_cast<std::int64_t>(tiles.size());
  rows_.push_back(rows);
}

Status RowInputs::flush() {
  const std::size_t tables = append(std::span<const std::int32_t>());
  const std::size_t table_bytes = blocks_.size() * sizeof(std::int32_t);
  const std::size_t bytes = tables + table_bytes;
  if (copying_) driver_.wait_event(copied_);  // the staging memory is read until then
  if (staging_.bytes() < bytes) {
    const std::size_t wanted = std::max<std::size_t>(2 * bytes, 65536);
    driver_.wait(stream_);
    BUNDLE_TRY(staging_, HostBuffer::make(driver_, wanted));
    BUNDLE_TRY(device_, DeviceBuffer::make(driver_, wanted, MemoryKind::kWork, "a step's inputs"));
    ++changes_;
  }
  std::memcpy(staging_.data(), bytes_.data(), bytes_.size());
  if (table_bytes > 0) std::memcpy(staging_.data() + tables, blocks_.data(), table_bytes);
  driver_.copy_in(stream_, device_.data(), staging_.data(), bytes);
  driver_.record(copied_, stream_);
  copying_ = true;
  const auto at = [&](std::size_t offset) {
    return reinterpret_cast<const std::int32_t*>(device_.data() + offset);
  };
  for (Rows& rows : rows_) {
    rows.device.map = {at(rows.positions), at(rows.tables), at(tables)};
    rows.device.single_positions = at(rows.singles);
    rows.device.tiles = reinterpret_cast<const AttentionTile*>(device_.data() + rows.tiles);
  }
  return {};
}

const std::byte* RowInputs::find(const void* host, std::size_t count) const {
  for (const Array& array : arrays_) {
    if (array.host == host && array.count == count) return device_.data() + array.offset;
  }
  return nullptr;
}

const std::int32_t* RowInputs::ids(std::span<const std::int32_t> ids) const {
  return reinterpret_cast<const std::int32_t*>(find(ids.data(), ids.size()));
}

const std::int64_t* RowInputs::rows(std::span<const std::int64_t> rows) const {
  return reinterpret_cast<const std::int64_t*>(find(rows.data(), rows.size()));
}

const DeviceRows* RowInputs::slices(std::span<const Slice> slices) const {
  for (const Rows& rows : rows_) {
    if (rows.slices.data() == slices.data() && rows.slices.size() == slices.size()) {
      return &rows.device;
    }
  }
  return nullptr;
}

}  // namespace bundle::kernels::cuda
