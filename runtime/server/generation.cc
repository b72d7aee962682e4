#include "runtime/server/generation.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace bundle::server {
namespace {

double seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

const char* reason_name(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kStop:
      return "stop";
    case engine::FinishReason::kLength:
      return "length";
    case engine::FinishReason::kAborted:
      return "abort";
    case engine::FinishReason::kRefused:
      return "refused";
    case engine::FinishReason::kDeadline:
      return "deadline";
    default:
      return "error";
  }
}

/// Keeps the prompt's scores and drops the one token that the engine had to make.
void drop_generated(engine::Event& event) {
  event.tokens.clear();
  event.logprobs.clear();
  event.stop_token = -1;
  if (event.finish == engine::FinishReason::kStop) event.finish = engine::FinishReason::kLength;
}

void append(Output& all, Output part) {
  const auto move_to = [](auto& from, auto& to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  all.text += part.text;
  chat::append_pieces(all.pieces, std::move(part.pieces));
  move_to(part.token_ids, all.token_ids);
  move_to(part.logprobs, all.logprobs);
  move_to(part.prompt_logprobs, all.prompt_logprobs);
  if (!part.embedding.empty()) all.embedding = std::move(part.embedding);
  if (part.finish == engine::FinishReason::kNone) return;
  all.finish = part.finish;
  all.stop_string = std::move(part.stop_string);
  all.stop_token = part.stop_token;
  all.called_tool = part.called_tool;
  all.left_out = part.left_out;
}

}  // namespace

Demand demand_of(const GenerationPlan& plan) {
  const std::int64_t requests = static_cast<std::int64_t>(plan.prompts.size()) * plan.params.n;
  Demand demand{.choices = plan.at_once > 0 ? std::min(requests, plan.at_once) : requests,
                .output_tokens = plan.params.sampling.max_tokens,
                .priority = plan.params.priority};
  for (const Prompt& prompt : plan.prompts) {
    demand.prompt_tokens += static_cast<std::int64_t>(prompt.ids.size());
  }
  return demand;
}

struct Generation::Slot {
  Choice choice;
  Output held = {};      // not yet written
  bool touched = false;  // since the last write
  bool ended = false;    // the engine works on it no more, or was told so
  std::int64_t cached_tokens = 0;
  double likelihood = 0;    // sum of the tokens' log-probabilities, where they are asked for
  double queued = 0;        // seconds that the engine let it wait
  const char* reason = "";  // why it ended
  Clock::time_point first_at = {};
  Clock::time_point last_at = {};
};

Generation::Generation(Service& service, GenerationPlan plan)
    : service_(service), plan_(std::move(plan)), started_(plan_.received) {
  const std::size_t count = plan_.prompts.size() * static_cast<std::size_t>(plan_.params.n);
  first_id_ = service_.next_ids(count);
  for (std::size_t i = 0; i < count; ++i) {
    slots_.push_back({Choice(plan_.params, plan_.model->served.tokenizer)});
  }
}

Generation::~Generation() {
  queue_->set_wake({});
  abort_all();
}

void Generation::start(std::function<void()> wake) {
  queue_->set_wake(std::move(wake));
  running_ = slots_.size();
  submitted_ = Clock::now();
  submit_more();
}

void Generation::submit_more() {
  const std::size_t most =
      plan_.at_once > 0 ? static_cast<std::size_t>(plan_.at_once) : slots_.size();
  const std::size_t ended = slots_.size() - running_;
  for (; next_ < slots_.size() && next_ < ended + most; ++next_) {
    service_.engine().submit(request_of(next_), [queue = queue_](engine::Event event) {
      queue->push(std::move(event));
    });
  }
}

engine::Request Generation::request_of(std::size_t index) {
  const auto n = static_cast<std::size_t>(plan_.params.n);
  engine::Request request;
  request.id = first_id_ + index;
  request.prompt = plan_.prompts[index / n].ids;
  request.sampling = plan_.params.sampling;
  if (request.sampling.seed) *request.sampling.seed += index % n;
  request.cache_salt = plan_.params.cache_salt;
  request.priority = plan_.params.priority;
  request.turn = plan_.ticket.turn();
  request.preview = plan_.preview;
  request.pooling = plan_.pooling;
  return request;
}

