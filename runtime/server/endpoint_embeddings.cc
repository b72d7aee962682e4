// POST /v1/embeddings: hidden states behind the last norm, pooled into one vector an input.
#include <cmath>
#include <fmt/format.h>

#include "base/base64.h"
#include "runtime/server/endpoints.h"
#include "runtime/server/json_text.h"
#include "runtime/server/prompt_budget.h"
#include "runtime/server/prompt_reader.h"

namespace bundle::server {
namespace {

struct EmbeddingParams {
  GenerationParams common;
  engine::Pooling pooling = engine::Pooling::kLast;
  std::size_t dimensions = 0;  // of each vector
  bool base64 = false;
  bool normalize = true;
  bool add_special = true;
};

/// The first `dimensions` numbers, of length 1 where that is asked for: what models that are
/// trained to be cut (A. Kusupati et al.: Matryoshka Representation Learning, 2022) expect.
void shape(std::vector<float>& vector, const EmbeddingParams& params) {
  vector.resize(std::min(vector.size(), params.dimensions));
  if (!params.normalize) return;
  double squares = 0;
  for (const float x : vector) squares += double{x} * double{x};
  if (squares == 0) return;
  const double scale = 1 / std::sqrt(squares);
  for (float& x : vector) x = static_cast<float>(x * scale);
}

/// Little-endian floats, as OpenAI's clients unpack them.
std::string raw_bytes(const std::vector<float>& vector) {
  return {reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)};
}

class EmbeddingsFormat final : public AnswerFormat {
 public:
  EmbeddingsFormat(std::shared_ptr<const Model> model, const EmbeddingParams& params)
      : model_(std::move(model)), params_(params) {}

  void chunk(std::string&, std::size_t, const Prompt&, const Output&, const Usage*) override {}
  void end(std::string&, const Usage&) override {}

  std::string whole(const std::vector<Output>& choices, const std::vector<Prompt>&,
                    const Usage& usage) override {
    std::string out = R"({"object":"list","data":[)";
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if (i > 0) out += ',';
      out += R"({"object":"embedding","index":)";
      append_json(out, static_cast<std::int64_t>(i));
      out += R"(,"embedding":)";
      append_vector(out, choices[i].embedding);
      out += '}';
    }
    out += R"(],"model":)";
    append_json(out, model_->served.name);
    const JsonObject figures{{"prompt_tokens", usage.prompt_tokens},
                             {"total_tokens", usage.prompt_tokens},
                             {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
    return out + R"(,"usage":)" + print_json(figures) + "}";
  }

 private:
  void append_vector(std::string& out, std::vector<float> vector) const {
    shape(vector, params_);
    if (params_.base64) return append_json(out, base64_encode(raw_bytes(vector)));
    out += '[';
    for (std::size_t i = 0; i < vector.size(); ++i) {
      if (i > 0) out += ',';
      append_json(out, vector[i]);
    }
    out += ']';
  }

  const std::shared_ptr<const Model> model_;
  const EmbeddingParams params_;
};

/// The field's value, one of two words; the first unless it says the other.
bool is_second(FieldReader& reader, const char* key, const char* first, const char* second) {
  const auto word = reader.string(key);
  if (!word || *word == first) return false;
  if (*word == second) return true;
  reader.fail(invalid_field(key, fmt::format("'{}' must be '{}' or '{}'.", key, first, second)));
  return false;
}

EmbeddingParams read_params(FieldReader& reader, const ServedModel& model) {
  EmbeddingParams out;
  check_model_name(reader, model);
  read_placement(reader, out.common);
  reader.string("user");
  if (is_second(reader, "pooling", "last", "mean")) out.pooling = engine::Pooling::kMean;
  out.base64 = is_second(reader, "encoding_format", "float", "base64");
  out.normalize = reader.boolean("normalize").value_or(true);
  out.add_special = reader.boolean("add_special_tokens").value_or(true);
  const auto dimensions = reader.integer("dimensions", 1, model.hidden_size);
  out.dimensions = static_cast<std::size_t>(dimensions.value_or(model.hidden_size));
  if (reader.get("truncate_prompt_tokens") != nullptr) {
    reader.fail(
        unsupported_field("truncate_prompt_tokens", "'truncate_prompt_tokens' is not supported."));
  }
  return out;
}

/// No room is kept for an output: there is none.
ApiResult<GenerationPlan> check_sizes(const Service& service, GenerationPlan plan) {
  const std::int64_t most = service.options().limits.embedding_inputs;
  if (static_cast<std::int64_t>(plan.prompts.size()) > most) {
    return invalid_field(
        "input", fmt::format("'input' may have {} entries, got {}.", most, plan.prompts.size()));
  }
  for (const Prompt& prompt : plan.prompts) {
    const auto size = static_cast<std::int64_t>(prompt.ids.size());
    BUNDLE_TRY(plan.params.sampling.max_tokens,
               output_budget(service, *plan.model, size, 0, std::nullopt, "input"));
  }
  return plan;
}

ApiResult<GenerationPlan> plan_embeddings(Service& service, const HttpRequest& request) {
  BUNDLE_TRY(const auto model, service.available_model());
  BUNDLE_TRY(const JsonObject body, read_body(request));
  if (model->served.hidden_size == 0) {
    return unsupported_field("model", "This model gives no embeddings.");
  }
  FieldReader reader(body);
  const EmbeddingParams params = read_params(reader, model->served);
  if (reader.error()) return *reader.error();
  BUNDLE_TRY(auto prompts, read_prompts(*model, reader.get("input"), "input", params.add_special));
  return check_sizes(service, {.params = params.common,
                               .prompts = std::move(prompts),
                               .pooling = params.pooling,
                               .at_once = service.options().limits.embeddings_at_once,
                               .format = std::make_unique<EmbeddingsFormat>(model, params),
                               .model = model,
                               .received = request.received});
}

}  // namespace

ReplyResult create_embeddings(Service& service, const HttpRequest& request) {
  return admit(service, request, plan_embeddings(service, request));
}

}  // namespace bundle::server
