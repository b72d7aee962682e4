#include "cli/size_here.h"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <thread>

#include "base/text.h"
#include "cli/display/sizing.h"
#include "cli/gpu_probe.h"
#include "cli/here_model.h"
#include "cli/here_probe.h"
#include "cli/open_model.h"
#include "cli/size_document.h"
#include "cli/size_run.h"
#include "runtime/engine/kv_plan.h"

namespace bundle::cli {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
constexpr std::int64_t kPrompt = 512;
constexpr std::int64_t kAnswer = 128;

/// The type of matrices of a model whose files are not here.
DType type_of(const sizing::WeightFormat& format) {
  for (int i = 0; i <= static_cast<int>(DType::kIQ4XS); ++i) {
    const auto type = static_cast<DType>(i);
    if (dtype_info(type).name == format.type) return type;
  }
  return format.wide == "F16" ? DType::kF16 : format.wide == "F32" ? DType::kF32 : DType::kBF16;
}

/// On the model itself where its files are here, else on made-up weights of its shapes.
Result<HereSpeed> measure(const SizeInput& input, const std::string& reference,
                          HereQuestion question) {
  if (const auto checkpoint = open_checkpoint(reference)) {
    return measure_model_here(*checkpoint, input.model, question);
  }
  question.type = type_of(input.model.shape.format);
  return measure_here(input.model, question);
}

struct Room {
  std::uint64_t available = 0;
  std::uint64_t weights = 0;
  std::uint64_t cache = 0;  // of one context
  bool fits() const { return weights + cache <= available; }
};

Room room_for(const SizeInput& input, std::int64_t context) {
  Room room;
  room.available = engine::available_memory().value_or(0);
  room.weights = sizing::total_bytes(input.model.parts, false);
  room.cache =
      sizing::rank_kv_bytes(input.model.shape, sizing::Layout{}, sizing::KvType{"f16", 2}, context);
  return room;
}

Json gpus_document(const LocalGpus& local) {
  JsonArray list;
  for (const LocalGpu& gpu : local.gpus) {
    list.push_back(JsonObject{
        {"name", gpu.name},
        {"memory_bytes", gpu.memory},
        {"free_bytes", gpu.free},
        {"compute_capability", fmt::format("{}.{}", gpu.capability_major, gpu.capability_minor)}});
  }
  return list;
}

/// This machine's GPUs as something the search can use: the catalogue's entry of that name, with
/// the memory that the driver reports.
std::optional<std::pair<sizing::GpuSpec, sizing::MachineSpec>> as_machine(
    const LocalGpus& local, const catalog::Catalog& catalog) {
  if (local.gpus.empty()) return std::nullopt;
  const LocalGpu& first = local.gpus.front();
  std::string name = first.name;
  if (name.starts_with("NVIDIA ")) name.erase(0, 7);
  auto found = catalog.gpu(first.name);
  if (!found) found = catalog.gpu(name);
  for (std::size_t cut = name.size(); !found && cut != std::string::npos && cut > 0;) {
    cut = name.rfind(' ', cut - 1);
    if (cut != std::string::npos) found = catalog.gpu(name.substr(0, cut));
  }
  if (!found) return std::nullopt;
  sizing::GpuSpec gpu = **found;
  gpu.usable_gib = static_cast<double>(first.memory) / kGiB;
  gpu.usable_estimated = false;
  sizing::MachineSpec machine;
  machine.provider = "here";
  machine.type = "this machine";
  machine.gpu = gpu.id;
  machine.gpu_count = static_cast<std::int64_t>(local.gpus.size());
  machine.machines = 1;
  return std::pair{gpu, machine};
}

std::string cpu_text(const HereSpeed& speed, const HereQuestion& question) {
  return fmt::format(
      "\nOn the CPU ({}, {} threads; {} layers measured):\n"
      "  decode     {:.1f} tokens/s at {} positions, {:.0f} % of what {:.1f} GB/s allow\n"
      "  prefill    {:.1f} tokens/s, first token after {:.0f} ms of a prompt of {}\n",
      speed.device, speed.threads, speed.layers_measured, speed.decode_tok_s,
      question.input_tokens + question.output_tokens / 2,
      100 * speed.decode_tok_s / speed.decode_bound_tok_s, speed.bandwidth_gb_s,
      speed.prefill_tok_s, speed.ttft * 1e3, question.input_tokens);
}

Json cpu_document(const HereSpeed& speed) {
  return JsonObject{{"device", speed.device},
                    {"threads", speed.threads},
                    {"layers_measured", speed.layers_measured},
                    {"memory_bandwidth_gb_s", rounded(speed.bandwidth_gb_s, 2)},
                    {"decode_tok_s", rounded(speed.decode_tok_s, 2)},
                    {"decode_bound_tok_s", rounded(speed.decode_bound_tok_s, 2)},
                    {"prefill_tok_s", rounded(speed.prefill_tok_s, 2)},
                    {"ttft_ms", rounded(speed.ttft * 1e3, 2)}};
}

Json memory_document(const Room& room, std::int64_t context) {
  return JsonObject{{"available_bytes", room.available},
                    {"weight_bytes", room.weights},
                    {"kv_bytes_of_one_context", room.cache},
                    {"context", context},
                    {"fits", room.fits()}};
}

Status add_gpus(const SizeInput& input, SizeOptions options, const catalog::Catalog& catalog,
                const LocalGpus& local, Outcome& outcome) {
  JsonObject& document = outcome.document.as_object();
  document["gpus"] = gpus_document(local);
  const auto here = as_machine(local, catalog);
  if (!here) {
    outcome.text += local.gpus.empty() ? "\nNo NVIDIA GPU here.\n"
                                       : "\nThe GPUs here are not in the catalogue.\n";
    return {};
  }
  options.gpus = {here->first.id};
  options.inventory.clear();
  options.clouds.clear();
  SizeRun run;
  BUNDLE_CHECK(run_size_on(input, options, {here->first}, {here->second}, run));
  document["gpu_answer"] = size_document(input, run, 3);
  outcome.text += "\nOn the GPUs here:\n" + size_text(input, run, 3);
  return {};
}

}  // namespace

