#include "runtime/model/leader.h"

#include <vector>

#include "runtime/model/step_message.h"

namespace bundle::model {
namespace {

constexpr int kLeader = 0;
/// A step's tokens and block tables: far beyond any.
constexpr std::uint64_t kMostBytes = 1u << 30;

template <typename T>
std::span<std::byte> memory_of(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

/// Each other rank says once that it has come so far, or fails.
Status wait_for_all(comm::Communicator& world) {
  for (int rank = 0; rank < world.size(); ++rank) {
    if (rank == kLeader) continue;
    char ready = 0;
    BUNDLE_CHECK(world.await(rank));
    BUNDLE_CHECK(world.receive(memory_of(ready), rank));
  }
  return {};
}

Status say_ready(comm::Communicator& world) {
  const char ready = 1;
  return world.send(std::as_bytes(std::span(&ready, 1)), kLeader);
}

Status tell(comm::Communicator& world, std::string message) {
  std::uint64_t size = message.size();
  BUNDLE_CHECK(world.broadcast(memory_of(size), kLeader));
  return world.broadcast(std::as_writable_bytes(std::span(message)), kLeader);
}

Result<StepMessage> hear(comm::Communicator& world) {
  BUNDLE_CHECK(world.await(kLeader));
  std::uint64_t size = 0;
  BUNDLE_CHECK(world.broadcast(memory_of(size), kLeader));
  if (size > kMostBytes) return bad_input("a message between ranks is too long");
  std::vector<std::byte> bytes(size);
  BUNDLE_CHECK(world.broadcast(bytes, kLeader));
  return decode_step_message(bytes);
}

/// Failures of the communicator stay in it, and come out of health().
class LeadingModel final : public Model {
 public:
  LeadingModel(std::unique_ptr<Model> model, const Team& team)
      : model_(std::move(model)), world_(team.world()) {}
  LeadingModel(const LeadingModel&) = delete;
  LeadingModel& operator=(const LeadingModel&) = delete;
  ~LeadingModel() override {
    if (prepared_) {
      (void)tell(world_, encode_stop());
    } else {
      world_.abort(Error{ErrorCode::kUnreachable, "it ended before it served"});
    }
  }

  const format::ModelConfig& config() const override { return model_->config(); }
  kernels::KvShape kv_shape(DType type, std::int64_t block_tokens) const override {
    return model_->kv_shape(type, block_tokens);
  }
  std::int64_t prompt_positions(std::int64_t prompt) const override {
    return model_->prompt_positions(prompt);
  }
  std::int64_t cache_groups() const override { return model_->cache_groups(); }

  void forward(std::span<const SequenceChunk> chunks, kernels::KvCache& cache,
               std::vector<float>& logits) override {
    (void)tell(world_, encode_forward(chunks));
    model_->forward(chunks, cache, logits);
  }

  bool gives_choices() const override { return model_->gives_choices(); }
  std::span<const std::int32_t> choices() const override { return model_->choices(); }
  bool can_draft() const override { return model_->can_draft(); }
  void set_drafting(bool on) override {
    drafting_ = on;
    model_->set_drafting(on);
  }
  void draft(std::span<const DraftChunk> chunks, kernels::KvCache& cache,
             std::vector<float>& logits) override {
    (void)tell(world_, encode_draft(chunks));
    model_->draft(chunks, cache, logits);
  }

  Status prepare(const kernels::KvCache& cache) override {
    const kernels::KvShape& shape = cache.shape();
    BUNDLE_CHECK(tell(
        world_, encode_prepare({cache.num_blocks(), shape.block_tokens, shape.type, drafting_})));
    BUNDLE_CHECK(wait_for_all(world_));
    prepared_ = true;
    return {};
  }
  Status health() const override { return model_->health(); }

  std::uint64_t resident_bytes() const override { return model_->resident_bytes(); }
  std::uint64_t weight_bytes() const override { return model_->weight_bytes(); }

 private:
  std::unique_ptr<Model> model_;
  comm::Communicator& world_;
  bool drafting_ = false;
  bool prepared_ = false;
};

class Follower {
 public:
  Follower(Model& model, kernels::Device& device, comm::Communicator& world,
           const std::function<void()>& on_prepared)
      : model_(model), device_(device), world_(world), on_prepared_(on_prepared) {}

  Status run() {
    BUNDLE_CHECK(say_ready(world_));
    for (;;) {
      BUNDLE_TRY(const StepMessage message, hear(world_));
      if (message.kind == StepMessage::Kind::kStop) return {};
      BUNDLE_CHECK(carry_out(message));
      BUNDLE_CHECK(model_.health());
    }
  }

 private:
  Status carry_out(const StepMessage& message) {
    if (message.kind == StepMessage::Kind::kPrepare) return prepare(message.cache);
    if (cache_ == nullptr) return bad_input("a step came before its cache");
    if (message.kind == StepMessage::Kind::kForward) {
      model_.forward(message.sequence_chunks(), *cache_, logits_);
    } else {
      model_.draft(message.draft_chunks(), *cache_, logits_);
    }
    return {};
  }

  Status prepare(const StepMessage::Cache& wanted) {
    model_.set_drafting(wanted.drafting);
    const kernels::KvShape shape = model_.kv_shape(wanted.type, wanted.block_tokens);
    BUNDLE_TRY(cache_, device_.make_kv_cache(shape, wanted.blocks));
    BUNDLE_CHECK(say_ready(world_));
    if (on_prepared_) on_prepared_();
    return {};
  }

  Model& model_;
  kernels::Device& device_;
  comm::Communicator& world_;
  const std::function<void()>& on_prepared_;
  std::unique_ptr<kernels::KvCache> cache_;
  std::vector<float> logits_;
};

}  // namespace

Result<std::unique_ptr<Model>> lead(std::unique_ptr<Model> model, const Team& team) {
  BUNDLE_CHECK(wait_for_all(team.world()));
  return std::unique_ptr<Model>(std::make_unique<LeadingModel>(std::move(model), team));
}

Status follow(Model& model, kernels::Device& device, const Team& team,
              const std::function<void()>& on_prepared) {
  Status end = Follower(model, device, team.world(), on_prepared).run();
  if (!end) team.world().abort(end.error());
  return end;
}

}  // namespace bundle::model
