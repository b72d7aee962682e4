// An answer as a row of blocks: reasoning, text, tool calls, each begun, filled and ended. The APIs
// of Anthropic and of OpenAI's responses speak in blocks.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/chat/answer_piece.h"

namespace bundle::server {

struct AnswerBlock {
  enum class Kind { kReasoning, kText, kCall };
  Kind kind = Kind::kText;
  std::string text = {};  // of a call: the JSON text of its arguments
  std::string name = {};  // of a call
  std::string id = {};    // of a call: the model's own, or ""
};

/// Adds pieces to the blocks that they belong to. Not thread-safe.
class AnswerBlocks {
 public:
  /// What happens to the last block. Members may be empty.
  struct Watch {
    std::function<void(std::size_t index, const AnswerBlock&)> begun;
    std::function<void(std::size_t index, const AnswerBlock&, const std::string& more)> grown;
    std::function<void(std::size_t index, const AnswerBlock&)> ended;
  };
  explicit AnswerBlocks(Watch watch = {}) : watch_(std::move(watch)) {}

  void add(const chat::AnswerPieces& pieces);
  void add_text(const std::string& text);
  /// The answer is over.
  void finish();

  const std::vector<AnswerBlock>& blocks() const { return blocks_; }

 private:
  void extend(AnswerBlock::Kind kind, const std::string& text);
  void begin(AnswerBlock block);

  Watch watch_;
  std::vector<AnswerBlock> blocks_;
  bool open_ = false;
};

}  // namespace bundle::server
