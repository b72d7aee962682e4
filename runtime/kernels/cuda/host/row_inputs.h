// The host's arrays of a step in device memory: ids, what each row is, and block tables, in one
// copy.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/kernels/cuda/host/device_buffer.h"
#include "runtime/kernels/cuda/ops/ops.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cuda {

/// Rows of a batch on the device.
struct DeviceRows {
  RowMap map{};
  std::int64_t max_positions = 0;  // as far as the longest of their sequences reaches
  /// The rows again: long runs of one sequence as tiles, and the positions of the others (-1 for
  /// rows of tiles).
  const AttentionTile* tiles = nullptr;
  std::int64_t tile_count = 0;
  const std::int32_t* single_positions = nullptr;
  std::int64_t singles = 0;       // rows in no tile
  std::int64_t single_reach = 0;  // max_positions of those
};

/// Collects arrays, copies them, and then says where each lies. The places of arrays depend on the
/// sizes of those before them alone, so that steps of one shape find everything where it was. Not
/// thread-safe.
class RowInputs {
 public:
  /// All must outlive it; `changes` counts moves of memory that graphs refer to.
  RowInputs(Driver& driver, Stream stream, std::uint64_t& changes);
  ~RowInputs();
  RowInputs(const RowInputs&) = delete;

  /// Starts over. What was copied before stays until flush().
  void begin();
  void add_ids(std::span<const std::int32_t> ids);
  void add_rows(std::span<const std::int64_t> rows);
  /// `count` rows in all; those of no slice belong to nobody. They are said to reach
  /// `max_positions`, or as far as they do when that is more. With `tiles`, long runs become
  /// tiles.
  void add_slices(std::span<const Slice> slices, std::int64_t count, std::int64_t block_tokens,
                  std::int64_t max_positions, bool tiles);
  /// Queues the copy. kFailed when there is no memory.
  Status flush();

  /// Where an array lies that was added; null when it was not. Found by address, so the array must
  /// be the one that was added.
  const std::int32_t* ids(std::span<const std::int32_t> ids) const;
  const std::int64_t* rows(std::span<const std::int64_t> rows) const;
  const DeviceRows* slices(std::span<const Slice> slices) const;

 private:
  struct Array {
    const void* host;
    std::size_t count;
    std::size_t offset;
  };
  struct Rows {
    std::span<const Slice> slices;
    std::size_t positions;  // offsets
    std::size_t tables;
    std::size_t singles;
    std::size_t tiles;
    DeviceRows device;
  };

  /// A block table in `blocks_`.
  struct Table {
    const std::int32_t* host;
    std::int64_t count;
    std::int32_t start;
  };

  template <typename T>
  std::size_t append(std::span<const T> values);
  std::int32_t place(const std::int32_t* table, std::int64_t count, std::size_t known);
  const std::byte* find(const void* host, std::size_t count) const;

  Driver& driver_;
  Stream stream_;
  std::uint64_t& changes_;
  Event copied_;
  bool copying_ = false;
  HostBuffer staging_;
  DeviceBuffer device_;
  std::vector<std::byte> bytes_;
  std::vector<std::int32_t> blocks_;  // tables of all slices, behind everything else
  std::vector<Table> tables_;
  std::size_t next_ = 0;  // of the tables: where the one that is looked for probably is
  std::vector<Array> arrays_;
  std::vector<Rows> rows_;
};

}  // namespace bundle::kernels::cuda
