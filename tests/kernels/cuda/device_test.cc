// The backend's host code on the emulator: graphs, failures, and calls outside of a step. What the
// models compute with it is held by tests/model.
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

#include "runtime/kernels/cuda/cuda_device.h"
#include "runtime/kernels/cuda/emulator/block.h"
#include "runtime/kernels/cuda/emulator/emulated_driver.h"
#include "runtime/kernels/dequantize.h"
#include "tests/kernels/random_weights.h"

namespace bundle::kernels::cuda {
namespace {

constexpr std::int64_t kCols = 64;
constexpr AttentionShape kShape{4, 2, 16, 0.25f, 0};

/// A layer of attention between an embedding and an output matrix, over two sequences.
class Decoder {
 public:
  explicit Decoder(const DeviceOptions& options, const EmulatorOptions& emulated = {}) {
    auto driver = make_emulated_driver(emulated);
    driver_ = driver.get();
    device_ = std::move(make_device(std::move(driver), kOps, options)).value();
    const RandomWeights table = random_weights(DType::kBF16, 50, kCols, 1);
    const RandomWeights qkv = random_weights(DType::kQ8_0, 128, kCols, 2);
    const WeightView table_view = table.view();
    const WeightView qkv_view = qkv.view();
    table_ = std::move(device_->pack({&table_view, 1})).value();
    qkv_ = std::move(device_->pack({&qkv_view, 1})).value();
    norm_ = device_->place(random_floats(kCols, 3)).value();
    freq_ = device_->place(std::vector<float>{1.0f, 0.5f, 0.25f, 0.1f, 0.05f, 0.02f, 0.01f, 0.001f})
                .value();
    arena_ = device_->make_arena();
    cache_ = std::move(device_->make_kv_cache({1, 2, 16, 16, DType::kF16}, 20)).value();
  }

  Device& device() { return *device_; }
  Driver& driver() { return *driver_; }
  int bodies() const { return bodies_; }

  /// One token for each of `tables.size()` sequences at `position`.
  std::vector<float> step(std::int64_t position, std::vector<std::vector<std::int32_t>>& tables) {
    const auto count = static_cast<std::int64_t>(tables.size());
    std::vector<std::int32_t> ids;
    std::vector<std::int64_t> kept;
    std::vector<Slice> slices;
    for (std::int64_t i = 0; i < count; ++i) {
      ids.push_back(static_cast<std::int32_t>((7 * position + 3 * i) % 50));
      kept.push_back(i);
      slices.push_back({i, 1, position, tables[static_cast<std::size_t>(i)].data()});
    }
    const Tensor out = take(count, kShape.heads * kShape.head_dim);
    device_->run_step({ids, slices, kept, slices, cache_.get()}, [&] {
      ++bodies_;
      const Tensor x = take(count, kCols);
      const Tensor qkv = take(count, 128);
      device_->embed(*table_, ids, x);
      device_->norm_matmul(x, {norm_.data(), kCols}, 1e-5f, *qkv_, nullptr, qkv);
      device_->rope_and_store(qkv, kShape, {freq_.data(), 16}, {}, {}, 1e-5f, slices, *cache_, 0);
      device_->attention(qkv, kShape, slices, *cache_, 0, out);
    });
    std::vector<float> values(static_cast<std::size_t>(out.rows * out.cols));
    device_->read(out, values.data());
    arena_->reset();
    return values;
  }

 private:
  Tensor take(std::int64_t rows, std::int64_t cols) {
    return {arena_->take(static_cast<std::size_t>(rows * cols) * sizeof(float)), rows, cols};
  }

