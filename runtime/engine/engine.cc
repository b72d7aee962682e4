#include "runtime/engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <unordered_map>

#include "runtime/engine/kv_plan.h"
#include "runtime/engine/prompt_lookup.h"
#include "runtime/engine/random.h"
#include "runtime/engine/sampler.h"
#include "runtime/engine/scheduler.h"
#include "runtime/engine/step_pacer.h"
#include "runtime/sizing/memory_plan.h"

namespace bundle::engine {
namespace {

/// Bounds the memory of one step's logits when a prompt's log-probabilities are wanted.
constexpr std::int64_t kLogitsPerChunk = 8 << 20;
constexpr std::chrono::milliseconds kCompileWait{2};

std::uint64_t system_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

Event final_event(std::uint64_t id, FinishReason reason, std::string error = {}) {
  Event event;
  event.id = id;
  event.finish = reason;
  event.error = std::move(error);
  return event;
}

/// Penalties count what was said before an interruption as output.
void remember(Sequence& sequence) {
  const auto prompt = static_cast<std::size_t>(sequence.prompt_size);
  sequence.history.add_prompt(std::span(sequence.tokens).first(prompt));
  for (std::size_t i = prompt; i < sequence.tokens.size(); ++i) {
    sequence.history.add_output(sequence.tokens[i]);
  }
}

bool contains(const std::vector<std::int32_t>& ids, std::int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

/// A sequence's part of a step that was run: the rows of the step and the positions they are of.
struct Computed {
  std::uint64_t id = 0;
  std::int64_t first_row = 0;
  std::int64_t position = 0;
};

/// A sequence that the prediction layer makes a guess for.
struct Asking {
  Sequence* sequence;
  SampleContext context;
  bool chosen = false;  // by the model
};

/// What a step gave for one place of an output: logits, or the token that the model chose from them
/// (-1: they were not finite).
struct Row {
  std::span<const float> logits;
  std::optional<std::int32_t> chosen;
};

/// Such rows one after the other: all of logits, `width` each, or all chosen. A view.
class Rows {
 public:
  Rows(std::span<const float> logits, std::int64_t width)
      : logits_(logits), width_(static_cast<std::size_t>(width)) {}
  explicit Rows(std::span<const std::int32_t> chosen) : chosen_(chosen) {}

  std::size_t size() const { return width_ > 0 ? logits_.size() / width_ : chosen_.size(); }
  Row operator[](std::size_t i) const {
    if (width_ > 0) return {logits_.subspan(i * width_, width_), std::nullopt};
    return {{}, chosen_[i]};
  }

 private:
  std::span<const float> logits_;
  std::size_t width_ = 0;
  std::span<const std::int32_t> chosen_;
};

class ModelEngine final : public Engine {
 public:
  ModelEngine(std::unique_ptr<model::Model> model, std::unique_ptr<kernels::KvCache> cache,
              const KvPlan& plan, const EngineOptions& options)
      : model_(std::move(model)),
        cache_(std::move(cache)),
        max_context_(plan.max_context),
        max_sequences_(options.max_sequences),
        step_tokens_(std::max(options.max_step_tokens, options.max_sequences + 1)),
        seed_(options.seed != 0 ? options.seed : system_seed()),
        constraints_(options.constraints),
        blocks_(model_->cache_groups(), plan.blocks, options.block_tokens, options.prefix_cache),
        scheduler_(blocks_, options.max_sequences),
        speculation_(options.speculation),
        draft_tokens_(options.draft_tokens) {}

  void submit(Request request) override;
  void abort(std::uint64_t id) override;
  bool step(std::vector<Event>& events) override;
  bool idle() const override { return sequences_.empty() && pending_.empty(); }
  Status health() const override { return model_->health(); }
  EngineStats stats() const override;
  std::string audit() const override;
  const format::ModelConfig& config() const override { return model_->config(); }

 private:
  std::string check(const Request& request) const;
  Event preview(const Request& request) const;
  StepBudget budget() const;
  void ask_for_choices(Batch& batch);
  bool wants_tokens_alone(const Sequence& sequence) const;
  SampleContext context_of(const Sequence& sequence) const;
  void run(const Batch& batch);
  void observe(const Batch& batch, double seconds);
  void hand_out_rows(const Batch& batch, std::vector<Event>& events);
  void take_logits(const Chunk& chunk, std::span<const float> logits, std::vector<Event>& events);
  void admit_compiled(std::vector<Event>& events);
  std::span<const std::int32_t> masked_ids(const Sequence& sequence) const;
  void take_tokens(Sequence& sequence, const Rows& rows, std::vector<Event>& events);
  void speculate(const std::vector<Computed>& computed);
  void draft_by_model(const std::vector<Computed>& computed);
  static SampleContext guess_context(const Sequence& sequence);
  void take_guesses(const std::vector<Asking>& asking);
  std::int64_t most_drafts(const Sequence& sequence) const;
  void fail(Sequence& sequence, const Error& error, std::vector<Event>& events,
            FinishReason reason = FinishReason::kError);
  Status score_prompt(Sequence& sequence, std::int64_t position, std::span<const float> row);
  void take_states(const Chunk& chunk, std::span<const float> states, std::vector<Event>& events);
  Result<std::int32_t> draw_token(Sequence& sequence, std::span<const float> row);
  Status choose_token(Sequence& sequence, const Row& row, Event& event);
  Event first_event(Sequence& sequence);
  void end(Sequence& sequence);
  std::int64_t vocab_size() const { return model_->config().vocab_size; }

  std::unique_ptr<model::Model> model_;
  std::unique_ptr<kernels::KvCache> cache_;
  std::int64_t max_context_;
  std::int64_t max_sequences_;
  std::int64_t step_tokens_;
  std::uint64_t seed_;
  std::shared_ptr<ConstraintCompiler> constraints_;
  BlockGroups blocks_;
  Scheduler scheduler_;
  Speculation speculation_;
  std::int64_t draft_tokens_;
  Sampler sampler_;
  StepPacer pacer_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Sequence>> sequences_;
  std::vector<Event> pending_;        // refusals and aborts since the last step
  std::vector<Sequence*> compiling_;  // not yet with the scheduler
  std::uint64_t arrivals_ = 0;
  std::vector<kernels::TokenChoice> choices_;  // of a step
  std::vector<float> logits_;
  std::vector<float> draft_logits_;
  EngineStats counters_;
};

std::string ModelEngine::check(const Request& request) const {
  if (sequences_.contains(request.id)) return "a request with this id is in flight";
  if (request.prompt.empty()) return "the prompt is empty";
  const auto size = static_cast<std::int64_t>(request.prompt.size());
  if (request.resumed < 0 || request.resumed >= size) return "more is resumed than there is";
  const bool pools = request.pooling != Pooling::kNone;
  if (pools && !model_->gives_states()) return "this model gives no hidden states to pool";
  const std::int64_t least_output = !pools && request.sampling.max_tokens > 0 ? 1 : 0;
  if (size > max_context_ - least_output) {
    return "the prompt has " + std::to_string(size) + " tokens, and prompt and output together " +
           "may have " + std::to_string(max_context_);
  }
  for (const std::int32_t token : request.prompt) {
    if (token < 0 || token >= vocab_size()) {
      return "token " + std::to_string(token) + " is not in the vocabulary";
    }
  }
  if (!request.sampling.constraint.empty() && constraints_ == nullptr) {
    return "this engine has no tokens' texts to constrain an output with";
  }
  return check_sampling(request.sampling, vocab_size()).value_or("");
}

void ModelEngine::submit(Request request) {
  if (std::string wrong = check(request); !wrong.empty()) {
    pending_.push_back(final_event(request.id, FinishReason::kError, std::move(wrong)));
    return;
  }
  if (request.preview) return pending_.push_back(preview(request));
  auto sequence = std::make_unique<Sequence>();
  Sequence& s = *sequence;
  s.arrival = arrivals_++;
  s.arrived_at = std::chrono::steady_clock::now();
  s.seed = request.sampling.seed.value_or(derive_seed(seed_, s.arrival));
  s.tokens = std::move(request.prompt);
  s.prompt_size = s.size() - request.resumed;
  s.told = request.resumed > 0;
  s.table.salt = request.cache_salt;
  s.table.border = model_->prompt_positions(s.prompt_size);
  s.end_ids = request.sampling.stop_ids;
  if (!request.sampling.ignore_eos) {
    const auto& eos = config().eos_ids;
    s.end_ids.insert(s.end_ids.end(), eos.begin(), eos.end());
  }
  // Ids outside the vocabulary never come, and must not be masked.
  std::erase_if(s.end_ids, [&](std::int32_t id) { return id < 0 || id >= vocab_size(); });
  if (uses_history(request.sampling)) remember(s);
  s.request = std::move(request);
  if (s.request.sampling.constraint.empty()) {
    scheduler_.add(s);
  } else {
    s.constraint = constraints_->begin(s.request.sampling.constraint);
    compiling_.push_back(&s);
  }
  sequences_.emplace(s.request.id, std::move(sequence));
}

Event ModelEngine::preview(const Request& request) const {
  Event event = final_event(request.id, FinishReason::kLength);
  if (!blocks_.reuses()) return event;
  BlockTable table;
  table.salt = request.cache_salt;
  table.border = model_->prompt_positions(static_cast<std::int64_t>(request.prompt.size()));
  event.cached_tokens = static_cast<std::int32_t>(blocks_.cached_tokens(request.prompt, table));
  return event;
}

/// Hands those whose constraints are ready to the scheduler.
void ModelEngine::admit_compiled(std::vector<Event>& events) {
  for (std::size_t i = 0; i < compiling_.size();) {
    Sequence& sequence = *compiling_[i];
    const auto state = sequence.constraint->state();
    if (state == ConstrainedOutput::State::kCompiling) {
      ++i;
      continue;
    }
    compiling_.erase(compiling_.begin() + static_cast<std::ptrdiff_t>(i));
    if (state == ConstrainedOutput::State::kReady) {
      // An output that goes on where another engine left it.
      for (std::int64_t at = sequence.prompt_size; at < sequence.size(); ++at) {
        const std::int32_t token = sequence.tokens[static_cast<std::size_t>(at)];
        if (!sequence.constraint->try_take(token)) sequence.constraint->take(token);
      }
      scheduler_.add(sequence);
    } else {
      const Error error = sequence.constraint->error();
      const bool refused = error.code == ErrorCode::kBadInput;
      fail(sequence, error, events, refused ? FinishReason::kRefused : FinishReason::kError);
    }
  }
}

void ModelEngine::abort(std::uint64_t id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  end(*found->second);
  pending_.push_back(final_event(id, FinishReason::kAborted));
}

bool ModelEngine::step(std::vector<Event>& events) {
  const bool had_pending = !pending_.empty();
  std::move(pending_.begin(), pending_.end(), std::back_inserter(events));
  pending_.clear();
  admit_compiled(events);
  Batch batch = scheduler_.next(budget());
  if (batch.empty()) {
    // Nothing else to do: whoever steps in a loop shall not spin.
    if (!compiling_.empty()) compiling_.front()->constraint->wait(kCompileWait);
    return had_pending || !events.empty() || !compiling_.empty();
  }
  std::vector<Computed> computed;
  std::int64_t rows = 0;
  for (const Chunk& chunk : batch) {
    computed.push_back({chunk.sequence->request.id, rows, chunk.sequence->computed});
    rows += chunk.tokens + chunk.drafts;
  }
  ask_for_choices(batch);
  run(batch);
  if (!model_->health()) return true;
  scheduler_.commit(batch);
  ++counters_.steps;
  hand_out_rows(batch, events);
  if (speculation_ != Speculation::kOff) speculate(computed);
  return true;
}

StepBudget ModelEngine::budget() const {
  return {step_tokens_, pacer_.alone(step_tokens_), pacer_.interleaved(step_tokens_),
          std::max<std::int64_t>(1, kLogitsPerChunk / vocab_size())};
}

SampleContext ModelEngine::context_of(const Sequence& sequence) const {
  return {sequence.request.sampling, sequence.history, masked_ids(sequence), sequence.seed,
          static_cast<std::uint64_t>(sequence.outputs())};
}

/// Nobody asks for the logits that a sequence's next tokens come from, nor changes them.
bool ModelEngine::wants_tokens_alone(const Sequence& sequence) const {
  return !sequence.pools() && !sequence.wants_scores() && sequence.constraint == nullptr &&
         sequence.request.sampling.logprobs < 0 && !changes_logits(context_of(sequence));
}

/// Logits of sequences that want tokens alone stay on a device that can choose from them.
void ModelEngine::ask_for_choices(Batch& batch) {
  choices_.clear();
  if (!model_->gives_choices()) return;
  for (Chunk& chunk : batch) {
    chunk.chosen = chunk.logits > 0 && wants_tokens_alone(*chunk.sequence);
    if (!chunk.chosen) continue;
    SampleContext context = context_of(*chunk.sequence);
    for (std::int64_t i = 0; i < chunk.logits; ++i, ++context.draw) {
      choices_.push_back(choice_of(context));
    }
  }
}

void ModelEngine::run(const Batch& batch) {
  std::vector<model::SequenceChunk> chunks;
  chunks.reserve(batch.size());
  std::span<const kernels::TokenChoice> choices(choices_);
  std::vector<std::vector<std::int32_t>> guessed;  // a token with its guesses
  guessed.reserve(batch.size());
  for (const Chunk& chunk : batch) {
    const Sequence& s = *chunk.sequence;
    auto tokens = std::span(s.tokens).subspan(static_cast<std::size_t>(s.computed),
                                              static_cast<std::size_t>(chunk.tokens));
    if (chunk.drafts > 0) {
      guessed.emplace_back(tokens.begin(), tokens.end());
      guessed.back().insert(guessed.back().end(), s.drafts.begin(),
                            s.drafts.begin() + chunk.drafts);
      tokens = guessed.back();
    }
    const auto mine = choices.first(static_cast<std::size_t>(chunk.chosen ? chunk.logits : 0));
    choices = choices.subspan(mine.size());
    chunks.push_back({tokens, s.computed, s.table.blocks, chunk.logits, s.prompt_size, s.pools(),
                      s.table.group, mine});
  }
  const auto start = std::chrono::steady_clock::now();
  model_->forward(chunks, *cache_, logits_);
  observe(batch, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

void ModelEngine::observe(const Batch& batch, double seconds) {
  std::int64_t decodes = 0;
  std::int64_t prompt_tokens = 0;
  for (const Chunk& chunk : batch) {
    (chunk.tokens == 1 ? decodes : prompt_tokens) += chunk.tokens + chunk.drafts;
  }
  pacer_.observe(decodes, prompt_tokens, seconds);
}

/// What the step made of each chunk, in the batch's order.
void ModelEngine::hand_out_rows(const Batch& batch, std::vector<Event>& events) {
  std::span<const float> logits(logits_);
  std::span<const float> states = model_->states();
  std::span<const std::int32_t> choices = model_->choices();
  for (const Chunk& chunk : batch) {
    if (chunk.chosen) {
      const auto mine = choices.first(static_cast<std::size_t>(chunk.logits));
      choices = choices.subspan(mine.size());
      take_tokens(*chunk.sequence, Rows(mine), events);
      continue;
    }
    const bool pools = chunk.sequence->pools();
    const std::int64_t width = pools ? config().hidden_size : vocab_size();
    const auto count = static_cast<std::size_t>(chunk.logits * width);
    std::span<const float>& rows = pools ? states : logits;
    const auto mine = rows.first(count);
    rows = rows.subspan(count);
    if (count == 0) continue;
    pools ? take_states(chunk, mine, events) : take_logits(chunk, mine, events);
  }
}

/// Sums in the order of positions, so that the embedding does not depend on how a prompt was cut.
void ModelEngine::take_states(const Chunk& chunk, std::span<const float> states,
                              std::vector<Event>& events) {
  Sequence& sequence = *chunk.sequence;
  const auto width = static_cast<std::size_t>(config().hidden_size);
  sequence.pooled.resize(width);
  for (std::size_t i = 0; i < states.size(); ++i) sequence.pooled[i % width] += states[i];
  if (sequence.remaining() > 0) return;
  const bool mean = sequence.request.pooling == Pooling::kMean;
  const double tokens = mean ? static_cast<double>(sequence.size()) : 1.0;
  Event event = first_event(sequence);
  event.finish = FinishReason::kStop;
  for (const double sum : sequence.pooled) {
    if (!std::isfinite(sum)) return fail(sequence, failed("hidden states are not numbers"), events);
    event.embedding.push_back(static_cast<float>(sum / tokens));
  }
  events.push_back(std::move(event));
  end(sequence);
}

/// Rows of `logits` belong to the chunk's last positions, which are computed by now. A row scores
/// the prompt token that follows; that of the last position gives the next token.
void ModelEngine::take_logits(const Chunk& chunk, std::span<const float> logits,
                              std::vector<Event>& events) {
  Sequence& sequence = *chunk.sequence;
  const auto width = static_cast<std::size_t>(vocab_size());
  std::int64_t position = sequence.computed - chunk.logits + chunk.drafts;
  for (; position + 1 < sequence.size(); ++position, logits = logits.subspan(width)) {
    if (Status scored = score_prompt(sequence, position, logits.first(width)); !scored) {
      return fail(sequence, scored.error(), events);
    }
    if (logits.size() == width) return;
  }
  take_tokens(sequence, Rows(logits, vocab_size()), events);
}

/// A row for the token to come, and one behind each guess: what is drawn from a row is the output,
/// and the next row counts only if that was the guess. So guesses change no output.
void ModelEngine::take_tokens(Sequence& sequence, const Rows& rows, std::vector<Event>& events) {
  const std::size_t drafts = rows.size() - 1;
  if (drafts > 0) ++counters_.drafts;
  counters_.draft_tokens += static_cast<std::int64_t>(drafts);
  Event event = first_event(sequence);
  for (std::size_t i = 0; i <= drafts; ++i) {
    if (Status chosen = choose_token(sequence, rows[i], event); !chosen) {
      if (i > 0) events.push_back(std::move(event));  // what came before is output
      return fail(sequence, chosen.error(), events);
    }
    if (event.finish != FinishReason::kNone || i == drafts) break;
    if (sequence.tokens.back() != sequence.drafts[i]) break;
    ++sequence.computed;
    ++counters_.accepted_tokens;
  }
  sequence.drafts.clear();
  const bool over = event.finish != FinishReason::kNone;
  events.push_back(std::move(event));
  if (over) end(sequence);
}

/// Guesses that could still become output.
std::int64_t ModelEngine::most_drafts(const Sequence& sequence) const {
  if (sequence.pools()) return 0;
  const std::int64_t outputs = sequence.request.sampling.max_tokens - sequence.outputs() - 1;
  const std::int64_t room = max_context_ - sequence.size() - 1;
  const std::int64_t most = speculation_ == Speculation::kModel ? 1 : draft_tokens_;
  return std::min({most, outputs, room});
}

/// Makes guesses for the sequences of this step that go on decoding.
void ModelEngine::speculate(const std::vector<Computed>& computed) {
  if (speculation_ == Speculation::kModel) return draft_by_model(computed);
  for (const Computed& part : computed) {
    const auto found = sequences_.find(part.id);
    if (found == sequences_.end() || !found->second->decoding()) continue;
    Sequence& sequence = *found->second;
    sequence.drafts = look_up(sequence.tokens, most_drafts(sequence));
  }
}

/// The draw that the next step will make, on the guessed distribution.
SampleContext ModelEngine::guess_context(const Sequence& sequence) {
  return {sequence.request.sampling,
          sequence.history,
          {},
          sequence.seed,
          static_cast<std::uint64_t>(sequence.outputs())};
}

/// Runs the prediction layer over the step's rows that turned out right, so that its cache keeps
/// up; those of a sequence that decodes give a guess. A shared block's last position may have been
/// drafted from another token than this sequence's: such a guess may be worse, never wrong.
void ModelEngine::draft_by_model(const std::vector<Computed>& computed) {
  std::vector<model::DraftChunk> chunks;
  std::vector<Asking> asking;
  std::vector<kernels::TokenChoice> choices;
  choices.reserve(computed.size());  // chunks refer to them
  for (const Computed& part : computed) {
    const auto found = sequences_.find(part.id);
    if (found == sequences_.end()) continue;
    Sequence& sequence = *found->second;
    const std::int64_t rows = sequence.computed - part.position;
    if (rows <= 0 || sequence.size() < sequence.computed + 1) continue;
    const auto following =
        std::span(sequence.tokens)
            .subspan(static_cast<std::size_t>(part.position) + 1, static_cast<std::size_t>(rows));
    const bool asks = sequence.decoding() && most_drafts(sequence) > 0;
    chunks.push_back({part.first_row, following, part.position, sequence.table.blocks, asks,
                      sequence.prompt_size, sequence.table.group});
    if (!asks) continue;
    asking.push_back({&sequence, guess_context(sequence)});
    if (!model_->gives_choices() || changes_logits(asking.back().context)) continue;
    choices.push_back(choice_of(asking.back().context));
    chunks.back().choice = &choices.back();
    asking.back().chosen = true;
  }
  model_->draft(chunks, *cache_, draft_logits_);
  if (!model_->health()) return;
  take_guesses(asking);
}

void ModelEngine::take_guesses(const std::vector<Asking>& asking) {
  const auto width = static_cast<std::size_t>(vocab_size());
  std::span<const float> logits(draft_logits_);
  std::span<const std::int32_t> chosen = model_->choices();
  for (const Asking& one : asking) {
    if (one.chosen) {
      if (chosen.front() >= 0) one.sequence->drafts = {chosen.front()};
      chosen = chosen.subspan(1);
      continue;
    }
    const auto guess = sampler_.choose(logits.first(width), one.context);
    if (guess) one.sequence->drafts = {*guess};
    logits = logits.subspan(width);
  }
}

void ModelEngine::fail(Sequence& sequence, const Error& error, std::vector<Event>& events,
                       FinishReason reason) {
  events.push_back(final_event(sequence.request.id, reason, error.message()));
  end(sequence);
}

Status ModelEngine::score_prompt(Sequence& sequence, std::int64_t position,
                                 std::span<const float> row) {
  const std::int32_t next = sequence.tokens[static_cast<std::size_t>(position) + 1];
  BUNDLE_TRY(ScoredToken scored,
             sampler_.score(row, next, sequence.request.sampling.prompt_logprobs));
  sequence.scores.push_back(std::move(scored));
  return {};
}

/// An event with what only a request's first one carries, when this is the first.
Event ModelEngine::first_event(Sequence& sequence) {
  Event event;
  event.id = sequence.request.id;
  if (std::exchange(sequence.told, true)) return event;
  event.cached_tokens = sequence.cached_tokens;
  event.queued_seconds = sequence.queued_seconds;
  event.prompt_logprobs = std::move(sequence.scores);
  counters_.prompt_tokens += sequence.prompt_size;
  if (!sequence.scores_prompt() && blocks_.reuses()) {
    counters_.prefix_queries += sequence.prompt_size;
    counters_.prefix_hits += sequence.cached_tokens;
  }
  return event;
}

Status ModelEngine::choose_token(Sequence& sequence, const Row& row, Event& event) {
  const SamplingParams& params = sequence.request.sampling;
  if (params.max_tokens == 0) {
    event.finish = FinishReason::kLength;
    return {};
  }
  // With ignore_eos an output that may not go on ends without an end token.
  if (sequence.constraint != nullptr && params.ignore_eos && sequence.constraint->complete()) {
    event.finish = FinishReason::kStop;
    return {};
  }
  if (row.chosen && *row.chosen < 0) return no_numbers();
  BUNDLE_TRY(const std::int32_t token,
             row.chosen ? Result<std::int32_t>(*row.chosen) : draw_token(sequence, row.logits));
  if (contains(sequence.end_ids, token)) {
    event.finish = FinishReason::kStop;
    event.stop_token = token;
    return {};
  }
  if (params.logprobs >= 0) {
    BUNDLE_TRY(ScoredToken scored, sampler_.score(row.logits, token, params.logprobs));
    event.logprobs.push_back(std::move(scored));
  }
  event.tokens.push_back(token);
  sequence.tokens.push_back(token);
  if (uses_history(params)) sequence.history.add_output(token);
  ++counters_.generated_tokens;
  if (sequence.outputs() >= params.max_tokens || sequence.size() >= max_context_) {
    event.finish = FinishReason::kLength;
  }
  return {};
}

/// A token for the next place, which its constraint has taken. Most tokens that a model draws fit,
/// and to see that costs little beside a mask over the vocabulary: so they are tried first. Whether
/// a mask is there already changes nothing of what is drawn.
Result<std::int32_t> ModelEngine::draw_token(Sequence& sequence, std::span<const float> row) {
  const SamplingParams& params = sequence.request.sampling;
  ConstrainedOutput* const constraint = sequence.constraint.get();
  SampleContext context = context_of(sequence);
  if (constraint == nullptr) return sampler_.choose(row, context);
  if (Sampler::can_try(params)) {
    const auto take = [constraint](std::int32_t id) { return constraint->try_take(id); };
    BUNDLE_TRY(const auto tried, sampler_.try_tokens(row, context, take));
    if (tried) return *tried;
  }
  context.allowed = constraint->mask();
  BUNDLE_TRY(const std::int32_t token, Sampler::can_try(params) ? sampler_.choose_allowed(context)
                                                                : sampler_.choose(row, context));
  constraint->take(token);
  return token;
}

/// End tokens, while an output must go on; one that may not go on is not made to.
std::span<const std::int32_t> ModelEngine::masked_ids(const Sequence& sequence) const {
  if (sequence.outputs() >= sequence.request.sampling.min_tokens) return {};
  if (sequence.constraint != nullptr && sequence.constraint->complete()) return {};
  return sequence.end_ids;
}

void ModelEngine::end(Sequence& sequence) {
  std::erase(compiling_, &sequence);
  scheduler_.remove(sequence);
  sequences_.erase(sequence.request.id);
}

EngineStats ModelEngine::stats() const {
  EngineStats stats = counters_;
  stats.running = scheduler_.running();
  stats.waiting = scheduler_.waiting() + static_cast<std::int64_t>(compiling_.size());
  stats.kv_blocks_total = blocks_.total();
  stats.kv_blocks_used = blocks_.held();
  stats.kv_block_tokens = blocks_.block_tokens();
  stats.preemptions = scheduler_.preemptions();
  stats.max_context = max_context_;
  stats.max_sequences = max_sequences_;
  return stats;
}

std::string ModelEngine::audit() const {
  std::vector<const BlockTable*> tables;
  for (const auto& [id, sequence] : sequences_) tables.push_back(&sequence->table);
  return blocks_.audit(tables);
}

/// A device's own memory is there for the weights and the cache: what the weights leave is the
/// cache's, but for a tenth for activations.
std::int64_t device_tokens(const KvNeeds& needs, const EngineOptions& options,
                           std::uint64_t free_memory) {
  const std::uint64_t fit =
      free_memory / 10 * 9 / std::max<std::uint64_t>(1, needs.bytes_per_token);
  const std::int64_t context = options.max_context > 0 ? options.max_context : needs.model_context;
  const auto each = static_cast<std::uint64_t>(std::max<std::int64_t>(1, context));
  const auto sequences =
      static_cast<std::uint64_t>(std::max<std::int64_t>(1, options.max_sequences));
  return static_cast<std::int64_t>(sequences <= fit / each ? sequences * each : fit);
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<model::Model> model,
                                               kernels::Device& device,
                                               const EngineOptions& options) {
  if (options.speculation == Speculation::kModel && !model->can_draft()) {
    return Error{ErrorCode::kUsage, "the model has no prediction layer to speculate with",
                 "runtime.speculation", "Choose lookup or off."};
  }
  model->set_drafting(options.speculation == Speculation::kModel);
  const kernels::KvShape shape = model->kv_shape(options.kv_type, options.block_tokens);
  const KvNeeds needs{shape.bytes_per_token(), model->config().max_positions,
                      sizing::host_activation_bytes(model->config(), options.max_step_tokens,
                                                    options.max_sequences)};
  auto available = available_memory();
  if (available) *available /= static_cast<std::uint64_t>(std::max<std::int64_t>(1, options.ranks));
  EngineOptions planned = options;
  if (const auto own = device.free_memory(); own && options.kv_tokens == 0) {
    planned.kv_tokens = device_tokens(needs, options, *own);
  }
  BUNDLE_TRY(const KvPlan plan, plan_kv(needs, planned, available));
  BUNDLE_TRY(auto cache, device.make_kv_cache(shape, plan.blocks));
  BUNDLE_CHECK(model->prepare(*cache));
  return std::unique_ptr<Engine>(
      std::make_unique<ModelEngine>(std::move(model), std::move(cache), plan, options));
}

}  // namespace bundle::engine
