// Checks of every operation of runtime/kernels/cuda against sums in float64, over random values and
// edge shapes. They know a driver and a table of operations alone, so the same checks run under the
// emulator in CI and on a GPU in scripts/gpu-suite; they need no library but the standard one.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "runtime/kernels/cuda/driver/collectives.h"
#include "runtime/kernels/cuda/driver/driver.h"
#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {

/// How far one case lay from the reference: the largest |out − reference| / (1 + |reference|), or
/// what its check names. `problem` is the driver's, "" when it has none.
struct CheckResult {
  std::string name;
  double error = 0.0;
  double tolerance = 0.0;
  std::string problem;

  bool passed() const { return problem.empty() && error <= tolerance; }
};

/// What is checked. `large` adds shapes that an emulator is too slow for.
struct Subject {
  Driver& driver;
  const Ops& ops;
  Stream stream;
  std::uint32_t seed = 1;
  bool large = false;
  const CollectiveTable* collectives = nullptr;  // null: those are not checked
};

using Check = std::vector<CheckResult> (*)(const Subject&);

std::vector<CheckResult> check_matmul(const Subject& subject);
std::vector<CheckResult> check_tiles(const Subject& subject);
std::vector<CheckResult> check_wide(const Subject& subject);
std::vector<CheckResult> check_embed(const Subject& subject);
std::vector<CheckResult> check_rows(const Subject& subject);
std::vector<CheckResult> check_attention(const Subject& subject);
std::vector<CheckResult> check_attention_tiles(const Subject& subject);
std::vector<CheckResult> check_route(const Subject& subject);
std::vector<CheckResult> check_experts(const Subject& subject);
std::vector<CheckResult> check_heads(const Subject& subject);
std::vector<CheckResult> check_latent(const Subject& subject);
std::vector<CheckResult> check_sampling(const Subject& subject);
std::vector<CheckResult> check_collectives(const Subject& subject);

struct NamedCheck {
  const char* name;
  Check run;
};

/// Every check there is.
inline constexpr NamedCheck kChecks[] = {{"matmul", check_matmul},
                                         {"tiles", check_tiles},
                                         {"embed", check_embed},
                                         {"rows", check_rows},
                                         {"attention", check_attention},
                                         {"attention_tiles", check_attention_tiles},
                                         {"route", check_route},
                                         {"experts", check_experts},
                                         {"heads", check_heads},
                                         {"latent", check_latent},
                                         {"wide", check_wide},
                                         {"sampling", check_sampling},
                                         {"collectives", check_collectives}};

}  // namespace bundle::kernels::cuda