Generation::Progress Generation::pull(std::string& out) {
  for (TimedEvent& timed : queue_->drain()) {
    if (!error_) take(std::move(timed));
  }
  if (running_ > 0 && !error_ && Clock::now() >= deadline_) expire();
  if (error_) return Progress::kFailed;
  submit_more();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].touched) write(i, out);
  }
  if (running_ > 0) return Progress::kWaiting;
  finish(out);
  return Progress::kDone;
}

void Generation::take(TimedEvent timed) {
  engine::Event& event = timed.event;
  const std::uint64_t index = event.id - first_id_;
  if (index >= slots_.size() || slots_[index].ended) return;
  Slot& slot = slots_[index];
  if (plan_.prompt_only) drop_generated(event);
  record(slot, event, timed.at);
  if (event.finish == engine::FinishReason::kError) {
    return fail({.status = 500,
                 .type = "server_error",
                 .code = "engine_error",
                 .message = "The engine failed: " + event.error});
  }
  if (event.finish == engine::FinishReason::kRefused) {
    return fail({.status = 400,
                 .type = "invalid_request_error",
                 .code = "invalid_constraint",
                 .message = event.error});
  }
  if (event.finish == engine::FinishReason::kAborted) {
    return fail({.status = 500,
                 .type = "server_error",
                 .code = "aborted",
                 .message = "The engine ended the request."});
  }
  for (const engine::ScoredToken& token : event.logprobs) {
    slot.likelihood += double{token.chosen.logprob};
  }
  const std::uint64_t id = event.id;
  slot.choice.take(std::move(event));
  slot.touched = true;
  if (!slot.choice.over()) return;
  if (slot.choice.ended_by_text()) service_.engine().abort(id);
  append(slot.held, slot.choice.release());
  end_slot(slot, reason_name(slot.held.finish));
}

void Generation::record(Slot& slot, const engine::Event& event, Clock::time_point at) {
  if (event.cached_tokens > 0) slot.cached_tokens = event.cached_tokens;
  if (!event.embedding.empty()) plan_.ticket.started();
  if (event.tokens.empty()) return;
  Metrics& metrics = plan_.model->metrics;
  if (slot.first_at == Clock::time_point()) {
    slot.first_at = at;
    slot.queued = event.queued_seconds;
    plan_.ticket.started();
    metrics.first_token(seconds(at - started_));
    service_.load().first_token(seconds(at - started_), seconds(at - submitted_) - slot.queued,
                                prompt_tokens_of(slot) - slot.cached_tokens);
  } else {
    metrics.next_tokens(seconds(at - slot.last_at), event.tokens.size());
  }
  slot.last_at = at;
}

void Generation::end_slot(Slot& slot, const char* reason) {
  slot.ended = true;
  slot.reason = reason;
  --running_;
  if (!plan_.preview) plan_.model->metrics.choice_finished(reason);
}

void Generation::expire() {
  deadline_ = Clock::time_point::max();
  if (usage().completion_tokens == 0) return fail(deadline_exceeded());
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.ended) continue;
    service_.engine().abort(first_id_ + i);
    slot.choice.stop(engine::FinishReason::kDeadline);
    slot.touched = true;
    append(slot.held, slot.choice.release());
    end_slot(slot, reason_name(slot.held.finish));
  }
}

void Generation::write(std::size_t index, std::string& out) {
  Slot& slot = slots_[index];
  slot.touched = false;
  if (!slot.ended) append(slot.held, slot.choice.release());
  if (!streams()) return;
  // Without a tokenizer the ids are the answer; else a chunk without text would say nothing.
  const bool ids_matter = plan_.model->served.tokenizer == nullptr && !slot.held.token_ids.empty();
  if (!slot.held.says_something() && !slot.ended && !ids_matter) return;
  const Usage now = usage();
  const Prompt& prompt = plan_.prompts[index / static_cast<std::size_t>(plan_.params.n)];
  plan_.format->chunk(out, index, prompt, std::exchange(slot.held, {}),
                      plan_.params.continuous_usage ? &now : nullptr);
}

void Generation::finish(std::string& out) {
  record_request();
  if (!streams()) return;
  plan_.format->end(out, usage());
}

