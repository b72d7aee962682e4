#include "packager/manifest_keys.h"

#include <algorithm>
#include <fmt/format.h>

namespace bundle::packager {
namespace {

using enum KeyType;

constexpr double kMany = 1e9;
// An OCI repository name.
constexpr std::string_view kNamePattern =
    "^[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*$";
constexpr std::string_view kTagPattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$";
constexpr std::string_view kVariablePattern = "^[A-Za-z_][A-Za-z0-9_]*$";
constexpr std::string_view kLabelPattern = "^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$";

// clang-format off
constexpr ManifestKey kKeys[] = {
  {"name", kText,
   "Name of the bundle in the store, and of the model in the API.", "the model's own name",
   0, 128, {}, kNamePattern},
  {"version", kText, "Version of the bundle; becomes its tag.", "latest", 0, 0, {}, kTagPattern},
  {"model", kText,
   "Where the weights are: a folder in Hugging Face layout or a .gguf file, relative to this file; "
   "or hf://ORG/NAME@REVISION, https://HOST/FILE.gguf#sha256=HEX, s3://BUCKET/FOLDER or "
   "oci://REGISTRY/NAME:TAG.",
   "."},
  {"quantize", kChoice,
   "What the weights become in the bundle, from BF16, F16 or F32. q8_0, q4_0 and q4_k make a GGUF "
   "of them, fp8 and int8 keep the model's form with 8-bit floats in blocks of 128x128 or bytes by "
   "row.",
   "weights as published", 0, 0, "q8_0 q4_0 q4_k fp8 int8"},
  {"description", kText, "One sentence for people.", ""},
  {"license", kText, "License of the model, as an SPDX expression.", ""},
  {"include", kTexts, "Globs over the model's file names; only files that match one are packed.",
   "weights, configuration, tokenizer, chat template and license files"},
  {"exclude", kTexts, "Globs over the model's file names; files that match one are left out.", ""},

  {"runtime", kSection,
   "How the server runs the model. A deployment and --set may change each key.", ""},
  {"runtime.backend", kChoice, "Which kernels compute.", "auto", 0, 0,
   "auto cpu cpu-reference cuda"},
  {"runtime.context_length", kWhole,
   "Most tokens that one conversation may have.", "the model's own", 1, kMany},
  {"runtime.deterministic", kBool,
   "On a GPU too, a request gives the same to the bit alone and in a crowd.", "false"},
  {"runtime.gpu", kWhole, "Which GPU computes, of those that the process sees.", "0", 0, 1023},
  {"runtime.kv_type", kChoice, "Type of the cached keys and values.", "f16", 0, 0, "f16 bf16 f32 fp8 int8"},
  {"runtime.kv_tokens", kWhole,
   "Tokens that the cache holds over all conversations.", "what fits in memory", 1, 1e12},
  {"runtime.max_sequences", kWhole,
   "Most conversations that are computed at the same time.", "chosen by the server", 1, 65536},
  {"runtime.max_step_tokens", kWhole,
   "Most tokens in one step of the engine.", "chosen by the server", 1, 1048576},
  {"runtime.prefix_cache", kBool, "Reuse what conversations have in common.", "true"},
  {"runtime.speculation", kChoice,
   "Who guesses tokens ahead, for the model to check several at once; the output stays the same. "
   "lookup: what followed earlier in the text; mtp: the prediction layer of DeepSeek-V3 and -R1.",
   "off", 0, 0, "off lookup mtp"},
  {"runtime.draft_tokens", kWhole, "Most tokens that lookup guesses at once.", "4", 1, 64},
  {"runtime.threads", kWhole, "Threads that compute, those of all ranks together.",
   "one for each core", 1, 4096},
  {"runtime.parallel", kSection,
   "How one copy of the model is divided over ranks, an engine process each (docs/parallelism.md).",
   ""},
  {"runtime.parallel.tensor", kWhole, "Ranks that share every layer.", "1", 1, 64},
  {"runtime.parallel.pipeline", kWhole, "Stages that share the layers, of so many ranks each.", "1",
   1, 64},
  {"runtime.parallel.expert", kWhole,
   "Of the ranks that share a layer, those over which its experts are spread; a divisor of them.",
   "1", 1, 64},
  {"runtime.parallel.data", kWhole,
   "Groups of those ranks whose attention is for conversations of their own; a divisor of them.",
   "1", 1, 64},
  {"runtime.chat_template", kText,
   "A Jinja template instead of the model's own: a file beside this one, or the text itself.",
   "the model's own"},
  {"runtime.reasoning_parser", kChoice,
   "How reasoning is told from the answer.", "what the chat template speaks of", 0, 0,
   "auto none deepseek_r1 deepseek_v3 qwen3 mistral"},
  {"runtime.thinking", kBool,
   "Whether the model thinks before it answers when a request does not say. For DeepSeek-R1 and "
   "its distills true begins every answer with <think>.", "as the chat template has it"},
  {"runtime.tool_parser", kChoice,
   "How the model writes tool calls.", "what the chat template speaks of", 0, 0,
   "auto none hermes qwen3_coder deepseek_v3 deepseek_v31 llama3 mistral kimi_k2"},
  {"runtime.sampling", kSection, "What a request gets when it does not say.", ""},
  {"runtime.sampling.temperature", kReal,
   "Randomness; 0 always takes the likeliest token.", "the model's own", 0, 100},
  {"runtime.sampling.top_p", kReal,
   "Only the likeliest tokens that make up this much probability.", "the model's own", 0, 1},
  {"runtime.sampling.top_k", kWhole,
   "Only this many of the likeliest tokens; 0 is no limit.", "the model's own", 0, kMany},
  {"runtime.sampling.min_p", kReal,
   "Only tokens at least this likely beside the likeliest.", "the model's own", 0, 1},
  {"runtime.sampling.repetition_penalty", kReal,
   "Over 1 discourages tokens that were there before.", "the model's own", 0.001, 100},
  {"runtime.sampling.max_tokens", kWhole,
   "Most tokens of an answer.", "what is left of the context", 1, kMany},
  {"runtime.server", kSection, "How the server takes requests and asks for replicas.", ""},
  {"runtime.server.max_queued_requests", kWhole,
   "Requests that may wait for the engine; more are refused with Retry-After.", "512", 0, 1000000},
  {"runtime.server.max_connections", kWhole,
   "Connections open at once; above it the longest idle one is closed.", "4096", 1, 1000000},
  {"runtime.server.max_body_bytes", kWhole, "Longest body of a request.", "16777216", 1024, kMany},
  {"runtime.server.request_timeout_seconds", kReal,
   "Most time that a request may take, queue included; 0 is no limit.", "0", 0, 86400},
  {"runtime.server.target_concurrency", kReal,
   "Requests at once that /autoscale gives one replica.", "max_sequences", 0, 1000000},
  {"runtime.server.target_ttft_seconds", kReal,
   "Time to the first token that /autoscale keeps 95 of 100 requests within; 0 is no aim.", "0",
   0, 86400},
  {"runtime.server.idle_seconds", kReal,
   "Time without a request after which /autoscale asks for no replica; 0 is never.", "0", 0, kMany},
  {"runtime.server.min_replicas", kWhole, "Fewest replicas that /autoscale asks for.", "0",
   0, 10000},
  {"runtime.server.max_replicas", kWhole, "Most replicas that /autoscale asks for.", "1000",
   1, 10000},
  {"runtime.server.page", kBool, "A page with chat, dashboard and model card at /.", "true"},
  {"runtime.server.otlp_endpoint", kText,
   "Collector that takes OpenTelemetry spans over HTTP, http://HOST:4318.", ""},
  {"runtime.server.webhook_url", kText,
   "Where a JSON document goes when a threshold below is crossed.", ""},
  {"runtime.server.webhook_waiting", kReal, "Threshold of requests waiting; 0 is none.", "0",
   0, 1000000},
  {"runtime.server.webhook_wait_seconds", kReal, "Threshold of the predicted wait; 0 is none.",
   "0", 0, 86400},
  {"runtime.server.webhook_kv_usage", kReal, "Threshold of the cache's use; 0 is none.", "0",
   0, 1},
  {"runtime.server.webhook_idle_seconds", kReal,
   "Threshold of the time without a request; 0 is none.", "0", 0, kMany},

  {"resources", kSection, "What a deployment asks its target for.", ""},
  {"resources.cpu", kReal, "Processor cores.", "", 0, 4096},
  {"resources.memory", kQuantity, "Memory.", ""},
  {"resources.gpu", kWhole, "Number of GPUs of each machine.", "0", 0, 1024},
  {"resources.gpu_type", kText, "Kind of GPU, by a name of `bundle catalog list`.", ""},
  {"resources.nodes", kWhole, "Machines that one copy spans, with `resources.gpu` GPUs each.", "1",
   1, 256},
  {"resources.disk", kQuantity, "Space for the bundle.", ""},

  {"scaling", kSection, "How many copies a deployment runs.", ""},
  {"scaling.min_replicas", kWhole, "Fewest copies.", "1", 0, 10000},
  {"scaling.max_replicas", kWhole, "Most copies.", "1", 1, 10000},
  {"scaling.target_concurrency", kWhole,
   "Requests at the same time that one copy should carry.", "", 1, 1000000},
  {"scaling.scale_down_delay_seconds", kWhole,
   "How long fewer requests must last before a copy is taken away.", "300", 0, 86400},

  {"env", kTextMap,
   "Environment variables of the server. Never put a secret here: it would be in the bundle.", "",
   0, 0, {}, kVariablePattern},
  {"secrets", kTexts,
   "Names of environment variables that the deployment must supply; never their values.", "",
   0, 0, {}, kVariablePattern},
  {"labels", kTextMap, "Labels of the image.", "", 0, 0, {}, kLabelPattern},
};
// clang-format on

}  // namespace

std::span<const ManifestKey> manifest_keys() { return kKeys; }

const ManifestKey* find_manifest_key(std::string_view path) {
  const auto* found = std::ranges::find(kKeys, path, &ManifestKey::path);
  return found == std::end(kKeys) ? nullptr : found;
}

std::string_view leaf_of(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

std::vector<const ManifestKey*> keys_in(std::string_view section) {
  std::vector<const ManifestKey*> keys;
  for (const ManifestKey& key : kKeys) {
    const std::size_t dot = key.path.rfind('.');
    if (key.path.substr(0, dot == std::string_view::npos ? 0 : dot) == section)
      keys.push_back(&key);
  }
  return keys;
}

std::vector<std::string> choices_of(const ManifestKey& key) {
  std::vector<std::string> choices;
  for (std::string_view rest = key.choices; !rest.empty();) {
    const std::size_t blank = std::min(rest.find(' '), rest.size());
    choices.emplace_back(rest.substr(0, blank));
    rest.remove_prefix(std::min(blank + 1, rest.size()));
  }
  return choices;
}

std::string describe_type(const ManifestKey& key) {
  switch (key.type) {
    case kSection:
      return "a section of keys";
    case kText:
      return "a text";
    case kChoice:
      return fmt::format("one of {}", fmt::join(choices_of(key), ", "));
    case kWhole:
      return fmt::format("a whole number from {:.0f} to {:.0f}", key.min, key.max);
    case kReal:
      return fmt::format("a number from {:g} to {:g}", key.min, key.max);
    case kBool:
      return "true or false";
    case kQuantity:
      return "an amount of bytes such as 16Gi or 500M";
    case kTexts:
      return "a list of texts";
    case kTextMap:
      return "a map of texts";
  }
  return "";
}

}  // namespace bundle::packager
