#include "runtime/model/transformer.h"

namespace bundle::model {

using kernels::Tensor;

Transformer::Transformer(TransformerParts parts, kernels::Device& device)
    : parts_(std::move(parts)),
      device_(device),
      placement_(parts_.team == nullptr ? Placement() : parts_.team->placement()),
      vocabulary_(parts_.config.vocab_size, parts_.team),
      lasting_(device.make_arena()),
      scratch_(device.make_arena()),
      kept_(device.make_arena()),
      rows_(placement_.parallel.data, placement_.group()) {}

kernels::KvShape Transformer::kv_shape(DType type, std::int64_t block_tokens) const {
  const format::ModelConfig& config = parts_.config;
  const bool drafts_here = drafting_ && placement_.last_stage();
  const auto layers = static_cast<std::int64_t>(parts_.layers.size()) + (drafts_here ? 1 : 0);
  if (!config.mla) {
    const std::int64_t heads = placement_.kv_heads(config).count;
    return {layers, heads, config.head_dim, block_tokens, type, 0};
  }
  const std::int64_t rank = config.mla->kv_lora_rank;
  return {layers, 1, rank + config.mla->qk_rope_head_dim, block_tokens, type, rank};
}

std::int64_t Transformer::prompt_positions(std::int64_t prompt) const {
  return parts_.config.mla ? prompt / kPromptTile * kPromptTile : 0;
}

comm::Communicator* Transformer::groups() const {
  return parts_.team == nullptr ? nullptr : parts_.team->groups();
}

Status Transformer::health() const {
  BUNDLE_CHECK(device_.status());
  if (parts_.team == nullptr) return {};
  return parts_.team->health();
}

/// x = what this stage begins with: the tokens' rows, or what the stage before made of them.
void Transformer::enter(Tensor x) const {
  if (placement_.first_stage()) {
    return vocabulary_.embed(device_, *parts_.embedding.weight, rows_.ids(), x);
  }
  const std::int64_t before = placement_.rank - placement_.parallel.tensor;
  (void)parts_.team->tensors().receive(bytes_of(x), static_cast<int>(before));
}

/// The hidden states that this stage ends with.
Tensor Transformer::run_layers(kernels::KvCache& cache) {
  const Step step{device_, cache, *lasting_, *scratch_, rows_.slices()};
  Tensor x = take(*lasting_, rows_.size(), parts_.config.hidden_size);
  enter(x);
  for (const DecoderLayer& layer : parts_.layers) {
    const bool last = placement_.last_stage() && &layer == &parts_.layers.back();
    const bool narrows = last && !drafting_ && !rows_.keeps_all();
    x = rows_.attend(*layer.attention, step, x, narrows, groups());
    scratch_->reset();
    if (x.rows > 0) layer.feed_forward->forward(step, x);
    scratch_->reset();
  }
  return x;
}

kernels::Vector Transformer::norm() const { return {parts_.norm.data(), parts_.norm.size()}; }

const kernels::Matrix& Transformer::output() const {
  return parts_.output.weight ? *parts_.output.weight : *parts_.embedding.weight;
}

/// The named rows of x; x itself where they are all.
Tensor Transformer::gather(Tensor x, std::span<const std::int64_t> rows) {
  if (static_cast<std::int64_t>(rows.size()) == x.rows) return x;
  const Tensor some = take(*lasting_, static_cast<std::int64_t>(rows.size()), x.cols);
  if (some.rows > 0) device_.gather_rows(x, rows, some);
  return some;
}

/// Keeps the states that were asked for; gives the rows of x, one a kept row, that logits are of.
Tensor Transformer::take_states(Tensor x) {
  states_.resize(state_rows_.size() * static_cast<std::size_t>(x.cols));
  if (state_rows_.empty()) return x;
  const Tensor asked = gather(x, state_rows_);
  const Tensor normed = take(*scratch_, asked.rows, asked.cols);
  device_.rms_norm(asked, norm(), eps(), normed);
  device_.read(normed, states_.data());
  scratch_->reset();
  return gather(x, logit_rows_);
}

/// Room for what drafts start from.
void Transformer::make_hidden(std::int64_t rows) {
  kept_->reset();
  hidden_ = take(*kept_, rows, parts_.config.hidden_size);
}

/// Keeps what drafts start from; gives the rows that are kept.
Tensor Transformer::keep_hidden(Tensor x, std::span<const std::int64_t> kept) {
  device_.rms_norm(x, norm(), eps(), hidden_);
  return gather(x, kept);
}

void Transformer::score(Tensor x, Tensor scores) {
  device_.norm_matmul(x, norm(), eps(), output(), parts_.output.bias_data(), scores);
}

/// The hidden states go to the next stage.
void Transformer::pass_on(Tensor x) const {
  const std::int64_t next = placement_.rank + placement_.parallel.tensor;
  (void)parts_.team->tensors().send(bytes_of(x), static_cast<int>(next));
}

/// Hands the hidden states on to the next stage, or scores them: this rank's columns of the logits.
Tensor Transformer::finish(Tensor x) {
  if (!placement_.last_stage()) {
    pass_on(x);
    return {};
  }
  if (drafting_) {
    make_hidden(x.rows);
    x = keep_hidden(x, rows_.kept());
  }
  x = take_states(x);
  if (x.rows == 0) return {};
  const Tensor scores = take(*scratch_, x.rows, output().rows());
  score(x, scores);
  return scores;
}

/// Whether what a step's calls name depends on the step's shape alone: without other ranks, or with
/// ranks that exchange on the device and attend to the same sequences.
bool Transformer::repeats() const {
  if (!state_rows_.empty()) return false;
  return parts_.team == nullptr || (parts_.team->on_device() && placement_.parallel.data == 1);
}

/// The scores of a step that repeats(). The device may replay it without calling the body: what
/// lies where is the same in every step of one shape.
Tensor Transformer::run_whole(kernels::KvCache& cache) {
  const KeptRows kept = rows_.own_kept();
  const bool last = placement_.last_stage();
  const auto count = last ? static_cast<std::int64_t>(kept.rows.size()) : 0;
  if (drafting_ && last) make_hidden(rows_.size());
  const Tensor scores = last ? take(*lasting_, count, output().rows()) : Tensor();
  device_.run_step({rows_.ids(), rows_.slices(), kept.rows, kept.slices, &cache}, [&] {
    Tensor x = run_layers(cache);
    if (!last) return pass_on(x);
    if (drafting_) x = keep_hidden(x, kept.rows);
    if (count > 0) score(x, scores);
    scratch_->reset();
  });
  return scores;
}

/// A row of the scores is read, or a token chosen from it.
void Transformer::want(std::int64_t row, const kernels::TokenChoice* choice) {
  if (choice == nullptr) return read_rows_.push_back(row);
  choices_.push_back(*choice);
  choices_.back().row = row;
}

void Transformer::add_rows(const SequenceChunk& chunk) {
  auto& wanted = chunk.states ? state_rows_ : logit_rows_;
  const auto first = static_cast<std::int64_t>(rows_.kept().size());
  rows_.add(chunk, chunk.logits, prompt_positions(chunk.prompt));
  for (std::int64_t i = 0; i < chunk.logits; ++i) {
    const auto scored = static_cast<std::int64_t>(logit_rows_.size());
    wanted.push_back(first + i);
    if (chunk.states) continue;
    want(scored, chunk.choices.empty() ? nullptr : &chunk.choices[static_cast<std::size_t>(i)]);
  }
}

/// On the first rank, of `rows` rows of scores: tokens where they were asked for, and the other
/// rows as logits.
void Transformer::hand_out(Tensor scores, std::int64_t rows, std::vector<float>& logits) {
  scores = vocabulary_.collect(device_, *lasting_, scores, rows);
  chosen_.resize(choices_.size());
  logits.resize(
      placement_.rank == 0 ? read_rows_.size() * static_cast<std::size_t>(vocabulary_.size()) : 0);
  if (placement_.rank != 0) return;
  if (!choices_.empty()) {
    device_.choose(scores, choices_, chosen_.data());
    scores = gather(scores, read_rows_);
  }
  if (!logits.empty()) device_.read(scores, logits.data());
}

void Transformer::forward(std::span<const SequenceChunk> chunks, kernels::KvCache& cache,
                          std::vector<float>& logits) {
  rows_.clear();
  logit_rows_.clear();
  state_rows_.clear();
  states_.clear();
  choices_.clear();
  read_rows_.clear();
  for (const SequenceChunk& chunk : chunks) add_rows(chunk);
  rows_.finish();
  Tensor scores;
  if (rows_.size() > 0) {
    scores = repeats() ? run_whole(cache) : finish(run_layers(cache));
  }
  hand_out(scores, static_cast<std::int64_t>(logit_rows_.size()), logits);
  scratch_->reset();
  lasting_->reset();
}

/// Scores of the kept rows: the draft layer over `rows` of the last step.
Tensor Transformer::draft_scores(std::span<const std::int64_t> rows,
                                 std::span<const std::int64_t> blank, kernels::KvCache& cache) {
  const Step step{device_, cache, *lasting_, *scratch_, rows_.slices()};
  const Tensor hidden = take(*lasting_, rows_.size(), hidden_.cols);
  device_.gather_rows(hidden_, rows, hidden);
  const kernels::Matrix* embedding = parts_.embedding.weight.get();
  const Tensor x =
      parts_.draft->forward(step, rows_, vocabulary_, embedding, hidden, blank, groups());
  if (x.rows == 0) return {};
  const Tensor scores = take(*scratch_, x.rows, output().rows());
  parts_.draft->score(step, x, output(), scores);
  return scores;
}

void Transformer::draft(std::span<const DraftChunk> chunks, kernels::KvCache& cache,
                        std::vector<float>& logits) {
  if (!drafting_) return;
  rows_.clear();
  choices_.clear();
  read_rows_.clear();
  std::vector<std::int64_t> rows, blank;
  for (const DraftChunk& chunk : chunks) {
    const auto count = static_cast<std::int64_t>(chunk.following.size());
    if (chunk.position == 0 && count > 0) blank.push_back(rows_.size());
    for (std::int64_t i = 0; i < count; ++i) rows.push_back(chunk.first_row + i);
    const SequenceChunk part{chunk.following, chunk.position, chunk.blocks, 0,
                             chunk.prompt,    false,          chunk.group};
    const auto scored = static_cast<std::int64_t>(rows_.kept().size());
    const bool asks = chunk.logits && count > 0;
    rows_.add(part, asks ? 1 : 0, prompt_positions(chunk.prompt));
    if (asks) want(scored, chunk.choice);
  }
  rows_.finish();
  Tensor scores;
  if (rows_.size() > 0 && placement_.last_stage()) scores = draft_scores(rows, blank, cache);
  hand_out(scores, static_cast<std::int64_t>(rows_.kept().size()), logits);
  scratch_->reset();
  lasting_->reset();
}

}  // namespace bundle::model