/// Indices of the choices that are the answer, in order.
std::vector<std::size_t> Generation::kept() const {
  const auto n = static_cast<std::size_t>(plan_.params.n);
  const auto keep = plan_.keep > 0 ? static_cast<std::size_t>(plan_.keep) : n;
  const auto per_token = [&](std::size_t i) {
    return slots_[i].likelihood /
           static_cast<double>(std::max<std::int64_t>(1, slots_[i].choice.completion_tokens()));
  };
  std::vector<std::size_t> out;
  for (std::size_t first = 0; first < slots_.size(); first += n) {
    std::vector<std::size_t> group(n);
    std::iota(group.begin(), group.end(), first);
    if (keep < n) {
      std::stable_sort(group.begin(), group.end(),
                       [&](std::size_t a, std::size_t b) { return per_token(a) > per_token(b); });
    }
    out.insert(out.end(), group.begin(), group.begin() + static_cast<std::ptrdiff_t>(keep));
  }
  return out;
}

std::string Generation::whole() {
  std::vector<Output> outputs;
  for (const std::size_t i : kept()) outputs.push_back(std::move(slots_[i].held));
  return plan_.format->whole(outputs, plan_.prompts, usage());
}

void Generation::interrupt(ApiError error) {
  if (running_ > 0 && !error_) fail(std::move(error));
}

void Generation::fail(ApiError error) {
  error_ = std::move(error);
  abort_all();
}

void Generation::abort_all() {
  if (running_ == 0) return;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].ended) continue;
    service_.engine().abort(first_id_ + i);
    end_slot(slots_[i], error_ ? "error" : "abort");
  }
  record_request();
}

GenerationRecord Generation::record() const {
  const Usage total = usage();
  const Slot& slot = slots_.front();
  GenerationRecord out{.model = plan_.model->served.name,
                       .prompt_tokens = total.prompt_tokens,
                       .completion_tokens = total.completion_tokens,
                       .cached_tokens = total.cached_tokens,
                       .finish = error_         ? "error"
                                 : running_ > 0 ? "abort"
                                                : slot.reason,
                       .streamed = streams()};
  if (slot.first_at == Clock::time_point()) return out;
  out.queued = slot.queued;
  out.first_token = seconds(slot.first_at - started_);
  out.last_token = seconds(slot.last_at - started_);
  return out;
}

void Generation::record_request() {
  if (plan_.preview) return;
  const Usage total = usage();
  RequestFigures figures{.end_to_end = seconds(Clock::now() - started_),
                         .prompt_tokens = total.prompt_tokens,
                         .completion_tokens = total.completion_tokens,
                         .cached_tokens = total.cached_tokens,
                         .max_tokens = plan_.params.sampling.max_tokens,
                         .choices = plan_.params.n,
                         .key = plan_.ticket.key()};
  const Slot& slot = slots_.front();
  if (slot.first_at != Clock::time_point()) {
    figures.queued = slot.queued;
    figures.prefill = std::max(seconds(slot.first_at - submitted_) - slot.queued, 0.0);
    figures.decode = seconds(slot.last_at - slot.first_at);
  }
  if (slot.choice.completion_tokens() > 1) {
    figures.time_per_token =
        figures.decode / static_cast<double>(slot.choice.completion_tokens() - 1);
  }
  plan_.model->metrics.request_finished(figures);
  plan_.ticket.used(total.completion_tokens);
  service_.load().finished(static_cast<std::int64_t>(slots_.size()), total.completion_tokens,
                           figures.time_per_token);
}

std::int64_t Generation::prompt_tokens_of(const Slot& slot) const {
  const auto index = static_cast<std::size_t>(&slot - slots_.data());
  const auto n = static_cast<std::size_t>(plan_.params.n);
  return static_cast<std::int64_t>(plan_.prompts[index / n].ids.size());
}

Usage Generation::usage() const {
  Usage out;
  const auto n = static_cast<std::size_t>(plan_.params.n);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    out.completion_tokens += slots_[i].choice.completion_tokens();
    out.reasoning_tokens += slots_[i].choice.reasoning_tokens();
    if (i % n == 0) out.cached_tokens += slots_[i].cached_tokens;
  }
  const Slot& first = slots_.front();
  if (first.first_at != Clock::time_point()) out.first_token = seconds(first.first_at - started_);
  for (const Prompt& prompt : plan_.prompts) {
    out.prompt_tokens += static_cast<std::int64_t>(prompt.ids.size());
  }
  return out;
}

}  // namespace bundle::server
