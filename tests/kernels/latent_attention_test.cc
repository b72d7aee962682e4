// Latent attention of every instruction set in both forms against the reference device, and its
// independence of how a sequence is cut into steps.
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
#include <random>

#include "runtime/kernels/cpu_device.h"
#include "runtime/model/transposed.h"
#include "tests/kernels/random_weights.h"

namespace bundle::kernels {
namespace {

constexpr std::int64_t kLayers = 2;

LatentShape latent_shape(std::int64_t heads, std::int64_t nope, std::int64_t rope,
                         std::int64_t rank, std::int64_t value) {
  LatentShape shape{heads, nope, rope, rank, value, 0.0f};
  shape.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.query_dim())));
  return shape;
}

/// A device with random matrices and a cache whose blocks lie in a shuffled order.
class Machine {
 public:
  Machine(std::unique_ptr<Device> device, const LatentShape& shape, DType cache_type,
          std::int64_t block_tokens = 16)
      : shape_(shape), device_(std::move(device)) {
    key_ = random_floats(shape.heads * shape.nope_dim * shape.rank, 1);
    value_ = random_floats(shape.heads * shape.value_dim * shape.rank, 2);
    norm_ = random_floats(shape.rank, 3);
    for (std::int64_t i = 0; i < shape.rope_dim / 2; ++i)
      inv_freq_.push_back(1.0f / static_cast<float>(1 + i));
    key_up_ = pack(key_, shape.nope_dim, false);
    key_absorb_ = pack(key_, shape.nope_dim, true);
    value_up_ = pack(value_, shape.value_dim, false);
    const std::int64_t blocks = 800 / block_tokens;
    cache_ = std::move(device_->make_kv_cache(
                           {kLayers, 1, shape.latent_dim(), block_tokens, cache_type, shape.rank},
                           blocks))
                 .value();
    table_.resize(static_cast<std::size_t>(blocks));
    std::iota(table_.begin(), table_.end(), 0);
    std::shuffle(table_.begin(), table_.end(), std::mt19937(1));
  }

  /// Rows position … position + rows - 1 of the sequence that `seed` makes; those below `border`
  /// expanded.
  std::vector<float> step(std::int64_t position, std::int64_t rows, std::int64_t border) {
    std::vector<float> q, latents;
    for (std::int64_t p = position; p < position + rows; ++p) {
      const auto seed = static_cast<std::uint64_t>(100 + p);
      const auto a = random_floats(shape_.heads * shape_.query_dim(), seed);
      const auto b = random_floats(shape_.latent_dim(), seed + 100000);
      q.insert(q.end(), a.begin(), a.end());
      latents.insert(latents.end(), b.begin(), b.end());
    }
    std::vector<Slice> slices;
    const std::int64_t cut = std::clamp(border, position, position + rows) - position;
    if (cut > 0) slices.push_back({0, cut, position, table_.data(), true});
    if (cut < rows) slices.push_back({cut, rows - cut, position + cut, table_.data(), false});
    const Tensor queries{q.data(), rows, shape_.heads * shape_.query_dim()};
    const Tensor compressed{latents.data(), rows, shape_.latent_dim()};
    const RopeTable rope{inv_freq_.data(), shape_.rope_dim, 1.0f, true};
    std::vector<float> out(static_cast<std::size_t>(rows * shape_.heads * shape_.value_dim));
    device_->latent_rope_and_store(queries, compressed, shape_, rope, {norm_.data(), shape_.rank},
                                   1e-6f, slices, *cache_, 1);
    device_->latent_attention(queries, shape_, {key_up_.get(), value_up_.get(), key_absorb_.get()},
                              slices, *cache_, 1,
                              {out.data(), rows, shape_.heads * shape_.value_dim});
    return out;
  }

 private:
  std::unique_ptr<Matrix> pack(const std::vector<float>& all, std::int64_t rows, bool turned) {
    std::vector<WeightView> views;
    const auto each = static_cast<std::size_t>(rows * shape_.rank);
    for (std::size_t h = 0; h < static_cast<std::size_t>(shape_.heads); ++h) {
      const auto head = std::span(all).subspan(h * each, each);
      views.push_back({DType::kF32, std::as_bytes(head), rows, shape_.rank});
      if (!turned) continue;
      turned_.push_back(model::transpose(views.back()));
      views.back() = turned_.back().view;
    }
    return std::move(device_->pack(views)).value();
  }

  LatentShape shape_;
  std::unique_ptr<Device> device_;
  std::vector<float> key_, value_, norm_, inv_freq_;
  std::vector<model::Transposed> turned_;
  std::unique_ptr<Matrix> key_up_, key_absorb_, value_up_;
  std::unique_ptr<KvCache> cache_;
  std::vector<std::int32_t> table_;
};

class LatentAttentionTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Device> device(int threads = 2) const {
    return std::move(make_cpu_device({threads, GetParam()})).value();
  }
};

const LatentShape kShapes[] = {latent_shape(4, 128, 64, 512, 128), latent_shape(3, 24, 8, 40, 20),
                               latent_shape(2, 5, 6, 17, 33)};

TEST_P(LatentAttentionTest, BothFormsGiveTheReference) {
  for (const LatentShape& shape : kShapes) {
    Machine reference(make_reference_device(), shape, DType::kF32);
    Machine machine(device(), shape, DType::kF32);
    const auto wanted = reference.step(0, 60, 0);
    for (const std::int64_t border : {0, 60, 33}) {
      const auto given = machine.step(0, 60, border);
      for (std::size_t i = 0; i < given.size(); ++i)
        ASSERT_NEAR(given[i], wanted[i], 2e-4f * static_cast<float>(shape.rank) / 16) << i;
    }
  }
}

TEST_P(LatentAttentionTest, CutsAndThreadsChangeNoBit) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3, DType::kI8}) {
    for (const std::int64_t block_tokens : {16, 10}) {
      const LatentShape& shape = kShapes[1];
      Machine whole(device(1), shape, type, block_tokens);
      const auto wanted = whole.step(0, 540, 512);
      for (const std::int64_t size : {1, 7, 100, 300}) {
        Machine machine(device(2), shape, type, block_tokens);
        std::vector<float> given;
        for (std::int64_t at = 0; at < 540; at += size) {
          const auto piece = machine.step(at, std::min(size, 540 - at), 512);
          given.insert(given.end(), piece.begin(), piece.end());
        }
        EXPECT_EQ(given, wanted) << "in pieces of " << size;
      }
    }
  }
}

TEST_P(LatentAttentionTest, NarrowCachesStayNear) {
  const LatentShape& shape = kShapes[1];
  Machine exact(device(), shape, DType::kF32);
  const auto wanted = exact.step(0, 300, 256);
  for (const auto& [type, tolerance] :
       {std::pair(DType::kF16, 5e-2f), std::pair(DType::kBF16, 4e-1f)}) {
    Machine narrow(device(), shape, type);
    const auto given = narrow.step(0, 300, 256);
    for (std::size_t i = 0; i < given.size(); ++i) ASSERT_NEAR(given[i], wanted[i], tolerance);
  }
}

TEST_P(LatentAttentionTest, BytesWithScalesStayNearer) {
  const LatentShape& shape = kShapes[1];
  Machine exact(device(), shape, DType::kF32);
  const auto wanted = exact.step(0, 300, 256);
  const auto error = [&](DType type) {
    Machine narrow(device(), shape, type);
    const auto given = narrow.step(0, 300, 256);
    double squares = 0, size = 0;
    for (std::size_t i = 0; i < given.size(); ++i) {
      squares += std::pow(given[i] - wanted[i], 2);
      size += std::pow(wanted[i], 2);
    }
    return std::sqrt(squares / size);
  };
  const double bytes = error(DType::kI8);
  EXPECT_LT(bytes, 0.05);
  EXPECT_LT(bytes, error(DType::kF8E4M3) / 2);
}

// The reference rounds to 8 bits as well: what is left is the order of the sums.
TEST_P(LatentAttentionTest, EightBitCachesHoldWhatTheReferenceHolds) {
  for (const DType type : {DType::kF8E4M3, DType::kI8})
    for (const LatentShape& shape : kShapes) {
      Machine reference(make_reference_device(), shape, type);
      Machine machine(device(), shape, type);
      const auto wanted = reference.step(0, 60, 30);
      const auto given = machine.step(0, 60, 30);
      double error = 0, size = 0;
      for (std::size_t i = 0; i < given.size(); ++i) {
        error += std::pow(given[i] - wanted[i], 2);
        size += std::pow(wanted[i], 2);
      }
      // A last bit of a float can be a whole step of 8 bits.
      EXPECT_LT(error, 1e-4 * size);
    }
}

TEST(LatentCacheTest, HoldsOneVectorAPosition) {
  // DeepSeek-R1: 61 layers of 512 + 64 elements.
  const KvShape shape{61, 1, 576, 16, DType::kBF16, 512};
  EXPECT_EQ(shape.bytes_per_token(), 70272u);
  KvShape bytes = shape;
  bytes.type = DType::kI8;  // 18 groups of 32 with a scale of two bytes
  EXPECT_EQ(bytes.bytes_per_token(), 61u * (576 + 36));
}

INSTANTIATE_TEST_SUITE_P(All, LatentAttentionTest, testing::ValuesIn(available_isas()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bundle::kernels
