// Expected frequencies: transformers 5.23's modeling_rope_utils on the same settings.
#include "runtime/model/rope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::model {
namespace {

using format::RopeConfig;
using testing::HasSubstr;

/// Each within a unit or two of the last place of a float.
void expect_frequencies(const Rope& rope, const std::vector<float>& wanted) {
  const kernels::RopeTable table = rope.table();
  ASSERT_EQ(table.rotary_dim, static_cast<std::int64_t>(2 * wanted.size()));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(table.inv_freq[i], wanted[i], 2.5e-7 * wanted[i]) << i;
  }
}

Rope make(const RopeConfig& config, std::int64_t dim) { return Rope::make(config, dim).value(); }

const std::vector<float> kPlain16 = {1,
                                     0.316227764,
                                     0.100000001,
                                     0.0316227786,
                                     0.00999999978,
                                     0.00316227786,
                                     0.00100000005,
                                     0.000316227786};

TEST(RopeTest, Default) {
  const Rope rope = make({}, 16);
  expect_frequencies(rope, kPlain16);
  EXPECT_EQ(rope.table().scale, 1.0f);
  EXPECT_FALSE(rope.table().interleaved);
}

TEST(RopeTest, DynamicChangesNothingWithinTheModelsContext) {
  expect_frequencies(
      make({.kind = RopeConfig::Kind::kDynamic, .factor = 4.0, .attention_factor = {}}, 16),
      kPlain16);
}

TEST(RopeTest, LinearDividesAll) {
  expect_frequencies(
      make({.kind = RopeConfig::Kind::kLinear, .factor = 4.0, .attention_factor = {}}, 16),
      {0.25, 0.079056941, 0.0250000004, 0.00790569466, 0.00249999994, 0.000790569466,
       0.000250000012, 7.90569466e-05});
}

TEST(RopeTest, Llama3BlendsBetweenTwoWavelengths) {
  const Rope rope = make({.kind = RopeConfig::Kind::kLlama3,
                          .theta = 500000.0,
                          .factor = 8.0,
                          .low_freq_factor = 1.0,
                          .high_freq_factor = 4.0,
                          .original_max_positions = 8192,
                          .attention_factor = {}},
                         32);
  expect_frequencies(
      rope, {1, 0.440366626, 0.193922758, 0.0853971019, 0.0376060307, 0.0165604409, 0.00729266508,
             0.00321144611, 0.000524846022, 7.78465546e-05, 3.42810235e-05, 1.50962178e-05,
             6.64786967e-06, 2.92749974e-06, 1.28917316e-06, 5.6770881e-07});
  EXPECT_EQ(rope.table().scale, 1.0f);
}

TEST(RopeTest, YarnAsQwenSetsIt) {
  const Rope rope = make({.kind = RopeConfig::Kind::kYarn,
                          .theta = 1000000.0,
                          .factor = 4.0,
                          .original_max_positions = 32768,
                          .attention_factor = {}},
                         32);
  expect_frequencies(
      rope, {1, 0.421696514, 0.177827939, 0.0749894157, 0.0316227786, 0.0133352149, 0.00477990136,
             0.00165996165, 0.000549999997, 0.000168678584, 4.44569851e-05, 1.87473561e-05,
             7.90569356e-06, 3.33380353e-06, 1.40585337e-06, 5.92843435e-07});
  EXPECT_FLOAT_EQ(rope.table().scale, 1.138629436111989f);
}

TEST(RopeTest, YarnAsDeepSeekSetsIt) {
  const Rope rope = make({.kind = RopeConfig::Kind::kYarn,
                          .factor = 40.0,
                          .original_max_positions = 4096,
                          .mscale = 0.707,
                          .mscale_all_dim = 1.0,
                          .attention_factor = {}},
                         32);
  expect_frequencies(
      rope, {1, 0.562341332, 0.316227764, 0.177827939, 0.100000001, 0.0562341288, 0.0272181761,
             0.0128290169, 0.00582142826, 0.00249036867, 0.000959977158, 0.000292145909,
             2.49999994e-05, 1.40585325e-05, 7.90569447e-06, 4.44569832e-06});
  EXPECT_FLOAT_EQ(rope.table().scale, 0.9210423553163399f);
}

TEST(RopeTest, YarnWithItsOwnFactorAndRange) {
  const Rope rope = make({.kind = RopeConfig::Kind::kYarn,
                          .theta = 150000.0,
                          .factor = 32.0,
                          .original_max_positions = 4096,
                          .attention_factor = 1.25,
                          .truncate = false},
                         32);
  expect_frequencies(
      rope, {1, 0.47478205, 0.225418001, 0.107024416, 0.0508132726, 0.0193350017, 0.00679495931,
             0.00209379266, 0.000456483918, 3.83088118e-05, 1.8188337e-05, 8.63549576e-06,
             4.09997847e-06, 1.94659629e-06, 9.24208962e-07, 4.38797855e-07});
  EXPECT_EQ(rope.table().scale, 1.25f);
}

TEST(RopeTest, DivisorsOfAGguf) {
  const std::vector<float> divisors = {1, 1, 1, 1, 2, 4, 8, 8};
  const Rope rope = Rope::make({.attention_factor = {}, .interleaved = true}, 16, divisors).value();
  std::vector<float> wanted = kPlain16;
  for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] /= divisors[i];
  expect_frequencies(rope, wanted);
  EXPECT_TRUE(rope.table().interleaved);
}

TEST(RopeTest, RefusesWhatHasNoFrequencies) {
  EXPECT_THAT(Rope::make({}, 15).error().what, HasSubstr("even size, not 15"));
  EXPECT_THAT(Rope::make({}, 0).error().what, HasSubstr("even size, not 0"));
  const RopeConfig no_context{
      .kind = RopeConfig::Kind::kLlama3, .factor = 8.0, .attention_factor = {}};
  EXPECT_THAT(Rope::make(no_context, 16).error().what,
              HasSubstr("original_max_position_embeddings"));
  const std::vector<float> zeros(8, 0.0f);
  EXPECT_THAT(Rope::make({}, 16, zeros).error().what, HasSubstr("finite"));
}

}  // namespace
}  // namespace bundle::model
