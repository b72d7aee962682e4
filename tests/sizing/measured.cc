#include "tests/sizing/measured.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace bundle::sizing {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

/// The cells of one line; quoted ones may hold commas.
std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> list(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      list.emplace_back();
    } else if (c != '\r') {
      list.back() += c;
    }
  }
  return list;
}

bool has(const std::string& text, const char* piece) {
  return text.find(piece) != std::string::npos;
}

std::string engine_of(const std::string& source) {
  if (has(source, "perf-overview")) return "trtllm-bench";
  if (has(source, "sglang") || has(source, "SGLang")) return "sglang";
  if (has(source, "trtllm") || has(source, "TRT-LLM") || has(source, "TensorRT-LLM")) {
    return "trtllm";
  }
  return "vllm";
}

/// FNV-1a of everything but the metric and its value: the metrics of one run stay together.
bool is_calibration(const Measured& row) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const char* separator = "";
  for (const char* key : {"model", "gpu", "count", "dtype", "kv_dtype", "tp", "ep", "isl", "osl",
                          "concurrency", "source"}) {
    for (const char c : separator + row.at(key)) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    }
    separator = "|";
  }
  return ((hash >> 33) & 1) == 0;
}

std::optional<double> number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The number behind `label` in the source's text.
std::optional<double> number_after(const std::string& source, const std::string& label) {
  const std::size_t at = source.find(label);
  if (at == std::string::npos) return std::nullopt;
  const std::size_t first = at + label.size();
  return number(source.substr(first, source.find_first_not_of("0123456789.", first) - first));
}

bool is_memory(const std::string& metric) {
  return metric == "weights_per_gpu" || metric == "kv_available_per_gpu" ||
         metric == "peak_activation_per_gpu" || metric == "non_torch_per_gpu" ||
         metric == "kv_tokens" || metric == "max_concurrent_sequences";
}

/// Why a row cannot be asked about, or "".
std::string reason_to_leave_out(const Measured& row, const catalog::Catalog& catalog) {
  const std::string& metric = row.at("metric");
  const auto* model = catalog.find_model(row.at("model"));
  if (model == nullptr || !catalog::shape_of(*model)) return "attention of DeepSeek V4";
  if (metric == "weights_per_gpu") return "";
  if (!catalog.gpu(row.at("gpu"))) return "GPU not in the catalogue";
  if (metric == "fits" || is_memory(metric)) return "";
  if (metric != "tpot" && metric != "ttft" && metric != "output_throughput") {
    return "prefill and decode on separate machines, or a whole rack";
  }
  if (!number(row.at("count")) || *number(row.at("count")) > 8) {
    return "prefill and decode on separate machines, or a whole rack";
  }
  if (!number(row.at("isl")) || !number(row.at("osl"))) return "lengths not given";
  if (has(row.at("source"), "; MTP 3")) return "speculative decoding";
  if (has(row.at("source"), "may count total tokens")) return "may count prompt tokens too";
  if (has(row.at("source"), "early MLA path")) return "approximate, and of an early version";
  return "";
}

WeightFormat format_of(const Measured& row, const ModelShape& published) {
  const std::string& dtype = row.at("dtype");
  std::string name = dtype;
  if (dtype == "fp8") name = published.format.name == "fp8" ? "fp8" : "fp8-channel";
  if (dtype == "nvfp4" && published.config.mla) name = "nvfp4-experts";
  if (dtype == "awq-int4") name = "int4";
  return weight_format(name).value();
}

KvType kv_of(const Measured& row, const ModelShape& shape) {
  if (row.at("kv_dtype") == "fp8") return {"fp8", 1};
  // TensorRT-LLM's FP8 and FP4 checkpoints of GQA models ask for an FP8 cache.
  const bool narrow = row.at("dtype") == "fp8" || row.at("dtype") == "nvfp4";
  if (row.at("kv_dtype") == "unknown" && row.engine == "trtllm" && narrow && !shape.config.mla) {
    return {"fp8", 1};
  }
  return {};
}

Layout layout_of(const Measured& row, const ModelShape& shape) {
  const auto tp = static_cast<std::int64_t>(number(row.at("tp")).value_or(1));
  const auto ep = static_cast<std::int64_t>(number(row.at("ep")).value_or(1));
  // That page runs mixtures of experts with `enable_attention_dp` and --ep.
  if (row.engine == "trtllm-bench" && shape.config.moe) return {tp, 1, tp, tp};
  Layout layout{tp, 1, shape.config.moe ? ep : 1, 1};
  if (has(row.at("source"), "attention DP")) layout.dp = tp;
  return layout;
}

Load load_of(const Measured& row) {
  Load load;
  const std::string& concurrency = row.at("concurrency");
  load.concurrency = concurrency == "max" ? 0 : number(concurrency).value_or(0);
  load.input_tokens = number(row.at("isl")).value_or(1000);
  load.output_tokens = number(row.at("osl")).value_or(1000);
  if (has(row.at("source"), "InferenceMAX")) {
    // Its lengths are drawn from 80 % to 100 % of the nominal ones.
    load.input_tokens *= 0.9;
    load.output_tokens *= 0.9;
  }
  return load;
}

