// The `runtime` section of a bundle, read strictly: every key is known, of its type and in its
// range, or it is refused by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "runtime/engine/engine.h"
#include "runtime/format/model_config.h"
#include "runtime/launch/server_settings.h"
#include "runtime/model/placement.h"

namespace bundle::launch {

struct RuntimeSettings {
  engine::EngineOptions engine;
  std::string backend = "auto";           // or "cpu", "cpu-reference", "cuda"
  int gpu = 0;                            // of those that the process sees
  bool deterministic = false;             // on a GPU; the CPU always is
  int threads = 0;                        // of all ranks; 0: one a physical core
  model::Parallel parallel;               // of as many engine processes
  std::string chat_template;              // "": the model's own
  std::string reasoning_parser = "auto";  // a name of chat/answer_format_names.h
  std::string tool_parser = "auto";
  std::optional<bool> thinking;       // of requests that do not say; none: as the template has it
  format::SamplingDefaults sampling;  // those that are set win over the publisher's
  std::optional<std::int64_t> max_tokens;
  ServerSettings server;
};

/// kBadInput names the first key that is unknown (with the nearest known one), of another type, or
/// out of its range. A null value counts as absent. `where` names the document.
Result<RuntimeSettings> read_runtime_settings(const JsonObject& runtime, std::string_view where);

/// Applies "key=value", as --set gives it: "context_length=4096", "runtime.sampling.top_p=0.9".
/// The text is read as the key's type. kUsage, naming the key, when it does not fit.
Status apply_setting(JsonObject& runtime, std::string_view assignment);

}  // namespace bundle::launch
