#include "runtime/server/generation_params.h"

#include <charconv>
#include <fmt/format.h>
#include <limits>

#include "base/sha256.h"
#include "runtime/server/answer_parts.h"
#include "runtime/server/output_constraint.h"

namespace bundle::server {
namespace {

constexpr std::int64_t kStopCharacters = 256;
constexpr std::size_t kStopIds = 128;
constexpr std::size_t kBiasEntries = 1024;
constexpr std::int64_t kMaxInt32 = std::numeric_limits<std::int32_t>::max();

/// Fields of OpenAI's or a peer's API that would change the answer: ignoring them in silence would
/// give a client something other than it asked for.
constexpr const char* kNotOffered[] = {"guided_json",
                                       "guided_regex",
                                       "guided_choice",
                                       "guided_grammar",
                                       "grammar",
                                       "json_schema",
                                       "regex",
                                       "ebnf",
                                       "functions",
                                       "audio",
                                       "prompt_logprobs",
                                       "chat_template",
                                       "truncate_prompt_tokens",
                                       "use_beam_search",
                                       "allowed_token_ids",
                                       "bad_words",
                                       "logits_processors",
                                       "thinking_token_budget",
                                       "prompt_embeds",
                                       "web_search_options",
                                       "prediction"};

bool is_set(const Json& value) {
  if (value.is_bool()) return value.get_bool();
  if (const auto* list = value.if_array()) return !list->empty();
  if (const auto* object = value.if_object()) return !object->empty();
  if (const auto* text = value.if_string()) return !text->empty();
  return true;
}

void refuse_not_offered(FieldReader& reader) {
  for (const char* key : kNotOffered) {
    const Json* value = reader.get(key);
    if (value != nullptr && is_set(*value)) {
      reader.fail(unsupported_field(key, fmt::format("'{}' is not supported.", key)));
    }
  }
}

/// Of OpenAI's fields that change nothing here the types are checked all the same.
void check_unused(FieldReader& reader) {
  for (const char* key : {"user", "safety_identifier", "prompt_cache_key", "service_tier"}) {
    reader.string(key);
  }
  reader.boolean("store");
  reader.object("metadata");
  const auto verbosity = reader.string("verbosity");
  if (verbosity && *verbosity != "medium") {
    reader.fail(unsupported_field("verbosity", "The only 'verbosity' supported is 'medium'."));
  }
}

void read_sampling(FieldReader& reader, const format::SamplingDefaults& defaults,
                   engine::SamplingParams& out) {
  const auto top_k = reader.integer("top_k", -1, kMaxInt32).value_or(defaults.top_k.value_or(0));
  out.temperature = reader.number("temperature", 0, 2).value_or(defaults.temperature.value_or(1));
  out.top_k = static_cast<std::int32_t>(std::max<std::int64_t>(top_k, 0));
  out.top_p = reader.number("top_p", 0, 1).value_or(defaults.top_p.value_or(1));
  out.min_p = reader.number("min_p", 0, 1).value_or(defaults.min_p.value_or(0));
  out.repetition_penalty = reader.number("repetition_penalty", 0.01, 100)
                               .value_or(defaults.repetition_penalty.value_or(1));
  out.frequency_penalty = reader.number("frequency_penalty", -2, 2).value_or(0);
  out.presence_penalty = reader.number("presence_penalty", -2, 2).value_or(0);
  out.ignore_eos = reader.boolean("ignore_eos").value_or(false);
  out.min_tokens =
      static_cast<std::int32_t>(reader.integer("min_tokens", 0, kMaxInt32).value_or(0));
  const auto seed = reader.integer("seed", std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max());
  if (seed) out.seed = static_cast<std::uint64_t>(*seed);
}

void add_stop(FieldReader& reader, const Json& value, std::vector<std::string>& out) {
  if (!value.is_string()) {
    reader.fail(
        invalid_field("stop", "'stop' must be a string or a list of strings.", "invalid_type"));
  } else if (value.get_string().empty()) {
    reader.fail(invalid_field("stop", "'stop' must not hold an empty string."));
  } else if (count_characters(value.get_string()) > kStopCharacters) {
    reader.fail(invalid_field(
        "stop", fmt::format("A stop string may have {} characters.", kStopCharacters)));
  } else {
    out.emplace_back(value.get_string());
  }
}

void read_stop(FieldReader& reader, const ServerLimits& limits, const ServedModel& model,
               GenerationParams& out) {
  const Json* stop = reader.get("stop");
  if (stop == nullptr) return;
  if (const auto* list = stop->if_array()) {
    if (list->size() > limits.stop_strings) {
      return reader.fail(invalid_field("stop", fmt::format("'stop' may have {} entries, got {}.",
                                                           limits.stop_strings, list->size())));
    }
    for (const Json& entry : *list) add_stop(reader, entry, out.stop);
  } else {
    add_stop(reader, *stop, out.stop);
  }
  if (!out.stop.empty() && model.tokenizer == nullptr) {
    reader.fail(unsupported_field(
        "stop",
        "This model has no tokenizer, so there is no text to stop at: use 'stop_token_ids'."));
  }
}

void read_stop_ids(FieldReader& reader, std::int32_t vocab_size, engine::SamplingParams& out) {
  const JsonArray* list = reader.array("stop_token_ids");
  if (list == nullptr) return;
  if (list->size() > kStopIds) {
    return reader.fail(invalid_field(
        "stop_token_ids",
        fmt::format("'stop_token_ids' may have {} entries, got {}.", kStopIds, list->size())));
  }
  for (const Json& entry : *list) {
    const auto id = whole_number(entry);
    if (!id || *id < 0 || *id >= vocab_size) {
      return reader.fail(
          invalid_field("stop_token_ids",
                        fmt::format("'stop_token_ids' must hold token ids from 0 to {}, got {}.",
                                    vocab_size - 1, print_json(entry))));
    }
    out.stop_ids.push_back(static_cast<std::int32_t>(*id));
  }
}

std::optional<std::int32_t> parse_token_id(std::string_view text, std::int32_t vocab_size) {
  std::int32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && id >= 0 && id < vocab_size ? std::optional(id) : std::nullopt;
}

void read_logit_bias(FieldReader& reader, std::int32_t vocab_size, engine::SamplingParams& out) {
  const JsonObject* biases = reader.object("logit_bias");
  if (biases == nullptr) return;
  if (biases->size() > kBiasEntries) {
    return reader.fail(invalid_field(
        "logit_bias",
        fmt::format("'logit_bias' may have {} entries, got {}.", kBiasEntries, biases->size())));
  }
  for (const auto& [key, value] : *biases) {
    const auto id = parse_token_id(key, vocab_size);
    if (!id) {
      return reader.fail(invalid_field(
          "logit_bias",
          fmt::format("'logit_bias' must be keyed by token ids from 0 to {}, got '{}'.",
                      vocab_size - 1, std::string_view(key))));
    }
    const double bias = value.is_number() ? value.to_number<double>() : 1000;
    if (bias < -100 || bias > 100) {
      return reader.fail(
          invalid_field("logit_bias", "The values of 'logit_bias' must be between -100 and 100."));
    }
    out.logit_bias.emplace_back(*id, static_cast<float>(bias));
  }
}

void read_stream(FieldReader& reader, GenerationParams& out) {
  out.stream = reader.boolean("stream").value_or(false);
  const JsonObject* options = reader.object("stream_options");
  if (options == nullptr) return;
  if (!out.stream) {
    return reader.fail(
        invalid_field("stream_options", "'stream_options' needs 'stream' to be true."));
  }
  FieldReader inner(*options);
  out.include_usage = inner.boolean("include_usage").value_or(false);
  out.continuous_usage = inner.boolean("continuous_usage_stats").value_or(false);
  if (inner.error()) {
    ApiError error = *inner.error();
    error.param = "stream_options." + error.param;
    reader.fail(std::move(error));
  }
}

std::uint64_t salt_of(const std::optional<std::string>& text) {
  if (!text || text->empty()) return 0;
  std::uint64_t salt = 0;
  const std::string hex = sha256_hex(*text).substr(0, 16);
  std::from_chars(hex.data(), hex.data() + hex.size(), salt, 16);
  return salt;
}

}  // namespace

GenerationParams read_generation_params(FieldReader& reader, const ServedModel& model,
                                        std::int32_t vocab_size, const ServerLimits& limits) {
  GenerationParams out;
  check_model_name(reader, model);
  refuse_not_offered(reader);
  check_unused(reader);
  read_sampling(reader, model.sampling, out.sampling);
  read_stop(reader, limits, model, out);
  read_stop_ids(reader, vocab_size, out.sampling);
  read_logit_bias(reader, vocab_size, out.sampling);
  read_stream(reader, out);
  out.n = reader.integer("n", 1, limits.choices).value_or(1);
  out.include_stop = reader.boolean("include_stop_str_in_output").value_or(false);
  out.return_token_ids = reader.boolean("return_token_ids").value_or(false);
  out.tokens_as_ids = reader.boolean("return_tokens_as_token_ids").value_or(false);
  out.skip_special = reader.boolean("skip_special_tokens").value_or(true);
  read_placement(reader, out);
  read_output_format(reader, out);
  if (out.output_format && model.tokenizer == nullptr) {
    reader.fail(unsupported_field("response_format",
                                  "This model has no tokenizer, so its output has no text."));
  }
  if (model.tokenizer == nullptr) out.tokens_as_ids = true;
  return out;
}

void read_placement(FieldReader& reader, GenerationParams& out) {
  out.cache_salt = salt_of(reader.string("cache_salt"));
  out.priority = static_cast<std::int32_t>(
      reader.integer("priority", std::numeric_limits<std::int32_t>::min(), kMaxInt32).value_or(0));
}

void check_min_tokens(FieldReader& reader, const GenerationParams& params) {
  if (!params.max_tokens || params.sampling.min_tokens <= *params.max_tokens) return;
  reader.fail(invalid_field("min_tokens",
                            "'min_tokens' must not be above the most tokens that are "
                            "asked for."));
}

void check_model_name(FieldReader& reader, const ServedModel& model) {
  const auto name = reader.string("model");
  if (!name || *name == model.name) return;
  reader.fail(not_found_error(
      "model_not_found",
      fmt::format("The model '{}' does not exist; this server has '{}'.", *name, model.name),
      "model"));
}

}  // namespace bundle::server
