#include "packager/quantize/file_maker.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <mutex>
#include <optional>
#include <thread>
#include <unistd.h>

#include "runtime/quantize/quantize.h"

namespace bundle::packager::quantize {
namespace {

using bundle::quantize::kScaleBlock;

constexpr std::int64_t kPieceElements = 1 << 18;  // of one thread at a time: 1 MB of floats
constexpr std::int64_t kPieceCols = kPieceElements / kScaleBlock;
constexpr std::size_t kMostThreads = 16;
constexpr float kMostMagnitude = 65504.0f;  // of a half: the scales of blocks are halfs

/// Rows first_row … first_row + rows of a tensor, and of these the columns that are done at once.
struct Piece {
  const PlannedTensor* tensor = nullptr;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int64_t first_col = 0;
  std::int64_t cols = 0;
};

/// FP8 is cut along its blocks; other types into whole rows.
void cut(const PlannedTensor& tensor, std::vector<Piece>& pieces) {
  const std::int64_t rows = tensor.rows(), cols = tensor.cols();
  const bool is_f8 = tensor.type == DType::kF8E4M3;
  const std::int64_t high = is_f8 ? kScaleBlock : std::max<std::int64_t>(1, kPieceElements / cols);
  const std::int64_t wide = is_f8 ? kPieceCols : cols;
  for (std::int64_t r = 0; r < rows; r += high) {
    for (std::int64_t c = 0; c < cols; c += wide) {
      pieces.push_back({&tensor, r, std::min(high, rows - r), c, std::min(wide, cols - c)});
    }
  }
}

Status write_at(int fd, const void* bytes, std::size_t size, std::uint64_t at) {
  const char* from = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t n = ::pwrite(fd, from, size, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_error("cannot write the quantized weights");
    from += n;
    size -= static_cast<std::size_t>(n);
    at += static_cast<std::uint64_t>(n);
  }
  return {};
}

/// One thread's buffers and what it does with a piece.
class Worker {
 public:
  explicit Worker(int descriptor) : fd_(descriptor) {}

  Status run(const Piece& piece) {
    values_.resize(static_cast<std::size_t>(piece.rows * piece.cols));
    read(piece);
    const float largest =
        bundle::quantize::largest_magnitude(values_.data(), piece.rows * piece.cols);
    const DType type = piece.tensor->type;
    if (std::isfinite(largest) && largest > kMostMagnitude && is_quantized(type)) {
      return bad_input("the tensor '" + piece.tensor->name + "' holds a number over 65504, which " +
                       std::string(dtype_info(type).name) + " cannot");
    }
    if (!std::isfinite(largest)) {
      return bad_input("the tensor '" + piece.tensor->name + "' holds a number that is not finite",
                       "", "The checkpoint is damaged: fetch it again.");
    }
    if (type == DType::kF8E4M3) return write_f8(piece);
    return type == DType::kI8 ? write_int8(piece) : write_rows(piece);
  }

 private:
  void read(const Piece& piece) {
    const PlannedTensor& tensor = *piece.tensor;
    if (tensor.parts.empty()) {
      std::ranges::copy(tensor.values, values_.begin());
      return;
    }
    for (std::int64_t r = 0; r < piece.rows; ++r) {
      read_row(tensor, piece.first_row + r, piece, values_.data() + r * piece.cols);
    }
  }

  static void read_row(const PlannedTensor& tensor, std::int64_t row, const Piece& piece,
                       float* out) {
    const RowOrigin origin = origin_of(tensor, row);
    const PublishedPart& part = tensor.parts[origin.part];
    const bool has_scales = part.scales != nullptr;  // then the piece has whole rows
    const bundle::quantize::SourceMatrix matrix{
        part.tensor->type, part.tensor->data,
        tensor.rows() / static_cast<std::int64_t>(tensor.parts.size()), tensor.cols(),
        has_scales ? reinterpret_cast<const float*>(part.scales->data.data()) : nullptr};
    bundle::quantize::read_row(matrix, origin.row, piece.first_col, piece.cols, out);
  }

  Status write_rows(const Piece& piece) {
    const PlannedTensor& tensor = *piece.tensor;
    const std::uint64_t row_bytes = tensor.bytes() / static_cast<std::uint64_t>(tensor.rows());
    bytes_.resize(row_bytes * static_cast<std::size_t>(piece.rows));
    bundle::quantize::encode_row(tensor.type, values_.data(), piece.rows * piece.cols,
                                 bytes_.data());
    return write_at(fd_, bytes_.data(), bytes_.size(),
                    tensor.offset + row_bytes * static_cast<std::uint64_t>(piece.first_row));
  }

