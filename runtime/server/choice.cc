#include "runtime/server/choice.h"

#include <algorithm>
#include <utility>

namespace bundle::server {

Choice::Choice(const GenerationParams& params,
               std::shared_ptr<const tokenizer::Tokenizer> tokenizer)
    : matcher_(params.stop, params.include_stop),
      stop_ids_(params.sampling.stop_ids),
      min_tokens_(params.sampling.min_tokens) {
  if (tokenizer == nullptr) return;
  // The output continues the prompt: a space that begins it is part of it.
  detokenizer_.emplace(std::move(tokenizer), params.skip_special, tokenizer::middle_of_text());
}

void Choice::take(engine::Event event) {
  if (over_) return;
  std::move(event.prompt_logprobs.begin(), event.prompt_logprobs.end(),
            std::back_inserter(output_.prompt_logprobs));
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
    output_.text += matcher_.skip(text);
    return;
  }
  output_.text += matcher_.push(text);
  if (!matcher_.stopped()) return;
  output_.stop_string = matcher_.matched();
  output_.finish = engine::FinishReason::kStop;
  ended_by_string_ = over_ = true;
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
  output_.text += matcher_.push(detokenizer_->finish());
  if (matcher_.stopped()) {
    output_.stop_string = matcher_.matched();
    if (event.finish == engine::FinishReason::kLength) output_.finish = engine::FinishReason::kStop;
  }
  output_.text += matcher_.finish();
}

void Choice::stop(engine::FinishReason reason) {
  if (over_) return;
  engine::Event end;
  end.finish = reason;
  finish(end);
}

Output Choice::release() { return std::exchange(output_, {}); }

}  // namespace bundle::server
