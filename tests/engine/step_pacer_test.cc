#include "runtime/engine/step_pacer.h"

#include <gtest/gtest.h>

namespace bundle::engine {
namespace {

TEST(StepPacer, StartsCarefully) {
  const StepPacer pacer;
  EXPECT_EQ(pacer.alone(512), 128);
  EXPECT_EQ(pacer.interleaved(512), 128);
  EXPECT_EQ(pacer.alone(8), 8);
}

TEST(StepPacer, KeepsTheGapNearATenthOfASecond) {
  StepPacer pacer;
  for (int i = 0; i < 40; ++i) {
    pacer.observe(4, 0, 0.02);
    pacer.observe(4, 64, 0.02 + 64 * 0.001);
  }
  EXPECT_NEAR(static_cast<double>(pacer.interleaved(512)), 80.0, 2.0);
  EXPECT_EQ(pacer.alone(512), 512);
}

TEST(StepPacer, NeverGoesBelowAUsefulChunk) {
  StepPacer pacer;
  pacer.observe(0, 128, 128 * 0.05);
  EXPECT_EQ(pacer.interleaved(512), 32);
  EXPECT_EQ(pacer.alone(512), 128);
  EXPECT_EQ(pacer.interleaved(5), 5);
}

TEST(StepPacer, SlowDecodesStillLeaveRoomForPrompts) {
  StepPacer pacer;
  pacer.observe(8, 0, 3.0);
  pacer.observe(0, 100, 100 * 0.0001);
  EXPECT_GT(pacer.interleaved(512), 200);
}

TEST(StepPacer, OddMeasurementsDoNoHarm) {
  StepPacer pacer;
  pacer.observe(0, 100, 0.0);
  EXPECT_GE(pacer.alone(512), 1);
  pacer.observe(3, 100, 0.0);
  EXPECT_GE(pacer.interleaved(512), 1);
}

}  // namespace
}  // namespace bundle::engine
