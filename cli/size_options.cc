#include "cli/size_options.h"

#include <charconv>
#include <cmath>

#include "base/text.h"

namespace bundle::cli {
namespace {

Error bad_value(std::string_view name, const std::string& text, const char* wanted) {
  return {ErrorCode::kUsage, "'" + text + "' is no value for --" + std::string(name),
          "--" + std::string(name), std::string("Give ") + wanted + "."};
}

/// A positive number and what stands behind it.
std::optional<double> leading_number(const std::string& text, std::string& unit) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value) || value < 0 || value > 1e12) {
    return std::nullopt;
  }
  unit.assign(end, text.data() + text.size());
  return value;
}

Result<double> number(std::string_view name, const std::string& text) {
  std::string unit;
  const auto value = leading_number(text, unit);
  if (!value || !unit.empty()) return bad_value(name, text, "a number");
  return *value;
}

Result<double> positive(std::string_view name, const std::string& text) {
  BUNDLE_TRY(const double value, number(name, text));
  if (value <= 0) return bad_value(name, text, "a number over 0");
  return value;
}

Result<std::int64_t> tokens(std::string_view name, const std::string& text) {
  std::string unit;
  const auto value = leading_number(text, unit);
  double factor = 0;
  if (unit.empty()) factor = 1;
  if (unit == "k" || unit == "K") factor = 1024;
  if (unit == "M") factor = 1024 * 1024;
  const double count = value.value_or(0) * factor;
  if (count < 1 || count > 1e9 || count != std::floor(count)) {
    return bad_value(name, text, "a number of tokens such as 8192 or 32k");
  }
  return static_cast<std::int64_t>(count);
}

Result<std::int64_t> whole(std::string_view name, const std::string& text) {
  BUNDLE_TRY(const double value, number(name, text));
  if (value < 1 || value > 1024 || value != std::floor(value)) {
    return bad_value(name, text, "a whole number from 1 to 1024");
  }
  return static_cast<std::int64_t>(value);
}

Result<double> milliseconds(std::string_view name, const std::string& text) {
  std::string unit;
  const auto value = leading_number(text, unit);
  if (value && (unit.empty() || unit == "ms")) return *value;
  if (value && unit == "s") return *value * 1000;
  return bad_value(name, text, "a time such as 50ms or 0.5s");
}

std::vector<std::string> list(const std::string& text) {
  std::vector<std::string> items;
  std::size_t from = 0;
  while (from <= text.size()) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    if (comma > from) items.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return items;
}

struct Setter {
  SizeOption option;
  Status (*set)(SizeOptions&, std::string_view, const std::string&);
};

/// Reads with `read`, puts into `member`.
template <auto Member, auto Read>
Status put(SizeOptions& options, std::string_view name, const std::string& text) {
  BUNDLE_TRY(options.*Member, Read(name, text));
  return {};
}

template <auto Member>
Status put_list(SizeOptions& options, std::string_view name, const std::string& text) {
  options.*Member = list(text);
  if ((options.*Member).empty()) return bad_value(name, text, "names separated by commas");
  return {};
}

Status put_inventory(SizeOptions& options, std::string_view name, const std::string& text) {
  if (text.empty()) return bad_value(name, text, "a file");
  options.inventory = text;
  return {};
}

using O = SizeOptions;

const std::vector<Setter>& setters() {
  static const std::vector<Setter> table = {
      {{"concurrency", "N", "Users at the same time (default 16)"}, put<&O::concurrency, positive>},
      {{"rate", "R", "Requests a second, instead of users"}, put<&O::rate, positive>},
      {{"context", "N", "Tokens that each conversation may reach (default 8k, or the model's)"},
       put<&O::context, tokens>},
      {{"input-tokens", "N", "Mean length of a prompt (default 1024)"},
       put<&O::input_tokens, tokens>},
      {{"output-tokens", "N", "Mean length of an answer (default 1024)"},
       put<&O::output_tokens, tokens>},
      {{"ttft", "TIME", "Longest mean time to the first token"}, put<&O::ttft, milliseconds>},
      {{"tpot", "TIME", "Longest mean time per further token (default 50ms; 0: any)"},
       put<&O::tpot, milliseconds>},
      {{"throughput", "N", "Least output tokens a second of the whole system"},
       put<&O::throughput, positive>},
      {{"budget", "USD", "Most US dollars an hour"}, put<&O::budget, positive>},
      {{"gpu", "NAMES", "Only these GPUs"}, put_list<&O::gpus>},
      {{"cloud", "NAMES", "Only these providers"}, put_list<&O::clouds>},
      {{"quantization", "NAMES", "Weights as these (default as published), or 'any'"},
       put_list<&O::quantizations>},
      {{"kv-type", "NAMES", "Cache as bf16 (default), fp8, int8, or any"}, put_list<&O::kv_types>},
      {{"tp", "N", "Tensor-parallel ranks"}, put<&O::tp, whole>},
      {{"pp", "N", "Pipeline stages"}, put<&O::pp, whole>},
      {{"ep", "N", "Ranks that experts are spread over"}, put<&O::ep, whole>},
      {{"dp", "N", "Data-parallel attention groups"}, put<&O::dp, whole>},
      {{"nodes", "N", "Most machines for one copy of the model (default 4)"},
       put<&O::nodes, whole>},
      {{"inventory", "FILE", "Machines you own (YAML): does it fit what I have, and how"},
       put_inventory},
  };
  return table;
}

}  // namespace

const std::vector<SizeOption>& size_options() {
  static const std::vector<SizeOption> options = [] {
    std::vector<SizeOption> all;
    for (const Setter& setter : setters()) all.push_back(setter.option);
    return all;
  }();
  return options;
}

Status set_size_option(SizeOptions& options, std::string_view name, const std::string& text) {
  std::vector<std::string> names;
  for (const Setter& setter : setters()) {
    if (setter.option.name == name) return setter.set(options, name, text);
    names.emplace_back(setter.option.name);
  }
  const std::string near = nearest(name, names);
  return Error{ErrorCode::kUsage, "no option '" + std::string(name) + "'", "--what-if",
               near.empty() ? "See 'bundle size --help'." : "Did you mean '" + near + "'?"};
}

}  // namespace bundle::cli
