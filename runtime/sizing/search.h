// Which GPUs, how many, split how: the search over a catalogue for what meets the objectives.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/sizing/serving.h"

namespace bundle::sizing {

/// A model that is to be served, with its weights as they are or as they would be.
struct SizedModel {
  ModelShape shape;
  std::vector<WeightPart> parts;
};

/// Limits of none are not asked for. Times in seconds.
struct Objectives {
  Load load;                    // of the whole system
  std::int64_t context = 8192;  // positions that every one of the load's users may fill
  std::optional<double> ttft;
  std::optional<double> tpot;
  std::optional<double> throughput;  // output tokens a second, whole system
  std::optional<double> budget;      // USD an hour
  std::vector<std::string> clouds;   // providers; empty: all
  bool spot = false;
  bool any_vendor = false;       // also GPUs that the runtime does not know
  std::int64_t most_nodes = 4;   // of one copy
  std::optional<Layout> layout;  // this one only
  std::vector<KvType> kv_types = {KvType{}};
};

/// One answer.
struct Plan {
  const GpuSpec* gpu = nullptr;
  std::string format;  // of the weights
  KvType kv;
  Layout layout;
  std::int64_t copies = 1;
  RankMemory memory;
  std::int64_t kv_tokens = 0;            // of one copy
  Served served;                         // by one copy, of its share of the load
  double tokens_s = 0;                   // all copies
  const MachineSpec* machine = nullptr;  // null: no machine of the catalogue has this GPU
  std::int64_t machines = 0;
  std::optional<double> usd_per_hour;

  std::int64_t gpus() const { return copies * layout.gpus(); }
};

/// Why a GPU, or a number of them, is no answer.
struct Refusal {
  enum class Kind { kUnsupported, kMemory, kObjective, kNoMachine } kind = Kind::kMemory;
  const GpuSpec* gpu = nullptr;
  Layout layout;
  std::string format;
  std::int64_t missing = 0;  // bytes a GPU, kMemory
  std::string reason;        // for people
};

/// How near the search came to each objective that nothing met.
struct Unmet {
  std::string objective;  // "tpot"
  double asked = 0;
  double best = 0;
  std::string by;  // what came nearest: "8x B200 SXM TP8"
};

struct Answer {
  std::vector<Plan> plans;        // cheapest first; those without a price last
  std::vector<Refusal> refusals;  // one for each GPU and count that was looked at in vain
  std::vector<Unmet> unmet;       // when there is no plan
  std::int64_t looked_at = 0;     // layouts
};

/// `models`: the same model in each format that may be chosen. GPUs and machines must outlive the
/// answer. Deterministic.
Answer search(const std::vector<SizedModel>& models, const std::vector<GpuSpec>& gpus,
              const std::vector<MachineSpec>& machines, const Objectives& objectives,
              const Efficiency& efficiency, const EngineProfile& profile);

/// Plans that no other beats in both price and time per token, cheapest first.
std::vector<const Plan*> pareto_front(const std::vector<Plan>& plans);

/// Why the runtime does not serve a format on a GPU, or "".
std::string unsupported_reason(const GpuSpec& gpu, const WeightFormat& format);

/// "8x H200 SXM TP8 EP8".
std::string plan_text(const GpuSpec& gpu, const Layout& layout, std::int64_t copies);

}  // namespace bundle::sizing
