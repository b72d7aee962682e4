// Launch contract v1: what starts a bundle's server, whoever starts it. docs/launch-contract.md
// is its text. A newer CLI starts an older server, so nothing here is ever renamed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "runtime/format/source.h"

namespace bundle::launch {

/// Everything a server needs. JSON form: to_json; unknown keys are refused by name.
struct LaunchSpec {
  int version = 1;
  std::string name;            // the served model's name
  std::string content_digest;  // of the bundle, "" when served from loose files
  format::ModelSource model;
  /// Merged settings, bundle.yaml's `runtime` section as JSON after deployment and --set.
  /// Keys: context_length, kv_type ("f16", "bf16", "f32", "fp8", "int8"), kv_tokens, max_sequences,
  /// max_step_tokens, prefix_cache, threads, parallel {tensor, pipeline, expert, data},
  /// chat_template (text), reasoning_parser, thinking,
  /// tool_parser, sampling {temperature, top_p,
  /// top_k, min_p, repetition_penalty, max_tokens}, backend ("auto", "cpu", "cpu-reference").
  JsonObject runtime;

  Json to_json() const;
  static Result<LaunchSpec> from_json(const Json& value, std::string_view where);
};

/// Command line of bundle-server:
///   bundle-server --launch FILE      a LaunchSpec as JSON
///   bundle-server --model PATH       a folder or .gguf file (inside a container: /models)
///   --host H --port N (0: any free; the chosen one is printed)  --api-key-file F
///   --admin-port N --drain-seconds N --set key=value …
/// Standard error: "ready http://HOST:PORT" once requests are answered. SIGTERM and SIGINT drain,
/// a second one ends at once. Exit code 0 after a drain, else ErrorCode's.

}  // namespace bundle::launch
