#include "runtime/launch/setting_keys.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

#include "base/text.h"
#include "runtime/chat/answer_format_names.h"

namespace bundle::launch {
namespace {

using enum SettingType;

// clang-format off
constexpr SettingKey kKeys[] = {
  {"backend", kChoice, 0, 0, "auto cpu cpu-reference cuda"},
  {"chat_template", kText},
  {"context_length", kWhole, 1, 1e9},
  {"deterministic", kBool},
  {"gpu", kWhole, 0, 1023},
  {"kv_tokens", kWhole, 1, 1e12},
  {"kv_type", kChoice, 0, 0, "f16 bf16 f32 fp8 int8"},
  {"max_sequences", kWhole, 1, 65536},
  {"max_step_tokens", kWhole, 1, 1048576},
  {"prefix_cache", kBool},
  {"reasoning_parser", kChoice, 0, 0, chat::kReasoningFormatNames},
  {"thinking", kBool},
  {"tool_parser", kChoice, 0, 0, chat::kToolFormatNames},
  {"speculation", kChoice, 0, 0, "off lookup mtp"},
  {"draft_tokens", kWhole, 1, 64},
  {"threads", kWhole, 1, 4096},
  {"parallel.tensor", kWhole, 1, 64},
  {"parallel.pipeline", kWhole, 1, 64},
  {"parallel.expert", kWhole, 1, 64},
  {"parallel.data", kWhole, 1, 64},
  {"sampling.temperature", kReal, 0, 100},
  {"sampling.top_p", kReal, 0, 1},
  {"sampling.top_k", kWhole, 0, 1e9},
  {"sampling.min_p", kReal, 0, 1},
  {"sampling.repetition_penalty", kReal, 1e-3, 100},
  {"sampling.max_tokens", kWhole, 1, 1e9},
  {"server.max_queued_requests", kWhole, 0, 1e6},
  {"server.max_connections", kWhole, 1, 1e6},
  {"server.max_body_bytes", kWhole, 1024, 1e9},
  {"server.request_timeout_seconds", kReal, 0, 86400},
  {"server.target_concurrency", kReal, 0, 1e6},
  {"server.target_ttft_seconds", kReal, 0, 86400},
  {"server.idle_seconds", kReal, 0, 1e9},
  {"server.min_replicas", kWhole, 0, 10000},
  {"server.max_replicas", kWhole, 1, 10000},
  {"server.page", kBool},
  {"server.otlp_endpoint", kText},
  {"server.webhook_url", kText},
  {"server.webhook_waiting", kReal, 0, 1e6},
  {"server.webhook_wait_seconds", kReal, 0, 86400},
  {"server.webhook_kv_usage", kReal, 0, 1},
  {"server.webhook_idle_seconds", kReal, 0, 1e9},
};
// clang-format on

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  while (!text.empty()) {
    found.push_back(text.substr(0, text.find(' ')));
    text.remove_prefix(std::min(text.size(), found.back().size() + 1));
  }
  return found;
}

template <typename T>
std::optional<Json> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool idle_zero = text.size() > 1 && text.front() == '0' && std::is_integral_v<T>;
  if (idle_zero || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return Json(value);
}

std::optional<Json> parse(SettingType type, std::string_view text) {
  switch (type) {
    case kWhole:
      return number<std::int64_t>(text);
    case kReal:
      return number<double>(text);
    case kBool:
      if (text == "true") return Json(true);
      if (text == "false") return Json(false);
      return std::nullopt;
    case kText:
    case kChoice:
      return Json(text);
  }
  return std::nullopt;
}

bool in_range(const SettingKey& key, double value) {
  return value >= key.least && value <= key.most;  // false for what is no number
}

}  // namespace

std::span<const SettingKey> setting_keys() { return kKeys; }

const SettingKey* find_setting(std::string_view path) {
  const auto* found = std::ranges::find(kKeys, path, &SettingKey::path);
  return found == std::end(kKeys) ? nullptr : found;
}

std::string describe(const SettingKey& key) {
  switch (key.type) {
    case kWhole:
      return fmt::format("a whole number from {:.0f} to {:.0f}", key.least, key.most);
    case kReal:
      return fmt::format("a number from {:g} to {:g}", key.least, key.most);
    case kBool:
      return "true or false";
    case kText:
      return "a text";
    case kChoice:
      return fmt::format("one of {}", fmt::join(words(key.choices), ", "));
  }
  return "";
}

bool fits(const SettingKey& key, const Json& value) {
  const bool whole = value.is_int64() || value.is_uint64();
  switch (key.type) {
    case kWhole:
      return whole && in_range(key, value.to_number<double>());
    case kReal:
      return value.is_number() && in_range(key, value.to_number<double>());
    case kBool:
      return value.is_bool();
    case kText:
      return value.is_string();
    case kChoice: {
      if (!value.is_string()) return false;
      const auto choices = words(key.choices);
      const std::string_view chosen = value.get_string();
      return std::find(choices.begin(), choices.end(), chosen) != choices.end();
    }
  }
  return false;
}

std::optional<Json> read_text(const SettingKey& key, std::string_view text) {
  auto value = parse(key.type, text);
  if (!value || !fits(key, *value)) return std::nullopt;
  return value;
}

UnknownKey unknown_setting(std::string_view path) {
  std::vector<std::string> known;
  for (const SettingKey& key : kKeys) known.emplace_back(key.path);
  const std::string near = nearest(path, known);
  return {fmt::format("unknown key runtime.{}", path),
          near.empty() ? fmt::format("Known keys are {}.", fmt::join(known, ", "))
                       : fmt::format("Did you mean runtime.{}?", near)};
}

}  // namespace bundle::launch
