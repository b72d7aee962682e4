#include "runtime/server/ollama_format.h"

#include <algorithm>
#include <ctime>

#include "runtime/server/answer_blocks.h"

namespace bundle::server {
namespace {

using Clock = std::chrono::steady_clock;

std::int64_t nanoseconds(Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

class OllamaFormat final : public AnswerFormat {
 public:
  OllamaFormat(AnswerHead head, OllamaShape shape, Clock::time_point received)
      : head_(std::move(head)), shape_(shape), received_(received) {}

  void chunk(std::string& out, std::size_t, const Prompt&, const Output& output,
             const Usage*) override {
    blocks_.add(output.pieces);
    blocks_.add_text(output.text);
    for (const chat::AnswerPiece& piece : output.pieces) {
      if (piece.kind == chat::AnswerPiece::Kind::kReasoning) line(out, "", piece.text);
      if (piece.kind == chat::AnswerPiece::Kind::kContent) line(out, piece.text, "");
    }
    if (!output.text.empty()) line(out, output.text, "");
    if (output.finish != engine::FinishReason::kNone) finish_ = output.finish;
  }

  void end(std::string& out, const Usage& usage) override {
    // Calls come whole, in a line of their own.
    if (JsonArray calls = calls_of(blocks_); !calls.empty()) {
      out += print_json(message("", "", std::move(calls), false)) + "\n";
    }
    JsonObject last = message("", "", {}, true);
    add_figures(last, finish_, usage);
    out += print_json(last) + "\n";
  }

  std::string whole(const std::vector<Output>& choices, const std::vector<Prompt>&,
                    const Usage& usage) override {
    AnswerBlocks blocks;
    blocks.add(choices.front().pieces);
    blocks.add_text(choices.front().text);
    std::string text, thinking;
    for (const AnswerBlock& block : blocks.blocks()) {
      if (block.kind == AnswerBlock::Kind::kText) text += block.text;
      if (block.kind == AnswerBlock::Kind::kReasoning) thinking += block.text;
    }
    JsonObject out = message(text, thinking, calls_of(blocks), true);
    add_figures(out, choices.front().finish, usage);
    return print_json(out);
  }

  std::string error(const ApiError& error) const override { return error_json(error) + "\n"; }
  const char* stream_type() const override { return "application/x-ndjson"; }
  std::string_view keep_alive() const override { return ""; }

 private:
  static JsonArray calls_of(const AnswerBlocks& blocks) {
    JsonArray out;
    for (const AnswerBlock& block : blocks.blocks()) {
      if (block.kind != AnswerBlock::Kind::kCall) continue;
      const auto arguments = parse_json(block.text, "arguments");
      out.emplace_back(JsonObject{
          {"function", JsonObject{{"name", block.name},
                                  {"arguments", arguments ? *arguments : Json(JsonObject())}}}});
    }
    return out;
  }

  JsonObject message(const std::string& text, const std::string& thinking, JsonArray calls,
                     bool is_last) const {
    JsonObject out{{"model", head_.model->served.name}, {"created_at", ollama_time(head_.created)}};
    if (shape_ == OllamaShape::kGenerate) {
      out["response"] = text;
      if (!thinking.empty()) out["thinking"] = thinking;
    } else {
      JsonObject inner{{"role", "assistant"}, {"content", text}};
      if (!thinking.empty()) inner["thinking"] = thinking;
      if (!calls.empty()) inner["tool_calls"] = std::move(calls);
      out["message"] = std::move(inner);
    }
    out["done"] = is_last;
    return out;
  }

  void line(std::string& out, const std::string& text, const std::string& thinking) const {
    out += print_json(message(text, thinking, {}, false)) + "\n";
  }

  static const char* done_reason(engine::FinishReason finish) {
    if (finish == engine::FinishReason::kDeadline) return "deadline";
    return finish == engine::FinishReason::kLength ? "length" : "stop";
  }

  /// Times are in nanoseconds. The prompt's ends with the first token.
  void add_figures(JsonObject& out, engine::FinishReason finish, const Usage& usage) const {
    const Clock::duration total = Clock::now() - received_;
    const auto prompt = std::min(std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>(usage.first_token)),
                                 total);
    out["done_reason"] = done_reason(finish);
    out["total_duration"] = nanoseconds(total);
    out["load_duration"] = 0;
    out["prompt_eval_count"] = usage.prompt_tokens;
    out["prompt_eval_duration"] = nanoseconds(prompt);
    out["eval_count"] = usage.completion_tokens;
    out["eval_duration"] = nanoseconds(total - prompt);
  }

  const AnswerHead head_;
  const OllamaShape shape_;
  const Clock::time_point received_;
  AnswerBlocks blocks_;
  engine::FinishReason finish_ = engine::FinishReason::kStop;
};

}  // namespace

std::unique_ptr<AnswerFormat> ollama_format(AnswerHead head, OllamaShape shape,
                                            Clock::time_point received) {
  return std::make_unique<OllamaFormat>(std::move(head), shape, received);
}

std::string ollama_time(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace bundle::server
