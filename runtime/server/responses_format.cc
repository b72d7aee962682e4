#include "runtime/server/responses_format.h"

#include <utility>

#include "runtime/server/answer_blocks.h"
#include "runtime/server/event_text.h"

namespace bundle::server {
namespace {

JsonObject usage_json(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", JsonObject{{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", JsonObject{{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

class ResponsesFormat final : public AnswerFormat {
 public:
  ResponsesFormat(AnswerHead head, JsonObject echo)
      : head_(std::move(head)), echo_(std::move(echo)), tail_(head_.id.substr(5)) {}

  void chunk(std::string& out, std::size_t, const Prompt&, const Output& output,
             const Usage*) override {
    out_ = &out;
    if (!std::exchange(begun_, true)) {
      for (const char* name : {"response.created", "response.in_progress"}) {
        event(name, {{"response", response("in_progress", {}, nullptr)}});
      }
    }
    blocks_.add(output.pieces);
    blocks_.add_text(output.text);
    if (output.finish == engine::FinishReason::kNone) return;
    finish_ = output.finish;
    blocks_.finish();
  }

  void end(std::string& out, const Usage& usage) override {
    out_ = &out;
    const std::string status = status_of(finish_);
    event("response." + status,
          {{"response", response(status, items(blocks_), usage_json(usage))}});
  }

  std::string whole(const std::vector<Output>& choices, const std::vector<Prompt>&,
                    const Usage& usage) override {
    finish_ = choices.front().finish;
    AnswerBlocks blocks;
    blocks.add(choices.front().pieces);
    blocks.add_text(choices.front().text);
    return print_json(response(status_of(finish_), items(blocks), usage_json(usage)));
  }

  std::string error(const ApiError& error) const override {
    std::string out;
    append_event(out, "error",
                 JsonObject{{"type", "error"},
                            {"sequence_number", sequence_},
                            {"code", error.code},
                            {"message", error.message},
                            {"param", error.param.empty() ? Json(nullptr) : Json(error.param)}});
    return out;
  }

 private:
  static std::string status_of(engine::FinishReason finish) {
    const bool cut =
        finish == engine::FinishReason::kLength || finish == engine::FinishReason::kDeadline;
    return cut ? "incomplete" : "completed";
  }

  JsonObject response(const std::string& status, JsonArray output, Json usage) const {
    JsonObject out{{"id", head_.id},
                   {"object", "response"},
                   {"created_at", head_.created},
                   {"status", status},
                   {"error", nullptr},
                   {"incomplete_details", nullptr},
                   {"model", head_.model->served.name},
                   {"output", std::move(output)},
                   {"usage", std::move(usage)},
                   {"system_fingerprint", head_.model->fingerprint}};
    if (status == "incomplete") {
      const bool late = finish_ == engine::FinishReason::kDeadline;
      out["incomplete_details"] = JsonObject{{"reason", late ? "deadline" : "max_output_tokens"}};
    }
    for (const auto& [name, value] : echo_) out[name] = value;
    return out;
  }

  std::string item_id(std::size_t index, const AnswerBlock& block) const {
    const char* prefix = block.kind == AnswerBlock::Kind::kReasoning ? "rs_"
                         : block.kind == AnswerBlock::Kind::kText    ? "msg_"
                                                                     : "fc_";
    return prefix + tail_ + "_" + std::to_string(index);
  }

  JsonObject part_json(const AnswerBlock& block, bool filled) const {
    const std::string text = filled ? block.text : "";
    if (block.kind == AnswerBlock::Kind::kReasoning) {
      return {{"type", "reasoning_text"}, {"text", text}};
    }
    return {{"type", "output_text"},
            {"text", text},
            {"annotations", JsonArray()},
            {"logprobs", JsonArray()}};
  }

  /// As it begins, or as it ends: the last of `count`.
  JsonObject item_json(std::size_t index, const AnswerBlock& block, bool filled,
                       std::size_t count) const {
    // The answer's end cuts its last item.
    const bool last = index + 1 == count;
    const std::string status = !filled ? "in_progress" : last ? status_of(finish_) : "completed";
    const std::string id = item_id(index, block);
    JsonArray content;
    if (filled && block.kind != AnswerBlock::Kind::kCall) {
      content.emplace_back(part_json(block, true));
    }
    switch (block.kind) {
      case AnswerBlock::Kind::kReasoning:
        return {{"type", "reasoning"},
                {"id", id},
                {"summary", JsonArray()},
                {"content", std::move(content)},
                {"status", status}};
      case AnswerBlock::Kind::kText:
        return {{"type", "message"},
                {"id", id},
                {"role", "assistant"},
                {"status", status},
                {"content", std::move(content)}};
      case AnswerBlock::Kind::kCall:
        break;
    }
    return {
        {"type", "function_call"},
        {"id", id},
        {"call_id", block.id.empty() ? "call_" + tail_ + "_" + std::to_string(index) : block.id},
        {"name", block.name},
        {"arguments", filled ? block.text : ""},
        {"status", status}};
  }

  JsonArray items(const AnswerBlocks& blocks) const {
    JsonArray out;
    for (std::size_t i = 0; i < blocks.blocks().size(); ++i) {
      out.emplace_back(item_json(i, blocks.blocks()[i], true, blocks.blocks().size()));
    }
    return out;
  }

  void event(const std::string& type, JsonObject members) {
    JsonObject data{{"type", type}, {"sequence_number", sequence_++}};
    for (auto& [name, value] : members) data[name] = std::move(value);
    append_event(*out_, type, data);
  }

  /// What events about a part of an item have in common.
  JsonObject place(std::size_t index, const AnswerBlock& block) const {
    JsonObject out{{"item_id", item_id(index, block)}, {"output_index", index}};
    if (block.kind != AnswerBlock::Kind::kCall) out["content_index"] = 0;
    return out;
  }

  static std::string stem(const AnswerBlock& block) {
    return block.kind == AnswerBlock::Kind::kReasoning ? "response.reasoning_text"
           : block.kind == AnswerBlock::Kind::kText    ? "response.output_text"
                                                       : "response.function_call_arguments";
  }

  void on_begun(std::size_t index, const AnswerBlock& block) {
    event("response.output_item.added",
          {{"output_index", index}, {"item", item_json(index, block, false, index + 1)}});
    if (block.kind == AnswerBlock::Kind::kCall) return;
    JsonObject members = place(index, block);
    members["part"] = part_json(block, false);
    event("response.content_part.added", std::move(members));
  }

  void on_grown(std::size_t index, const AnswerBlock& block, const std::string& more) {
    JsonObject members = place(index, block);
    members["delta"] = more;
    if (block.kind == AnswerBlock::Kind::kText) members["logprobs"] = JsonArray();
    event(stem(block) + ".delta", std::move(members));
  }

  void on_ended(std::size_t index, const AnswerBlock& block) {
    JsonObject members = place(index, block);
    members[block.kind == AnswerBlock::Kind::kCall ? "arguments" : "text"] = block.text;
    if (block.kind == AnswerBlock::Kind::kText) members["logprobs"] = JsonArray();
    if (block.kind == AnswerBlock::Kind::kCall) members["name"] = block.name;
    event(stem(block) + ".done", std::move(members));
    if (block.kind != AnswerBlock::Kind::kCall) {
      JsonObject part = place(index, block);
      part["part"] = part_json(block, true);
      event("response.content_part.done", std::move(part));
    }
    event("response.output_item.done",
          {{"output_index", index}, {"item", item_json(index, block, true, index + 1)}});
  }

  const AnswerHead head_;
  const JsonObject echo_;
  const std::string tail_;      // of ids
  std::string* out_ = nullptr;  // of the chunk that is being written
  AnswerBlocks blocks_{{[this](std::size_t i, const AnswerBlock& block) { on_begun(i, block); },
                        [this](std::size_t i, const AnswerBlock& block, const std::string& more) {
                          on_grown(i, block, more);
                        },
                        [this](std::size_t i, const AnswerBlock& block) { on_ended(i, block); }}};
  std::int64_t sequence_ = 0;
  bool begun_ = false;
  engine::FinishReason finish_ = engine::FinishReason::kStop;
};

}  // namespace

std::unique_ptr<AnswerFormat> responses_format(AnswerHead head, JsonObject echo) {
  return std::make_unique<ResponsesFormat>(std::move(head), std::move(echo));
}

}  // namespace bundle::server