Result<Outcome> size_here(const std::string& reference, const SizeOptions& options, int threads) {
  BUNDLE_TRY(const catalog::Catalog catalog, catalog::Catalog::open());
  BUNDLE_TRY(const SizeInput input, size_input(reference, catalog));
  const std::int64_t most = input.model.shape.config.max_positions;
  const std::int64_t context =
      std::min(most, options.context.value_or(std::min<std::int64_t>(most, 8192)));
  const Room room = room_for(input, context);
  HereQuestion question;
  question.threads = threads;
  question.input_tokens = options.input_tokens.value_or(kPrompt);
  question.output_tokens = options.output_tokens.value_or(kAnswer);
  if (question.input_tokens + question.output_tokens > most) {
    return Error{ErrorCode::kUsage,
                 fmt::format("prompt and answer are {} tokens, more than the {} that the model was "
                             "made for",
                             question.input_tokens + question.output_tokens, most),
                 "--input-tokens", "Ask for fewer."};
  }
  BUNDLE_TRY(const HereSpeed speed, measure(input, reference, question));
  const LocalGpus local = local_gpus();
  Outcome outcome;
  outcome.document = JsonObject{{"schema", "bundle-size-here/1"},
                                {"model", input.model.shape.name},
                                {"cores", std::thread::hardware_concurrency()},
                                {"memory", memory_document(room, context)},
                                {"cpu", cpu_document(speed)}};
  outcome.text = fmt::format(
      "{}: {} of weights and {} for a context of {}; {} of memory are available: {}\n",
      input.model.shape.name, human_bytes(room.weights), human_bytes(room.cache), context,
      human_bytes(room.available),
      room.fits() ? "it fits"
                  : "it lacks " + human_bytes(room.weights + room.cache - room.available));
  outcome.text += cpu_text(speed, question);
  BUNDLE_CHECK(add_gpus(input, options, catalog, local, outcome));
  outcome.exit_code = room.fits() || outcome.document.as_object().contains("gpu_answer") ? 0 : 1;
  return outcome;
}

}  // namespace bundle::cli
