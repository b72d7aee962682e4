#include "runtime/launch/runtime_settings.h"

#include "runtime/launch/setting_keys.h"

namespace bundle::launch {
namespace {

constexpr std::string_view kSampling = "sampling";
constexpr std::string_view kServer = "server";
constexpr std::string_view kParallel = "parallel";
constexpr std::string_view kPrefix = "runtime.";

Status check_value(const std::string& path, const Json& value, std::string_view where) {
  const SettingKey* key = find_setting(path);
  if (key == nullptr) {
    const UnknownKey unknown = unknown_setting(path);
    return bad_input(unknown.what, std::string(where), unknown.remedy);
  }
  if (value.is_null() || fits(*key, value)) return {};
  return bad_input("runtime." + path + " must be " + describe(*key), std::string(where));
}

Status check_section(const JsonObject& section, const std::string& prefix, std::string_view where) {
  for (const auto& [name, value] : section) {
    const std::string path = prefix + std::string(name);
    const bool section_key = path == kSampling || path == kServer || path == kParallel;
    if (section_key && value.is_object()) {
      BUNDLE_CHECK(check_section(value.get_object(), path + ".", where));
    } else if (section_key) {
      if (!value.is_null())
        return bad_input("runtime." + path + " must be a section", std::string(where));
    } else {
      BUNDLE_CHECK(check_value(path, value, where));
    }
  }
  return {};
}

/// Null when absent.
const Json* present(const JsonObject& section, std::string_view key) {
  const Json* value = section.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

template <typename T, typename Target>
void set_number(const JsonObject& section, std::string_view key, Target& target) {
  if (const Json* value = present(section, key)) target = value->to_number<T>();
}

void set_text(const JsonObject& section, std::string_view key, std::string& target) {
  if (const Json* value = present(section, key)) target = std::string(value->get_string());
}

engine::Speculation speculation(std::string_view name) {
  if (name == "mtp") return engine::Speculation::kModel;
  return name == "lookup" ? engine::Speculation::kLookup : engine::Speculation::kOff;
}

void read_sampling(const JsonObject& section, RuntimeSettings& settings) {
  set_number<double>(section, "temperature", settings.sampling.temperature);
  set_number<double>(section, "top_p", settings.sampling.top_p);
  set_number<std::int64_t>(section, "top_k", settings.sampling.top_k);
  set_number<double>(section, "min_p", settings.sampling.min_p);
  set_number<double>(section, "repetition_penalty", settings.sampling.repetition_penalty);
  set_number<std::int64_t>(section, "max_tokens", settings.max_tokens);
}

void read_parallel(const JsonObject& section, model::Parallel& parallel) {
  set_number<std::int64_t>(section, "tensor", parallel.tensor);
  set_number<std::int64_t>(section, "pipeline", parallel.pipeline);
  set_number<std::int64_t>(section, "expert", parallel.expert);
  set_number<std::int64_t>(section, "data", parallel.data);
}

/// The section that a dotted path's last key lies in, and that key; made where it is missing.
std::pair<JsonObject*, std::string> locate(JsonObject& runtime, std::string_view path) {
  const auto dot = path.find('.');
  if (dot == path.npos) return {&runtime, std::string(path)};
  Json& section = runtime[path.substr(0, dot)];
  if (!section.is_object()) section.emplace_object();
  return {&section.get_object(), std::string(path.substr(dot + 1))};
}

}  // namespace

Result<RuntimeSettings> read_runtime_settings(const JsonObject& runtime, std::string_view where) {
  BUNDLE_CHECK(check_section(runtime, "", where));
  RuntimeSettings settings;
  engine::EngineOptions& engine = settings.engine;
  set_number<std::int64_t>(runtime, "context_length", engine.max_context);
  set_number<std::int64_t>(runtime, "kv_tokens", engine.kv_tokens);
  set_number<std::int64_t>(runtime, "max_sequences", engine.max_sequences);
  set_number<std::int64_t>(runtime, "max_step_tokens", engine.max_step_tokens);
  set_number<int>(runtime, "threads", settings.threads);
  set_number<int>(runtime, "gpu", settings.gpu);
  if (const Json* value = present(runtime, "deterministic"))
    settings.deterministic = value->get_bool();
  if (const Json* value = present(runtime, "prefix_cache")) engine.prefix_cache = value->get_bool();
  if (const Json* value = present(runtime, "kv_type"))
    engine.kv_type = kv_type_named(value->get_string()).value_or(engine.kv_type);
  if (const Json* value = present(runtime, "speculation"))
    engine.speculation = speculation(value->get_string());
  set_number<std::int64_t>(runtime, "draft_tokens", engine.draft_tokens);
  set_text(runtime, "backend", settings.backend);
  set_text(runtime, "chat_template", settings.chat_template);
  set_text(runtime, "reasoning_parser", settings.reasoning_parser);
  set_text(runtime, "tool_parser", settings.tool_parser);
  if (const Json* value = present(runtime, "thinking")) settings.thinking = value->get_bool();
  if (const Json* value = present(runtime, kSampling)) read_sampling(value->get_object(), settings);
  if (const Json* value = present(runtime, kParallel)) {
    read_parallel(value->get_object(), settings.parallel);
    BUNDLE_CHECK(model::check_numbers(settings.parallel));
    engine.ranks = settings.parallel.ranks();
  }
  if (const Json* value = present(runtime, kServer)) {
    BUNDLE_TRY(settings.server, read_server_settings(value->get_object()));
  }
  return settings;
}

Status apply_setting(JsonObject& runtime, std::string_view assignment) {
  const auto equals = assignment.find('=');
  if (equals == assignment.npos) {
    return Error{ErrorCode::kUsage, "--set needs key=value", std::string(assignment), ""};
  }
  std::string_view path = assignment.substr(0, equals);
  if (path.starts_with(kPrefix)) path.remove_prefix(kPrefix.size());
  const SettingKey* key = find_setting(path);
  if (key == nullptr) {
    const UnknownKey unknown = unknown_setting(path);
    return Error{ErrorCode::kUsage, unknown.what, "--set", unknown.remedy};
  }
  auto value = read_text(*key, assignment.substr(equals + 1));
  if (!value) {
    return Error{ErrorCode::kUsage, "runtime." + std::string(path) + " must be " + describe(*key),
                 "--set", ""};
  }
  const auto [section, name] = locate(runtime, path);
  (*section)[name] = std::move(*value);
  return {};
}

}  // namespace bundle::launch
