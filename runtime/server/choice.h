// One choice of an answer: events of one engine request in, text and its scores out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/chat/answer_parser.h"
#include "runtime/engine/request.h"
#include "runtime/server/generation_params.h"
#include "runtime/server/stop_matcher.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bundle::server {

/// What a choice came to since it was last asked, or in all.
struct Output {
  std::string text;
  chat::AnswerPieces pieces;            // instead of the text, where an answer has parts
  std::vector<std::int32_t> token_ids;  // the token that ended it among them
  std::vector<engine::ScoredToken> logprobs;
  std::vector<engine::ScoredToken> prompt_logprobs;
  std::vector<float> embedding;
  engine::FinishReason finish = engine::FinishReason::kNone;
  std::string stop_string;       // that ended it, or ""
  std::int32_t stop_token = -1;  // that ended it and is no end token of the model's own
  bool called_tool = false;      // with `finish`: there were tool calls
  bool left_out = false;         // with `finish`: there was reasoning that the client does not want

  bool says_something() const { return !text.empty() || !pieces.empty(); }
};

/// Not thread-safe.
class Choice {
 public:
  /// A null tokenizer: ids only, the text stays empty.
  Choice(const GenerationParams& params, std::shared_ptr<const tokenizer::Tokenizer> tokenizer);

  /// Takes one event in. Those that come after the end are ignored.
  void take(engine::Event event);
  /// Ends it where it stands.
  void stop(engine::FinishReason reason);
  bool over() const { return over_; }
  /// The text ended it: the engine does not know yet that it can stop.
  bool ended_by_text() const { return ended_by_text_; }

  /// What came since the last call.
  Output release();

  std::int64_t completion_tokens() const { return completion_tokens_; }
  std::int64_t reasoning_tokens() const { return reasoning_tokens_; }

 private:
  void add_token(std::int32_t id);
  void add_text(const std::string& text);
  void count_reasoning();
  void end_by_text();
  void finish_text();
  void finish(const engine::Event& event);

  std::optional<tokenizer::Detokenizer> detokenizer_;
  StopMatcher matcher_;
  std::optional<chat::AnswerParser> parser_;
  std::vector<std::int32_t> stop_ids_;
  std::int64_t min_tokens_;
  std::int64_t completion_tokens_ = 0;
  std::int64_t reasoning_tokens_ = 0;
  std::int64_t unsure_tokens_ = 0;
  bool ended_by_text_ = false;
  bool over_ = false;
  Output output_;
};

}  // namespace bundle::server
