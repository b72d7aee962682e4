// Published measurements (measured_public.csv) and what the model says of the same machine, model
// and load. Half of them calibrate, the other half checks; which half a row is in follows from its
// text alone.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cloud/catalog/catalog.h"
#include "runtime/sizing/serving.h"

namespace bundle::sizing {

struct Measured {
  std::map<std::string, std::string, std::less<>> fields;  // of the CSV
  std::string engine;                                      // an engine profile's name
  bool calibrates = false;                                 // else it checks
  double value = 0;

  const std::string& at(const char* key) const { return fields.find(key)->second; }
};

/// All rows.
std::vector<Measured> read_measured();

/// A row that the model can answer, ready to be asked with any constants.
struct Question {
  const Measured* row = nullptr;
  ModelShape shape;
  std::vector<WeightPart> parts;
  Layout layout;
  Load load;
  Replica replica;
  RankMemory memory;
};

/// Asks about `rows`, which must outlive the questions; for the others `left_out` counts why.
std::vector<Question> questions_of(const std::vector<Measured>& rows,
                                   const catalog::Catalog& catalog,
                                   std::map<std::string, int>& left_out);

/// In the row's unit.
double predict(const Question& question, const Efficiency& efficiency);

/// predicted / measured - 1; for negative values the difference by the magnitude.
double relative_error(const Question& question, const Efficiency& efficiency);

/// "memory", "speed", "first token" or "fits".
std::string kind_of(const Measured& row);

struct Quantiles {
  int count = 0;
  double median = 0;  // of the errors' magnitude
  double p90 = 0;
  double bias = 0;  // median of the errors
};
Quantiles quantiles(std::vector<double> errors);

}  // namespace bundle::sizing
