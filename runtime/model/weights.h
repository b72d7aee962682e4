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
#include "runtime/kernels/device.h"

namespace bundle::model {

/// A packed matrix with its bias (empty: none).
struct Linear {
  std::unique_ptr<kernels::Matrix> weight;
  kernels::DeviceVector bias;
  std::vector<float> source;  // what `weight` refers to, where that is not the checkpoint

  const float* bias_data() const { return bias.data(); }
};

/// One published matrix of a Linear: `name` without ".weight", and the rows it must have.
struct LinearPart {
  std::string name;
  std::int64_t rows = 0;
};

enum class Bias { kNone, kIfPublished, kRequired };

/// One expert's three published matrices, by name without ".weight".
struct ExpertNames {
  std::string gate;
  std::string up;
  std::string down;
};

/// A published matrix whose shape was checked, with the tensors it is made of.
struct PublishedMatrix {
  const format::TensorView* tensor = nullptr;
  const format::TensorView* scales = nullptr;  // of 128x128 blocks; null for other types
  kernels::WeightView view;
};

/// Reads and packs the weights of one model, and tells of progress. Not thread-safe.
class WeightLoader {
 public:
  /// All arguments must outlive the loader.
  WeightLoader(const format::Checkpoint& checkpoint, kernels::Device& device,
               const Progress& progress);

  /// Tensors of this layer ("model.layers.61.") will not be loaded: progress does not count them.
  void leave_out(std::string_view layer);

  /// The published vector `name`, in float. kBadInput when it is missing or has another shape.
  Result<std::vector<float>> vector(std::string_view name, std::int64_t size);
  /// The same; empty when it is not published.
  Result<std::vector<float>> optional_vector(std::string_view name, std::int64_t size);

  /// The published vector in the device's memory.
  Result<kernels::DeviceVector> device_vector(std::string_view name, std::int64_t size);

  /// The parts stacked by rows into one matrix of `cols` columns. Source pages that the matrix
  /// does not use are dropped. With kIfPublished, parts without a bias count as zeros beside
  /// parts that have one.
  Result<Linear> linear(std::span<const LinearPart> parts, std::int64_t cols,
                        Bias bias = Bias::kNone);
  Result<Linear> linear(const LinearPart& part, std::int64_t cols, Bias bias = Bias::kNone) {
    return linear(std::span(&part, 1), cols, bias);
  }

  /// One matrix in float32, whatever its published type: for products whose rounding decides more
  /// than a value's last digits.
  Result<Linear> wide_linear(const LinearPart& part, std::int64_t cols);

  /// The experts of one layer: gate and up (width, hidden), down (hidden, width).
  Result<std::unique_ptr<kernels::Experts>> experts(std::span<const ExpertNames> names,
                                                    std::int64_t hidden, std::int64_t width);

  /// The published matrix `name` (with ".weight") as it lies in the checkpoint. An 8-bit matrix
  /// needs its scales, `name`_scale_inv. kBadInput as above.
  Result<PublishedMatrix> matrix(const std::string& name, std::int64_t rows, std::int64_t cols);
  /// Whether the checkpoint has a tensor of this name.
  bool has(std::string_view name) const;
  /// Whether `name` is missing, or its bytes are those of `other`; then it counts as loaded.
  Result<bool> same_or_absent(std::string_view name, std::string_view other);
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

 private:
  Result<std::vector<float>> widen(const format::TensorView& tensor);
  Result<std::vector<float>> bias_of(std::span<const LinearPart> parts, Bias bias);
  Result<const format::TensorView*> scales_of(const format::TensorView& tensor,
                                              const std::string& name);
  Status tell(std::uint64_t bytes);

  const format::Checkpoint& checkpoint_;
  kernels::Device& device_;
  const Progress& progress_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::uint64_t resident_ = 0;
};

}  // namespace bundle::model
