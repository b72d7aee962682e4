// POST /v1/admission: what would become of a request, without running it. The body is that of
// /v1/chat/completions or /v1/completions; the engine is asked what its prefix cache holds.
#include <algorithm>

#include "runtime/server/endpoints.h"

namespace bundle::server {
namespace {

/// Writes the preview where an answer would be written.
class PreviewFormat final : public AnswerFormat {
 public:
  PreviewFormat(Service& service, std::shared_ptr<const Model> model, const Demand& demand,
                std::optional<ApiError> refusal)
      : service_(service),
        model_(std::move(model)),
        demand_(demand),
        refusal_(std::move(refusal)),
        queue_(service.queue()) {}

  void chunk(std::string&, std::size_t, const Prompt&, const Output&, const Usage*) override {}
  void end(std::string&, const Usage&) override {}
  std::string whole(const std::vector<Output>&, const std::vector<Prompt>&,
                    const Usage& usage) override;

 private:
  JsonObject queue() const;
  Json retry_after() const;

  Service& service_;
  const std::shared_ptr<const Model> model_;
  const Demand demand_;
  const std::optional<ApiError> refusal_;
  const QueueView queue_;
};

std::string PreviewFormat::whole(const std::vector<Output>&, const std::vector<Prompt>&,
                                 const Usage& usage) {
  const LoadFigures load = service_.load().figures();
  const double wait = predicted_wait(queue_, load);
  const auto fresh = static_cast<double>(usage.prompt_tokens - usage.cached_tokens);
  const bool known = load.prompt_token > 0;
  return print_json(JsonObject{
      {"object", "admission"},
      {"model", model_->served.name},
      {"admitted", !refusal_.has_value()},
      {"reason", refusal_ ? Json(refusal_->code) : Json(nullptr)},
      {"retry_after_seconds", retry_after()},
      {"prompt_tokens", usage.prompt_tokens},
      {"cached_tokens", usage.cached_tokens},
      {"max_tokens", demand_.output_tokens},
      {"choices", demand_.choices},
      {"queue", queue()},
      {"predicted_wait_seconds", wait},
      {"expected_ttft_seconds", known ? Json(wait + fresh * load.prompt_token) : Json(nullptr)}});
}

/// Position 0: it would run at once.
JsonObject PreviewFormat::queue() const {
  const bool at_once = queue_.waiting == 0 && (queue_.slots == 0 || queue_.running < queue_.slots);
  return {{"position", at_once ? 0 : queue_.waiting + 1},
          {"running", queue_.running},
          {"waiting", queue_.waiting},
          {"limit", service_.options().limits.queued_requests}};
}

Json PreviewFormat::retry_after() const {
  if (!refusal_) return nullptr;
  for (const Field& field : refusal_->fields) {
    if (field.name == "Retry-After") return std::stoi(field.value);
  }
  return nullptr;
}

/// Which of the two endpoints the body is meant for.
ApiResult<GenerationPlan> plan_of(Service& service, const HttpRequest& request) {
  BUNDLE_TRY(const JsonObject body, read_body(request));
  if (body.contains("messages")) return plan_chat_completion(service, request);
  if (body.contains("prompt")) return plan_completion(service, request);
  return invalid_field("messages", "'messages' or 'prompt' is required.", "missing_field");
}

}  // namespace

ReplyResult preview_admission(Service& service, const HttpRequest& request) {
  BUNDLE_TRY(GenerationPlan plan, plan_of(service, request));
  const Demand demand = demand_of(plan);
  std::optional<ApiError> refusal = service.refusal_of(request, demand);
  plan.preview = true;
  plan.params.stream = false;
  plan.params.n = 1;
  plan.format = std::make_unique<PreviewFormat>(service, plan.model, demand, std::move(refusal));
  return Reply{{}, std::make_unique<Generation>(service, std::move(plan))};
}

}  // namespace bundle::server