EngineProfile profile_of(const Measured& row) {
  EngineProfile profile = engine_profile(row.engine);
  const std::string& source = row.at("source");
  profile.share = number_after(source, "free_gpu_memory_fraction ").value_or(profile.share);
  profile.step_tokens = static_cast<std::int64_t>(
      number_after(source, "max_num_tokens ").value_or(static_cast<double>(profile.step_tokens)));
  return profile;
}

Question question_of(const Measured& row, const catalog::Catalog& catalog) {
  Question question;
  question.row = &row;
  question.shape = catalog::shape_of(**catalog.model(row.at("model"))).value();
  question.shape.format = format_of(row, question.shape);
  question.parts = predicted_parts(question.shape).value();
  question.layout = layout_of(row, question.shape);
  question.load = load_of(row);
  const KvType kv = kv_of(row, question.shape);
  const auto gpu = catalog.gpu(row.at("gpu"));
  if (gpu) question.replica.gpu = **gpu;
  const EngineProfile profile = profile_of(row);
  question.memory = rank_memory(question.parts, question.shape, question.layout,
                                question.replica.gpu.usable_gib, profile);
  const auto context = static_cast<std::int64_t>(question.load.tokens());
  question.replica.profile = profile;
  question.replica.work = rank_work(model_work(question.parts, question.shape), question.shape,
                                    question.layout, kv, context);
  question.replica.fabric = {question.replica.gpu.link_gb_s, 50,
                             std::max<std::int64_t>(1, question.replica.gpu.link_domain),
                             question.replica.gpu.has_nvlink};
  question.replica.kv_tokens =
      kv_tokens(question.memory, question.shape, question.layout, kv, context);
  return question;
}

double predict_memory(const Question& question) {
  const std::string& metric = question.row->at("metric");
  const RankMemory& memory = question.memory;
  if (metric == "weights_per_gpu") {
    const double unit = question.row->at("unit") == "GB" ? 1e9 : kGiB;
    return static_cast<double>(memory.weights) / unit;
  }
  if (metric == "kv_available_per_gpu") return static_cast<double>(memory.left) / kGiB;
  if (metric == "peak_activation_per_gpu") return static_cast<double>(memory.activations) / kGiB;
  if (metric == "non_torch_per_gpu") {
    return static_cast<double>(memory.context + memory.exchange) / kGiB;
  }
  const auto tokens = static_cast<double>(question.replica.kv_tokens);
  if (metric == "kv_tokens") return tokens;
  // That test gives each sequence its lengths and 1000 positions more.
  return std::floor(tokens / (question.load.tokens() + 1000));
}

double fits(const Question& question) {
  const double needed = number(question.row->at("isl")).value_or(1);
  return static_cast<double>(question.replica.kv_tokens) >= needed ? 1 : 0;
}

}  // namespace

std::vector<Measured> read_measured() {
  std::ifstream in(std::string(BUNDLE_SOURCE_DIR) + "/tests/sizing/measured_public.csv");
  std::string line;
  if (!std::getline(in, line)) throw std::runtime_error("no measured_public.csv");
  const auto names = cells(line);
  std::vector<Measured> rows;
  while (std::getline(in, line)) {
    const auto values = cells(line);
    if (values.size() != names.size()) throw std::runtime_error("a row of other length: " + line);
    Measured row;
    for (std::size_t i = 0; i < names.size(); ++i) row.fields[names[i]] = values[i];
    row.engine = engine_of(row.at("source"));
    row.calibrates = is_calibration(row);
    row.value = number(row.at("value")).value();
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<Question> questions_of(const std::vector<Measured>& rows,
                                   const catalog::Catalog& catalog,
                                   std::map<std::string, int>& left_out) {
  std::vector<Question> questions;
  for (const Measured& row : rows) {
    const std::string reason = reason_to_leave_out(row, catalog);
    if (reason.empty()) {
      questions.push_back(question_of(row, catalog));
    } else {
      ++left_out[reason];
    }
  }
  return questions;
}

double predict(const Question& question, const Efficiency& efficiency) {
  const std::string& metric = question.row->at("metric");
  if (metric == "fits") return fits(question);
  if (is_memory(metric)) return predict_memory(question);
  const Served served = serve_load(question.replica, question.load, efficiency);
  if (metric == "tpot") return served.tpot * 1e3;
  if (metric == "ttft") return served.ttft * 1e3;
  return served.tokens_s;
}

double relative_error(const Question& question, const Efficiency& efficiency) {
  const double value = question.row->value;
  return (predict(question, efficiency) - value) / std::abs(value);
}

std::string kind_of(const Measured& row) {
  const std::string& metric = row.at("metric");
  if (metric == "fits") return "fits";
  if (is_memory(metric)) return "memory";
  return metric == "ttft" ? "first token" : "speed";
}

Quantiles quantiles(std::vector<double> errors) {
  Quantiles result;
  result.count = static_cast<int>(errors.size());
  if (errors.empty()) return result;
  const auto at = [](std::vector<double>& values, double share) {
    std::sort(values.begin(), values.end());
    const double place = share * static_cast<double>(values.size() - 1);
    const auto low = static_cast<std::size_t>(place);
    const std::size_t high = std::min(low + 1, values.size() - 1);
    return values[low] + (place - std::floor(place)) * (values[high] - values[low]);
  };
  result.bias = at(errors, 0.5);
  for (double& error : errors) error = std::abs(error);
  result.median = at(errors, 0.5);
  result.p90 = at(errors, 0.9);
  return result;
}

}  // namespace bundle::sizing
