// One run of `bundle size`: from a question to the search's answer.
#pragma once

#include <vector>

#include "cli/size_model.h"
#include "cli/size_options.h"

namespace bundle::cli {

/// Everything an answer refers to, in one place. Not copyable: plans point into it.
struct SizeRun {
  SizeRun() = default;
  SizeRun(const SizeRun&) = delete;
  SizeRun& operator=(const SizeRun&) = delete;

  std::vector<sizing::SizedModel> models;  // one a format
  std::vector<sizing::GpuSpec> gpus;
  std::vector<sizing::MachineSpec> machines;
  sizing::Objectives objectives;
  sizing::Answer answer;
};

/// kNotFound for a GPU or provider that the catalogue lacks, with the nearest; kUsage for a context
/// beyond the model's.
Status run_size(const SizeInput& input, const SizeOptions& options, const catalog::Catalog& catalog,
                SizeRun& run);

/// The same on GPUs and machines that are given.
Status run_size_on(const SizeInput& input, const SizeOptions& options,
                   std::vector<sizing::GpuSpec> gpus, std::vector<sizing::MachineSpec> machines,
                   SizeRun& run);

/// The model whose format a plan has.
const sizing::SizedModel& model_of(const SizeRun& run, const sizing::Plan& plan);

}  // namespace bundle::cli
