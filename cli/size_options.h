// What `bundle size` is asked: options of the command line, which --what-if changes by name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::cli {

/// As given; none means the default that docs/sizing.md names. Times in milliseconds.
struct SizeOptions {
  std::optional<double> concurrency;
  std::optional<double> rate;
  std::optional<std::int64_t> context;
  std::optional<std::int64_t> input_tokens;
  std::optional<std::int64_t> output_tokens;
  std::optional<double> ttft;
  std::optional<double> tpot;  // 0: no limit
  std::optional<double> throughput;
  std::optional<double> budget;
  std::vector<std::string> gpus;
  std::vector<std::string> clouds;
  std::vector<std::string> quantizations;  // "any": all that the runtime serves
  std::vector<std::string> kv_types;
  std::optional<std::int64_t> tp, pp, ep, dp;
  std::optional<std::int64_t> nodes;
  bool spot = false;
  bool any_vendor = false;
  std::string inventory;
};

/// One option that takes a value.
struct SizeOption {
  std::string_view name;   // "concurrency"
  std::string_view value;  // "N"
  std::string_view about;
};
const std::vector<SizeOption>& size_options();

/// Sets the option `name` from text: numbers may end in k ("32k" is 32768), times in ms or s, lists
/// are separated by commas. kUsage for a value that is none, and for an unknown name, with the
/// nearest.
Status set_size_option(SizeOptions& options, std::string_view name, const std::string& text);

}  // namespace bundle::cli
