// The model against published measurements, on the half that it was not calibrated on.
#include <gtest/gtest.h>

#include "tests/sizing/measured.h"

namespace bundle::sizing {
namespace {

struct Checked {
  std::map<std::string, std::vector<double>> errors;  // by kind
  int fits = 0;
  int fits_right = 0;
  int rows = 0;
};

Checked check() {
  const catalog::Catalog catalog = catalog::Catalog::built_in().value();
  const auto rows = read_measured();
  std::map<std::string, int> left_out;
  Checked checked;
  checked.rows = static_cast<int>(rows.size());
  for (const Question& question : questions_of(rows, catalog, left_out)) {
    if (kind_of(*question.row) == "fits") {
      ++checked.fits;
      checked.fits_right += predict(question, Efficiency{}) == question.row->value ? 1 : 0;
    } else if (!question.row->calibrates) {
      checked.errors[kind_of(*question.row)].push_back(relative_error(question, Efficiency{}));
    }
  }
  return checked;
}

const Checked& checked() {
  static const Checked result = check();
  return result;
}

TEST(Accuracy, TheMeasurementsAreThere) {
  EXPECT_EQ(checked().rows, 425);
  EXPECT_GE(checked().errors.at("speed").size(), 100u);
  EXPECT_GE(checked().errors.at("memory").size(), 25u);
}

TEST(Accuracy, OfMemoryIsWithinFivePercent) {
  const Quantiles found = quantiles(checked().errors.at("memory"));
  EXPECT_LE(found.median, 0.05);
  EXPECT_LE(found.p90, 0.12);
}

TEST(Accuracy, OfSpeedIsWithinTwentyPercent) {
  const Quantiles found = quantiles(checked().errors.at("speed"));
  EXPECT_LE(found.median, 0.20);
  EXPECT_LE(found.p90, kErrorFactor - 1);
}

TEST(Accuracy, WhatFitsIsRightEveryTime) {
  EXPECT_EQ(checked().fits, 4);
  EXPECT_EQ(checked().fits_right, checked().fits);
}

}  // namespace
}  // namespace bundle::sizing
