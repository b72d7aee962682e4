#include "tests/golden/synthetic_checkpoint.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/json.h"
#include "tests/golden/fp8_blocks.h"
#include "tests/golden/golden_weights.h"
#include "tests/golden/published_tensors.h"

namespace bundle::golden {
namespace {

/// Rows of a piece: whole blocks of scales.
constexpr std::int64_t kPieceRows = 128;

std::int64_t rows_of(const TensorSpec& tensor) {
  return tensor.shape.size() == 1 ? 1 : tensor.shape.front();
}

class Writer {
 public:
  Writer(const Golden& golden, const Path& file, const Progress& progress)
      : golden_(golden), file_(file, std::ios::binary | std::ios::trunc), progress_(progress) {
    for (const TensorSpec& tensor : golden.tensors) {
      total_ += storage_bytes(tensor.type, tensor.elements()).value();
    }
  }

  Status run() {
    write(safetensors_header(golden_.tensors));
    for (const TensorSpec& tensor : golden_.tensors) BUNDLE_CHECK(write_tensor(tensor));
    file_.close();
    if (!file_) return failed("the file could not be written");
    return {};
  }

 private:
  void write(std::string_view bytes) {
    file_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  /// Scales follow their matrix in the order of names, so they are at hand when their turn comes.
  Status write_tensor(const TensorSpec& tensor) {
    if (tensor.name.ends_with("_scale_inv")) {
      write({reinterpret_cast<const char*>(scales_.data()), scales_.size() * sizeof(float)});
      return tell(scales_.size() * sizeof(float));
    }
    scales_.clear();
    const std::int64_t rows = rows_of(tensor);
    const std::int64_t cols = tensor.elements() / rows;
    for (std::int64_t row = 0; row < rows; row += kPieceRows) {
      const std::int64_t count = std::min(kPieceRows, rows - row);
      const std::string bytes = piece(tensor, row * cols, count, cols);
      write(bytes);
      BUNDLE_CHECK(tell(bytes.size()));
    }
    return {};
  }

  std::string piece(const TensorSpec& tensor, std::int64_t first, std::int64_t rows,
                    std::int64_t cols) {
    const std::vector<float> values = tensor_values(golden_, tensor, first, rows * cols);
    if (tensor.type != DType::kF8E4M3) return narrow(tensor.type, values);
    Fp8Blocks blocks = to_fp8_blocks(values, rows, cols);
    scales_.insert(scales_.end(), blocks.scales.begin(), blocks.scales.end());
    return std::move(blocks.codes);
  }

  Status tell(std::uint64_t bytes) {
    done_ += bytes;
    if (!progress_ || progress_("writing the checkpoint", done_, total_)) return {};
    return Error{ErrorCode::kInterrupted, "writing the checkpoint was interrupted"};
  }

  const Golden& golden_;
  std::ofstream file_;
  const Progress& progress_;
  std::vector<float> scales_;  // of the last matrix
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace

Status write_synthetic_checkpoint(const std::string& config_json, std::uint64_t seed,
                                  const Path& folder, const Progress& progress) {
  Golden golden;
  golden.config_json = config_json;
  golden.seed = seed;
  BUNDLE_TRY(const Json config, parse_json(config_json, "config.json"));
  BUNDLE_TRY(golden.tied, get_bool_or(config, "tie_word_embeddings", false, "config.json"));
  BUNDLE_TRY(golden.tensors, published_tensors(config_json));
  BUNDLE_CHECK(make_directories(folder));
  BUNDLE_CHECK(write_file_atomic(folder / "config.json", config_json));
  return Writer(golden, folder / "model.safetensors", progress).run();
}

}  // namespace bundle::golden
