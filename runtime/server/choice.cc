#include "runtime/server/choice.h"

#include <algorithm>
#include <utility>

namespace bundle::server {
namespace {

/// The special tokens that a parser must see.
std::vector<std::int32_t> tag_ids(const chat::AnswerSyntax& syntax,
                                  const tokenizer::Tokenizer& tokenizer) {
  std::vector<std::int32_t> ids;
  for (const std::string& tag : syntax.tags()) {
    if (const auto id = tokenizer.token_id(tag)) ids.push_back(*id);
  }
  return ids;
}

}  // namespace

Choice::Choice(const GenerationParams& params,
               std::shared_ptr<const tokenizer::Tokenizer> tokenizer)
    : matcher_(params.stop, params.include_stop),
      stop_ids_(params.sampling.stop_ids),
      min_tokens_(params.sampling.min_tokens) {
  if (tokenizer == nullptr) return;
  std::vector<std::int32_t> kept;
  if (params.answer.active()) {
    kept = tag_ids(params.answer, *tokenizer);
    parser_.emplace(params.answer);
  }
  // The output continues the prompt: a space that begins it is part of it.
  detokenizer_.emplace(std::move(tokenizer), params.skip_special, tokenizer::middle_of_text(),
                       std::move(kept));
}

void Choice::take(engine::Event event) {
  if (over_) return;
  std::move(event.prompt_logprobs.begin(), event.prompt_logprobs.end(),
            std::back_inserter(output_.prompt_logprobs));
  if (!event.embedding.empty()) output_.embedding = std::move(event.embedding);
  for (std::size_t i = 0; i < event.tokens.size() && !over_; ++i) {
    add_token(event.tokens[i]);
    if (i < event.logprobs.size()) output_.logprobs.push_back(std::move(event.logprobs[i]));
  }
  if (!over_ && event.finish != engine::FinishReason::kNone) finish(event);
}

void Choice::add_token(std::int32_t id) {
  ++completion_tokens_;
  output_.token_ids.push_back(id);
  if (!detokenizer_) return;
  const std::string text = detokenizer_->push(id);
  if (completion_tokens_ <= min_tokens_) {
    add_text(matcher_.skip(text));
  } else {
    add_text(matcher_.push(text));
    if (matcher_.stopped()) {
      output_.stop_string = matcher_.matched();
      end_by_text();
    }
  }
  count_reasoning();
  if (!over_ && parser_ && parser_->over()) end_by_text();
}

/// The tags do not count. Where they are several tokens, those wait until it is known.
void Choice::count_reasoning() {
  unsure_tokens_ = parser_ && parser_->reasoning() ? unsure_tokens_ + 1 : 0;
  if (unsure_tokens_ == 0 || (parser_->unsure() && !over_)) return;
  reasoning_tokens_ += std::exchange(unsure_tokens_, 0);
}

void Choice::add_text(const std::string& text) {
  if (parser_) {
    parser_->push(text, output_.pieces);
  } else {
    output_.text += text;
  }
}

void Choice::end_by_text() {
  ended_by_text_ = over_ = true;
  output_.finish = engine::FinishReason::kStop;
  finish_text();
}

/// What the parser held back is out when the answer is over.
void Choice::finish_text() {
  if (!parser_) return;
  parser_->finish(output_.pieces);
  output_.called_tool = parser_->called();
  output_.left_out = parser_->left_out();
}

void Choice::finish(const engine::Event& event) {
  over_ = true;
  output_.finish = event.finish;
  if (event.stop_token >= 0) {
    ++completion_tokens_;
    output_.token_ids.push_back(event.stop_token);
    const bool asked =
        std::find(stop_ids_.begin(), stop_ids_.end(), event.stop_token) != stop_ids_.end();
    if (asked) output_.stop_token = event.stop_token;
  }
  if (!detokenizer_) return;
  reasoning_tokens_ += std::exchange(unsure_tokens_, 0);
  add_text(matcher_.push(detokenizer_->finish()));
  if (matcher_.stopped()) {
    output_.stop_string = matcher_.matched();
    if (event.finish == engine::FinishReason::kLength) output_.finish = engine::FinishReason::kStop;
  }
  add_text(matcher_.finish());
  finish_text();
}

void Choice::stop(engine::FinishReason reason) {
  if (over_) return;
  engine::Event end;
  end.finish = reason;
  finish(end);
}

Output Choice::release() { return std::exchange(output_, {}); }

}  // namespace bundle::server
