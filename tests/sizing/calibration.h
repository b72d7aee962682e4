// Fits the speed model's constants to measurements.
#pragma once

#include <vector>

#include "tests/sizing/measured.h"

namespace bundle::sizing {

/// A pattern search in the logarithms of efficiency_fields() and of the engines' overheads, from
/// where they are, within their ranges, on the calibration half's speed rows; then of `burst` and
/// the engines' admission on its rows of the first token. The loss is that of robust regression
/// (errors over 10 % count linearly), with a pull towards the start that decides what the
/// measurements do not. Prints what it found; sets the questions' profiles.
Efficiency calibrate(std::vector<Question>& questions);

}  // namespace bundle::sizing
