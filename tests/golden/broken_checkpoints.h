// Checkpoints that are wrong in one way each, and what a refusal of each has to name: for tests of
// everything that opens a model.
#pragma once

#include <string>
#include <vector>

#include "tests/golden/golden_weights.h"

namespace bundle::golden {

struct BrokenCheckpoint {
  std::string name;    // a word for the test's name
  std::string golden;  // the golden that it is made of
  std::string named;   // a part of the refusal's message: a tensor, a key, or a method
  void (*change)(Golden& golden) = nullptr;
  /// With an index, whose lines these are instead of the golden's tensors: null for no index.
  void (*index)(std::vector<std::string>& tensors) = nullptr;
};

/// All of them.
const std::vector<BrokenCheckpoint>& broken_checkpoints();

/// Writes one into `folder`, which is made if need be; `goldens` is the folder of the goldens.
Status write_broken_checkpoint(const BrokenCheckpoint& broken, const Path& goldens,
                               const Path& folder);

}  // namespace bundle::golden
