// The two forms of latent attention are one function: in double they agree to rounding on shapes of
// every kind.
#include <cmath>
#include <gtest/gtest.h>
#include <random>

#include "runtime/kernels/reference/plain_latent.h"

namespace bundle::kernels::reference {
namespace {

std::vector<double> random_doubles(std::int64_t count, std::mt19937_64& random) {
  std::uniform_real_distribution<double> spread(-1.0, 1.0);
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& value : values) value = spread(random);
  return values;
}

LatentShape random_shape(std::mt19937_64& random) {
  const auto size = [&](std::int64_t most) {
    return 1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most));
  };
  LatentShape shape;
  shape.heads = 1;
  shape.nope_dim = size(160);
  shape.rope_dim = 2 * size(40);
  shape.rank = size(600);
  shape.value_dim = size(160);
  shape.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.query_dim())));
  return shape;
}

TEST(LatentFormsTest, AgreeToDoublePrecisionOnRandomShapes) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 60; ++round) {
    const LatentShape shape = random_shape(random);
    const std::int64_t count = 1 + static_cast<std::int64_t>(random() % 70);
    const auto key_up = random_doubles(shape.nope_dim * shape.rank, random);
    const auto value_up = random_doubles(shape.value_dim * shape.rank, random);
    const auto latents = random_doubles(count * shape.latent_dim(), random);
    const auto q = random_doubles(shape.query_dim(), random);
    const LatentHead<double> head{key_up.data(), value_up.data()};
    std::vector<double> expanded(static_cast<std::size_t>(shape.value_dim));
    std::vector<double> absorbed(expanded.size());
    attend_expanded(shape, ExpandedHistory<double>(shape, head, latents.data(), count), q.data(),
                    count, expanded.data());
    attend_absorbed(shape, head, latents.data(), q.data(), count, absorbed.data());
    for (std::size_t i = 0; i < expanded.size(); ++i) {
      // Sums of up to 600 products of up to 1: the last digits of a double.
      ASSERT_NEAR(expanded[i], absorbed[i], 1e-11) << "round " << round << ", element " << i;
    }
  }
}

}  // namespace
}  // namespace bundle::kernels::reference
