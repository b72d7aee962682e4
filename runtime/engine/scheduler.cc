#include "runtime/engine/scheduler.h"

#include <algorithm>
#include <utility>

namespace bundle::engine {
namespace {

/// Logits are made for the token to come, and for prompt tokens that are still to be scored: those
/// follow positions scores.size() … prompt_size - 2.
Chunk make_chunk(Sequence& sequence, std::int64_t budget, std::int64_t logit_rows) {
  Chunk chunk{&sequence, std::min(sequence.remaining(), budget), 0};
  if (sequence.request.pooling == Pooling::kMean) {
    chunk.logits = chunk.tokens;
  } else if (sequence.wants_scores()) {
    const auto first =
        std::max(sequence.computed, static_cast<std::int64_t>(sequence.scores.size()));
    chunk.tokens = std::min(chunk.tokens, first - sequence.computed + logit_rows);
    chunk.logits = std::max<std::int64_t>(0, sequence.computed + chunk.tokens - first);
  } else {
    chunk.logits = chunk.tokens == sequence.remaining() ? 1 : 0;
  }
  return chunk;
}

void note_wait(Sequence& sequence) {
  const auto waited = std::chrono::steady_clock::now() - sequence.arrived_at;
  sequence.queued_seconds = std::chrono::duration<float>(waited).count();
}

std::int64_t common_prefix(const Sequence& a, const Sequence& b) {
  const auto [end, other] =
      std::mismatch(a.tokens.begin(), a.tokens.end(), b.tokens.begin(), b.tokens.end());
  return end - a.tokens.begin();
}

}  // namespace

Scheduler::Scheduler(BlockGroups& blocks, std::int64_t max_sequences)
    : blocks_(blocks), max_sequences_(max_sequences) {}

void Scheduler::add(Sequence& sequence) { waiting_.emplace(sequence.place(), &sequence); }

void Scheduler::remove(Sequence& sequence) {
  std::erase(running_, &sequence);
  waiting_.erase(sequence.place());
  blocks_.release(sequence.table);
}

Batch Scheduler::next(const StepBudget& budget) {
  Batch batch;
  add_decodes(batch, budget.tokens);
  std::int64_t decodes = 0;
  for (const Chunk& chunk : batch) decodes += 1 + chunk.drafts;
  std::int64_t left =
      std::min(budget.tokens - decodes, decodes > 0 ? budget.interleaved : budget.prompt);
  add_prompts(batch, left, budget.logit_rows);
  admit_waiting(batch, left, budget.logit_rows);
  return batch;
}

void Scheduler::commit(const Batch& batch) {
  for (const Chunk& chunk : batch) {
    Sequence& sequence = *chunk.sequence;
    sequence.computed += chunk.tokens;
    blocks_.publish(sequence.table, sequence.tokens, sequence.computed);
  }
}

void Scheduler::add_decodes(Batch& batch, std::int64_t budget) {
  // Victims come from the back, so what is in the batch already keeps its blocks.
  for (std::size_t i = 0; i < running_.size() && budget > 0; ++i) {
    Sequence& sequence = *running_[i];
    if (!sequence.decoding() || !make_room(sequence)) continue;
    batch.push_back(make_chunk(sequence, 1, 1));
    Chunk& chunk = batch.back();
    chunk.drafts = chunk.logits == 1 ? fit_drafts(sequence, budget - 1) : 0;
    chunk.logits += chunk.drafts;
    budget -= 1 + chunk.drafts;
  }
}

/// How many of a sequence's guesses are checked: as the budget allows, and only while every running
/// sequence could have a block more. Nobody is put out for a guess.
std::int64_t Scheduler::fit_drafts(Sequence& sequence, std::int64_t budget) {
  auto drafts = std::min(budget, static_cast<std::int64_t>(sequence.drafts.size()));
  const std::int64_t size = blocks_.block_tokens();
  const std::int64_t wanted = running() + (drafts + size - 1) / size;
  if (drafts <= 0 || blocks_.available(sequence.table) < wanted) return 0;
  return blocks_.grow(sequence.table, sequence.size() + drafts) ? drafts : 0;
}

void Scheduler::add_prompts(Batch& batch, std::int64_t& budget, std::int64_t logit_rows) {
  for (Sequence* sequence : running_) {
    if (budget <= 0) return;
    if (sequence->decoding()) continue;
    batch.push_back(make_chunk(*sequence, budget, logit_rows));
    budget -= batch.back().tokens;
  }
}

void Scheduler::admit_waiting(Batch& batch, std::int64_t& budget, std::int64_t logit_rows) {
  for (auto next = waiting_.begin(); next != waiting_.end() && budget > 0;) {
    if (running() >= max_sequences_) return;
    Sequence& sequence = *next->second;
    if (prefix_in_flight(sequence)) {
      ++next;
      continue;
    }
    if (!admit(sequence)) return;
    next = waiting_.erase(next);
    batch.push_back(make_chunk(sequence, budget, logit_rows));
    budget -= batch.back().tokens;
  }
}

bool Scheduler::admit(Sequence& sequence) {
  // A block for each running sequence stays free, else the newcomer would soon be put out again.
  const bool share = !sequence.wants_all_rows();
  const auto cached = blocks_.admit(sequence.table, sequence.tokens, share, running());
  if (!cached) return false;
  sequence.computed = *cached;
  if (!sequence.admitted) sequence.cached_tokens = static_cast<std::int32_t>(*cached);
  if (!std::exchange(sequence.admitted, true)) note_wait(sequence);
  const auto after = [](const Sequence* a, const Sequence* b) { return a->place() < b->place(); };
  running_.insert(std::upper_bound(running_.begin(), running_.end(), &sequence, after), &sequence);
  return true;
}

/// True when a running prompt is about to compute blocks that this one shares: it waits for them
/// instead of computing them a second time.
bool Scheduler::prefix_in_flight(const Sequence& sequence) const {
  if (sequence.wants_all_rows() || !blocks_.reuses()) return false;
  const std::int64_t size = blocks_.block_tokens();
  std::int64_t cached = -1;
  for (const Sequence* other : running_) {
    if (other->decoding() || other->table.salt != sequence.table.salt) continue;
    std::int64_t common = std::min(common_prefix(sequence, *other), sequence.size() - 1);
    const std::int64_t border = sequence.table.border;
    if (border != other->table.border) {
      common = std::min({common, border, other->table.border});
    }
    if (common / size * size <= other->computed) continue;
    if (cached < 0) cached = blocks_.cached_tokens(sequence.tokens, sequence.table);
    if (common / size * size > cached) return true;
  }
  return false;
}

/// The last running sequence whose blocks this one could use.
Sequence& Scheduler::last_beside(const Sequence& sequence) const {
  const auto last = std::find_if(running_.rbegin(), running_.rend(), [&](const Sequence* other) {
    return other->table.group == sequence.table.group;
  });
  return **last;
}

bool Scheduler::make_room(Sequence& sequence) {
  while (!blocks_.grow(sequence.table, sequence.size())) {
    Sequence& victim = last_beside(sequence);
    preempt(victim);
    if (&victim == &sequence) return false;
  }
  return true;
}

void Scheduler::preempt(Sequence& sequence) {
  std::erase(running_, &sequence);
  blocks_.release(sequence.table);
  sequence.computed = 0;
  sequence.drafts.clear();
  sequence.pooled.clear();
  add(sequence);
  ++preemptions_;
}

}  // namespace bundle::engine
