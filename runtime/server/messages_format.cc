// The answer of Anthropic's /v1/messages: content blocks, and events that build them.
#include "runtime/server/messages_format.h"

#include "runtime/server/answer_blocks.h"
#include "runtime/server/answer_parts.h"
#include "runtime/server/event_text.h"

namespace bundle::server {
namespace {

JsonObject usage_json(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.completion_tokens}};
}

Json stop_reason(const Output& output) {
  if (output.finish == engine::FinishReason::kNone) return nullptr;
  if (output.finish == engine::FinishReason::kLength) return "max_tokens";
  if (output.finish == engine::FinishReason::kDeadline) return "deadline";  // a word of our own
  if (!output.stop_string.empty()) return "stop_sequence";
  return output.called_tool ? "tool_use" : "end_turn";
}

Json stop_sequence(const Output& output) {
  if (output.stop_string.empty()) return nullptr;
  return Json(output.stop_string);
}

class MessagesFormat final : public AnswerFormat {
 public:
  explicit MessagesFormat(AnswerHead head) : head_(std::move(head)) {}

  void chunk(std::string& out, std::size_t, const Prompt& prompt, const Output& output,
             const Usage*) override {
    if (!begun_) begin(out, prompt);
    out_ = &out;
    blocks_.add(output.pieces);
    blocks_.add_text(output.text);
    if (output.finish == engine::FinishReason::kNone) return;
    blocks_.finish();
    stop_reason_ = stop_reason(output);
    stop_sequence_ = stop_sequence(output);
  }

  void end(std::string& out, const Usage& usage) override {
    append_event(out, "message_delta",
                 JsonObject{{"type", "message_delta"},
                            {"delta", JsonObject{{"stop_reason", stop_reason_},
                                                 {"stop_sequence", stop_sequence_}}},
                            {"usage", usage_json(usage)}});
    append_event(out, "message_stop", JsonObject{{"type", "message_stop"}});
  }

  std::string whole(const std::vector<Output>& choices, const std::vector<Prompt>&,
                    const Usage& usage) override {
    const Output& output = choices.front();
    AnswerBlocks blocks;
    blocks.add(output.pieces);
    blocks.add_text(output.text);
    JsonArray content;
    for (std::size_t i = 0; i < blocks.blocks().size(); ++i) {
      content.emplace_back(block_json(i, blocks.blocks()[i], /*filled=*/true));
    }
    JsonObject message = message_json(std::move(content), usage);
    message["stop_reason"] = stop_reason(output);
    message["stop_sequence"] = stop_sequence(output);
    return print_json(message);
  }

  std::string error(const ApiError& error) const override {
    std::string out;
    append_event(out, "error",
                 JsonObject{{"type", "error"},
                            {"error", JsonObject{{"type", error.type},
                                                 {"message", error.message},
                                                 {"code", error.code}}}});
    return out;
  }

  std::string_view keep_alive() const override {
    return "event: ping\ndata: {\"type\":\"ping\"}\n\n";
  }

 private:
  void begin(std::string& out, const Prompt& prompt) {
    begun_ = true;
    Usage usage;
    usage.prompt_tokens = static_cast<std::int64_t>(prompt.ids.size());
    append_event(out, "message_start",
                 JsonObject{{"type", "message_start"}, {"message", message_json({}, usage)}});
  }

  JsonObject message_json(JsonArray content, const Usage& usage) const {
    return {{"id", head_.id},
            {"type", "message"},
            {"role", "assistant"},
            {"model", head_.model->served.name},
            {"content", std::move(content)},
            {"stop_reason", nullptr},
            {"stop_sequence", nullptr},
            {"usage", usage_json(usage)}};
  }

  /// As it begins, or filled.
  JsonObject block_json(std::size_t index, const AnswerBlock& block, bool filled) const {
    switch (block.kind) {
      case AnswerBlock::Kind::kReasoning:
        return {{"type", "thinking"}, {"thinking", filled ? block.text : ""}, {"signature", ""}};
      case AnswerBlock::Kind::kText:
        return {{"type", "text"}, {"text", filled ? block.text : ""}};
      case AnswerBlock::Kind::kCall:
        break;
    }
    const auto input = parse_json(block.text, "arguments");
    const bool whole = filled && input && input->is_object();
    return {{"type", "tool_use"},
            {"id", block.id.empty() ? "toolu_" + head_.id.substr(4) + "_" + std::to_string(index)
                                    : block.id},
            {"name", block.name},
            {"input", whole ? *input : Json(JsonObject())}};
  }

  void on_begun(std::size_t index, const AnswerBlock& block) {
    append_event(*out_, "content_block_start",
                 JsonObject{{"type", "content_block_start"},
                            {"index", index},
                            {"content_block", block_json(index, block, false)}});
  }

  void on_grown(std::size_t index, const AnswerBlock& block, const std::string& more) {
    JsonObject delta;
    switch (block.kind) {
      case AnswerBlock::Kind::kReasoning:
        delta = {{"type", "thinking_delta"}, {"thinking", more}};
        break;
      case AnswerBlock::Kind::kText:
        delta = {{"type", "text_delta"}, {"text", more}};
        break;
      case AnswerBlock::Kind::kCall:
        delta = {{"type", "input_json_delta"}, {"partial_json", more}};
        break;
    }
    append_event(
        *out_, "content_block_delta",
        JsonObject{{"type", "content_block_delta"}, {"index", index}, {"delta", std::move(delta)}});
  }

  void on_ended(std::size_t index) {
    append_event(*out_, "content_block_stop",
                 JsonObject{{"type", "content_block_stop"}, {"index", index}});
  }

  const AnswerHead head_;
  std::string* out_ = nullptr;  // of the chunk that is being written
  AnswerBlocks blocks_{{[this](std::size_t i, const AnswerBlock& block) { on_begun(i, block); },
                        [this](std::size_t i, const AnswerBlock& block, const std::string& more) {
                          on_grown(i, block, more);
                        },
                        [this](std::size_t i, const AnswerBlock&) { on_ended(i); }}};
  bool begun_ = false;
  Json stop_reason_;
  Json stop_sequence_;
};

}  // namespace

std::unique_ptr<AnswerFormat> messages_format(AnswerHead head, std::size_t) {
  return std::make_unique<MessagesFormat>(std::move(head));
}

}  // namespace bundle::server