  Status write_f8(const Piece& piece) {
    const PlannedTensor& tensor = *piece.tensor;
    bytes_.resize(values_.size());
    std::vector<float> scales(
        static_cast<std::size_t>((piece.cols + kScaleBlock - 1) / kScaleBlock));
    bundle::quantize::encode_f8_strip(values_.data(), piece.rows, piece.cols, piece.cols,
                                      bytes_.data(), scales.data());
    for (std::int64_t r = 0; r < piece.rows; ++r) {
      const std::int64_t at = (piece.first_row + r) * tensor.cols() + piece.first_col;
      BUNDLE_CHECK(write_at(fd_, bytes_.data() + r * piece.cols,
                            static_cast<std::size_t>(piece.cols),
                            tensor.offset + static_cast<std::uint64_t>(at)));
    }
    const std::int64_t stride = (tensor.cols() + kScaleBlock - 1) / kScaleBlock;
    const std::int64_t at = piece.first_row / kScaleBlock * stride + piece.first_col / kScaleBlock;
    return write_at(fd_, scales.data(), scales.size() * sizeof(float),
                    tensor.scales_offset + static_cast<std::uint64_t>(at) * sizeof(float));
  }

  Status write_int8(const Piece& piece) {
    const PlannedTensor& tensor = *piece.tensor;
    bytes_.resize(values_.size());
    std::vector<float> scales(static_cast<std::size_t>(piece.rows));
    bundle::quantize::encode_int8_rows(values_.data(), piece.rows, piece.cols, bytes_.data(),
                                       scales.data());
    const auto row = static_cast<std::uint64_t>(piece.first_row);
    BUNDLE_CHECK(write_at(fd_, bytes_.data(), bytes_.size(),
                          tensor.offset + row * static_cast<std::uint64_t>(tensor.cols())));
    return write_at(fd_, scales.data(), scales.size() * sizeof(float),
                    tensor.scales_offset + row * sizeof(float));
  }

  int fd_;
  std::vector<float> values_;
  std::vector<std::byte> bytes_;
};

/// Hands the pieces of one tensor out to the threads and keeps the first error.
class Crew {
 public:
  Crew(std::vector<Piece> pieces, const ElementMeter& meter)
      : pieces_(std::move(pieces)), meter_(meter) {}

  void work(Worker& worker) {
    for (std::size_t i; !stopped_ && (i = next_++) < pieces_.size();) {
      const Piece& piece = pieces_[i];
      Status done = worker.run(piece);
      const std::lock_guard lock(mutex_);
      if (done && !meter_(static_cast<std::uint64_t>(piece.rows * piece.cols))) {
        done = Error{ErrorCode::kInterrupted, "the build was interrupted", "",
                     "Run it again to start anew."};
      }
      if (done || error_) continue;
      error_ = std::move(done).error();
      stopped_ = true;
    }
  }

  Status result() const {
    if (error_) return *error_;
    return {};
  }

 private:
  std::vector<Piece> pieces_;
  const ElementMeter& meter_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  std::optional<Error> error_;
};

Status make_tensor(const PlannedTensor& tensor, std::vector<Worker>& workers,
                   const ElementMeter& meter) {
  std::vector<Piece> pieces;
  cut(tensor, pieces);
  const std::size_t used = std::min(workers.size(), pieces.size());
  Crew crew(std::move(pieces), meter);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < used; ++i) threads.emplace_back([&, i] { crew.work(workers[i]); });
  crew.work(workers.front());
  for (std::thread& thread : threads) thread.join();
  return crew.result();
}

}  // namespace

Status make_file(const PlannedFile& file, const format::Checkpoint& checkpoint, int descriptor,
                 int threads, const ElementMeter& meter) {
  const std::size_t count = threads > 0 ? static_cast<std::size_t>(threads)
                                        : std::max(1u, std::thread::hardware_concurrency());
  std::vector<Worker> workers(std::min(count, kMostThreads), Worker(descriptor));
  if (::ftruncate(descriptor, static_cast<off_t>(file.size)) != 0) {
    return system_error("cannot make room for the quantized weights");
  }
  BUNDLE_CHECK(write_at(descriptor, file.head.data(), file.head.size(), 0));
  for (const PlannedTensor& tensor : file.tensors) {
    BUNDLE_CHECK(make_tensor(tensor, workers, meter));
    for (const PublishedPart& part : tensor.parts) checkpoint.drop(*part.tensor);
  }
  return {};
}

}  // namespace bundle::packager::quantize