  Driver* driver_ = nullptr;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Matrix> table_, qkv_;
  DeviceVector norm_, freq_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<KvCache> cache_;
  int bodies_ = 0;
};

TEST(CudaGraphs, ReplayedStepsGiveWhatPlainStepsGive) {
  Decoder plain({.graphs = false});
  Decoder graphs({.graphs = true});
  std::vector<std::vector<std::int32_t>> tables = {{3, 1, 7, 9, 11, 2}, {0, 8, 5, 4, 6, 10}};
  for (std::int64_t position = 0; position < 80; ++position) {
    ASSERT_EQ(graphs.step(position, tables), plain.step(position, tables)) << position;
  }
  EXPECT_EQ(plain.bodies(), 80);
  // A few plain steps and one capture for each reach of the sequences (64, then 128).
  EXPECT_LE(graphs.bodies(), 8);
  EXPECT_TRUE(graphs.device().status().has_value());
}

TEST(CudaGraphs, AnotherNumberOfSequencesIsAnotherGraph) {
  Decoder plain({.graphs = false});
  Decoder graphs({.graphs = true});
  std::vector<std::vector<std::int32_t>> two = {{3, 1}, {0, 8}};
  std::vector<std::vector<std::int32_t>> one = {{3, 1}};
  for (std::int64_t position = 0; position < 20; ++position) {
    ASSERT_EQ(graphs.step(position, two), plain.step(position, two)) << position;
    if (position % 3 != 0) continue;
    ASSERT_EQ(graphs.step(position, one), plain.step(position, one)) << position;
  }
  EXPECT_LT(graphs.bodies(), 10);
}

TEST(CudaDevice, OutOfMemorySaysHowMuchIsMissing) {
  auto device =
      std::move(make_device(make_emulated_driver({.memory_bytes = 1 << 20}), kOps)).value();
  const auto cache = device->make_kv_cache({4, 8, 128, 16, DType::kF16}, 100);
  ASSERT_TRUE(cache.has_error());
  EXPECT_EQ(cache.error().code, ErrorCode::kFailed);
  EXPECT_THAT(cache.error().message(), testing::HasSubstr("the key/value cache"));
  EXPECT_THAT(cache.error().message(), testing::HasSubstr("GiB missing"));
  EXPECT_THAT(cache.error().remedy, testing::HasSubstr("bundle size"));
}

TEST(CudaDevice, RefusesCachesOfMoreVectorsThanKernelsNumber) {
  auto device = std::move(make_device(make_emulated_driver(), kOps)).value();
  const auto cache = device->make_kv_cache({1, 8, 8, 16, DType::kF8E4M3}, std::int64_t{1} << 24);
  ASSERT_TRUE(cache.has_error());
  EXPECT_EQ(cache.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(cache.error().message(), testing::HasSubstr("too many elements"));
}

TEST(CudaDevice, AFaultIsTheDevicesStatus) {
  Decoder decoder({});
  std::vector<std::vector<std::int32_t>> tables = {{1000000}};  // no such block
  decoder.step(0, tables);
  const Status status = decoder.device().status();
  ASSERT_TRUE(status.has_error());
  EXPECT_THAT(status.error().message(), testing::HasSubstr("outside of device memory"));
}

TEST(CudaDevice, RefusesWhatItCanNotMultiply) {
  auto device = std::move(make_device(make_emulated_driver(), kOps)).value();
  const std::vector<std::byte> bytes(4096);
  const WeightView integers{DType::kI32, bytes, 4, 256};
  EXPECT_EQ(device->pack({&integers, 1}).error().code, ErrorCode::kBadInput);
  const WeightView cut{DType::kF32, bytes, 5, 256};
  EXPECT_EQ(device->pack({&cut, 1}).error().code, ErrorCode::kBadInput);
  const WeightView uneven{DType::kQ4K, bytes, 1, 100};
  EXPECT_EQ(device->pack({&uneven, 1}).error().code, ErrorCode::kBadInput);
  const WeightView parts[] = {{DType::kF32, bytes, 4, 256}, {DType::kF32, bytes, 8, 128}};
  EXPECT_EQ(device->pack(parts).error().code, ErrorCode::kBadInput);
  EXPECT_EQ(device->pack({}).error().code, ErrorCode::kBadInput);
  EXPECT_EQ(device->make_kv_cache({1, 1, 512, 16, DType::kF16}, 1).error().code,
            ErrorCode::kBadInput);
}

TEST(CudaDevice, EightBitWeightsWithBlockScales) {
  constexpr std::int64_t kRows = 200;
  constexpr std::int64_t kWide = 320;
  auto device = std::move(make_device(make_emulated_driver(), kOps)).value();
  std::vector<std::byte> bytes(kRows * kWide);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(i * 37 % 251 & 0xBFu);  // no NaN, small
  }
  const std::vector<float> scales = random_floats(2 * 3, 5);
  WeightView view{DType::kF8E4M3, bytes, kRows, kWide};
  view.block_scales = scales.data();
  view.scale_stride = 3;
  const auto matrix = std::move(device->pack({&view, 1})).value();
  const RandomWeights table = random_weights(DType::kF32, 1, kWide, 6);
  const WeightView table_view = table.view();
  const auto embedding = std::move(device->pack({&table_view, 1})).value();
  const auto arena = device->make_arena();
  const Tensor x{arena->take(kWide * 4), 1, kWide};
  const Tensor y{arena->take(kRows * 4), 1, kRows};
  const std::vector<std::int32_t> ids = {0};
  device->embed(*embedding, ids, x);
  device->matmul(*matrix, x, nullptr, false, y);
  std::vector<float> got(kRows);
  device->read(y, got.data());
  const std::vector<float> in = table.row(0);
  for (std::int64_t r = 0; r < kRows; ++r) {
    std::vector<float> row(kWide);
    dequantize_row(view, r, row.data());
    double sum = 0.0;
    for (std::size_t c = 0; c < row.size(); ++c) sum += static_cast<double>(row[c]) * in[c];
    EXPECT_NEAR(got[static_cast<std::size_t>(r)], sum, 1e-4 * (1 + std::abs(sum))) << r;
  }
}

TEST(CudaDevice, RefusesMixturesAndLatentsThatItHasNoKernelsFor) {
  auto device = std::move(make_device(make_emulated_driver(), kOps)).value();
  EXPECT_EQ(device->pack_experts({}).error().code, ErrorCode::kBadInput);
  const RandomWeights wide = random_weights(DType::kF32, 8, 16, 1);
  const RandomWeights down = random_weights(DType::kF32, 16, 8, 2);
  const RandomWeights half = random_weights(DType::kF16, 8, 16, 3);
  const ExpertView good{wide.view(), wide.view(), down.view()};
  const ExpertView other{half.view(), wide.view(), down.view()};
  const ExpertView turned{wide.view(), wide.view(), wide.view()};
  EXPECT_TRUE(device->pack_experts({&good, 1}));
  const ExpertView unlike[] = {good, other};
  EXPECT_THAT(device->pack_experts(unlike).error().message(), testing::HasSubstr("differ"));
  EXPECT_THAT(device->pack_experts({&turned, 1}).error().message(),
              testing::HasSubstr("do not fit"));
  KvShape latent{1, 1, 640, 16, DType::kBF16};
  latent.latent_rank = 576;
  EXPECT_THAT(device->make_kv_cache(latent, 1).error().message(), testing::HasSubstr("latents"));
  EXPECT_EQ(device->make_kv_cache({1, 1, 64, 16, DType::kQ8_0}, 1).error().code,
            ErrorCode::kBadInput);
}

/// Views that begin inside a block of scales, as the heads of latent attention may.
TEST(CudaDevice, EightBitPartsThatBeginInsideABlock) {
  constexpr std::int64_t kWide = 160;
  auto device = std::move(make_device(make_emulated_driver(), kOps)).value();
  std::vector<std::byte> bytes(300 * kWide);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(i * 37 % 251 & 0xBFu);
  }
  const std::vector<float> scales = random_floats(3 * 2, 5);
  std::vector<WeightView> views;
  for (const std::int64_t first : {std::int64_t{100}, std::int64_t{0}}) {
    WeightView view{DType::kF8E4M3, std::span(bytes).subspan(first * kWide, 150 * kWide), 150,
                    kWide};
    view.block_scales = scales.data();
    view.scale_stride = 2;
    view.scale_row = first;
    views.push_back(view);
  }
  const auto matrix = std::move(device->pack(views)).value();
  std::vector<std::int32_t> ids(300);
  std::iota(ids.begin(), ids.end(), 0);
  const auto arena = device->make_arena();
  const Tensor out{arena->take(300 * kWide * 4), 300, kWide};
  device->embed(*matrix, ids, out);
  std::vector<float> got(300 * kWide), row(kWide);
  device->read(out, got.data());
  for (std::int64_t r = 0; r < 300; ++r) {
    dequantize_row(views[static_cast<std::size_t>(r / 150)], r % 150, row.data());
    for (std::int64_t c = 0; c < kWide; ++c) {
      ASSERT_FLOAT_EQ(got[static_cast<std::size_t>(r * kWide + c)],
                      row[static_cast<std::size_t>(c)])
          << r << " " << c;
    }
  }
}

TEST(CudaDevice, StackedPartsOfDifferentTypes) {
  auto device = std::move(make_device(make_emulated_driver(), kOps)).value();
  const RandomWeights parts[] = {random_weights(DType::kQ4K, 20, 256, 1),
                                 random_weights(DType::kQ4K, 5, 256, 2),
                                 random_weights(DType::kBF16, 9, 256, 3)};
  const WeightView views[] = {parts[0].view(), parts[1].view(), parts[2].view()};
  const auto matrix = std::move(device->pack(views)).value();
  ASSERT_EQ(matrix->rows(), 34);
  const auto arena = device->make_arena();
  const auto table = random_weights(DType::kF32, 3, 256, 4);
  const WeightView table_view = table.view();
  const auto embedding = std::move(device->pack({&table_view, 1})).value();
  const Tensor x{arena->take(3 * 256 * 4), 3, 256};
  const Tensor y{arena->take(3 * 34 * 4), 3, 34};
  const std::vector<std::int32_t> ids = {2, 0, 1};
  device->embed(*embedding, ids, x);
  device->matmul(*matrix, x, nullptr, false, y);
  std::vector<float> got(3 * 34);
  device->read(y, got.data());
  for (std::size_t t = 0; t < 3; ++t) {
    const std::vector<float> in = table.row(ids[t]);
    std::size_t at = t * 34;
    for (const RandomWeights& part : parts) {
      for (std::int64_t r = 0; r < part.rows; ++r, ++at) {
        const std::vector<float> row = part.row(r);
        double sum = 0.0;
        for (std::size_t c = 0; c < 256; ++c) sum += static_cast<double>(row[c]) * in[c];
        EXPECT_NEAR(got[at], sum, 1e-5) << t << " " << r;
      }
    }
  }
}

}  // namespace
}  // namespace bundle::kernels::cuda
