// From a checkpoint's tensors to a device's matrices: every shape is checked here, and nowhere
// later.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "runtime/format/checkpoint.h"
#include "runtime/format/weight_scales.h"
#include "runtime/kernels/device.h"
#include "runtime/model/team.h"

namespace bundle::model {

/// What was made of a published matrix, and its view refers to instead.
struct MadeOf {
  std::unique_ptr<std::byte[]> columns;  // cut out of it, whole rows one after the other; or null
  std::size_t columns_size = 0;
  std::vector<float> scales;  // of rows or of the matrix, spread over 128 columns each; or empty
};

/// A packed matrix with its bias (empty: none).
struct Linear {
  std::unique_ptr<kernels::Matrix> weight;
  kernels::DeviceVector bias;
  std::vector<float> source;  // what `weight` refers to, where that is not the checkpoint
  std::vector<MadeOf> made;   // the same, where it was cut or its scales spread

  const float* bias_data() const { return bias.data(); }
};

/// One published matrix of a Linear: `name` without ".weight", the rows it must have, and those
/// that are taken of it.
struct LinearPart {
  std::string name;
  std::int64_t rows = 0;
  Part take = {};
};

enum class Bias { kNone, kIfPublished, kRequired };

/// One expert's three published matrices, by name without ".weight".
struct ExpertNames {
  std::string gate;
  std::string up;
  std::string down;
};

/// Rows first … first + count - 1 of a matrix.
kernels::WeightView rows_of(const kernels::WeightView& matrix, const Part& part);

/// Experts of a layer, with what was made of published matrices and they refer to.
struct LoadedExperts {
  std::unique_ptr<kernels::Experts> experts;
  std::vector<MadeOf> made;
};

/// A published matrix whose shape was checked, or a part of one, with the tensors it is made of.
struct PublishedMatrix {
  const format::TensorView* tensor = nullptr;
  format::WeightScales scales;  // of 8-bit elements
  kernels::WeightView view;
  Bytes rows;   // of the tensor: what was read
  MadeOf made;  // what `view` refers to, where that is not the checkpoint
};

/// Reads and packs the weights of one model, and tells of progress. Not thread-safe.
class WeightLoader {
 public:
  /// All arguments must outlive the loader. `team` is null for a rank that has the whole model.
  WeightLoader(const format::Checkpoint& checkpoint, kernels::Device& device,
               const Progress& progress, const Team* team = nullptr);

  /// Where this rank stands, and with whom.
  const Placement& placement() const { return placement_; }
  Partners stage() const { return team_ == nullptr ? Partners() : team_->stage(); }
  Partners attention() const { return team_ == nullptr ? Partners() : team_->attention(); }

  /// Tensors of this layer ("model.layers.61.") will not be loaded: progress does not count them.
  void leave_out(std::string_view layer);
  /// The same for one matrix, named without ".weight", and its scales.
  void leave_out_matrix(const std::string& name);
  /// Columns of this matrix, named without ".weight", can be parted at multiples of so many.
  std::int64_t column_unit(const std::string& name) const;

  /// The published vector `name`, in float. kBadInput when it is missing or has another shape.
  Result<std::vector<float>> vector(std::string_view name, std::int64_t size);
  /// The same; empty when it is not published.
  Result<std::vector<float>> optional_vector(std::string_view name, std::int64_t size);

  /// The published vector in the device's memory.
  Result<kernels::DeviceVector> device_vector(std::string_view name, std::int64_t size);

  /// The parts stacked by rows into one matrix of `cols` columns. Source pages that the matrix
  /// does not use are dropped. With kIfPublished, parts without a bias count as zeros beside
  /// parts that have one. With `taken`, those columns alone make up the matrix; kUsage where they
  /// would cut a block of a quantized type.
  Result<Linear> linear(std::span<const LinearPart> parts, std::int64_t cols,
                        Bias bias = Bias::kNone, const Part& taken = {});
  Result<Linear> linear(const LinearPart& part, std::int64_t cols, Bias bias = Bias::kNone,
                        const Part& taken = {}) {
    return linear(std::span(&part, 1), cols, bias, taken);
  }

  /// One matrix in float32, whatever its published type: for products whose rounding decides more
  /// than a value's last digits.
  Result<Linear> wide_linear(const LinearPart& part, std::int64_t cols);

  /// Experts of one layer: gate and up (width, hidden), down (hidden, width); of each, the inner
  /// elements of `taken`.
  Result<LoadedExperts> experts(std::span<const ExpertNames> names, std::int64_t hidden,
                                std::int64_t width, const Part& taken = {});

  /// The published matrix `name` (with ".weight"), or a part of its rows and columns, as it lies in
  /// the checkpoint. An 8-bit matrix needs its scales (format/weight_scales.h). kBadInput as above.
  Result<PublishedMatrix> matrix(const std::string& name, std::int64_t rows, std::int64_t cols,
                                 const Part& row_part = {}, const Part& column_part = {});
  /// Whether the checkpoint has a tensor of this name.
  bool has(std::string_view name) const;
  /// Whether `name` is missing, or the bytes of those rows are those of `other`; then it counts as
  /// loaded.
  Result<bool> same_or_absent(std::string_view name, std::string_view other, const Part& rows);
  /// The published tensor of that very shape.
  Result<const format::TensorView*> tensor(std::string_view name,
                                           const std::vector<std::int64_t>& shape);
  /// Counts a matrix as loaded; its pages are dropped unless the device uses them.
  Status loaded(const PublishedMatrix& matrix, bool uses_source);
  /// Packs views of one matrix, naming `where` in an error, and counts its memory.
  Result<std::unique_ptr<kernels::Matrix>> pack(std::span<const kernels::WeightView> views,
                                                const std::string& where);

  /// Private memory of what was loaded so far.
  std::uint64_t resident_bytes() const { return resident_; }
  /// Bytes of the checkpoint that were read.
  std::uint64_t read_bytes() const { return read_; }

 private:
  Result<std::vector<float>> widen(const format::TensorView& tensor);
  Result<std::vector<float>> bias_of(std::span<const LinearPart> parts, Bias bias);
  Status cut_columns(PublishedMatrix& published, const Part& part) const;
  Status add_scales(PublishedMatrix& published) const;
  Status tell(std::uint64_t bytes);

  const format::Checkpoint& checkpoint_;
  kernels::Device& device_;
  const Progress& progress_;
  const Team* team_;
  Placement placement_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::uint64_t resident_ = 0;
  std::uint64_t read_ = 0;
};

}  // namespace bundle::model
