#include "runtime/server/answer_parts.h"
#include "runtime/server/json_text.h"

namespace bundle::server {
namespace {

class ChatFormat : public AnswerFormat {
 public:
  ChatFormat(AnswerHead head, std::size_t choices)
      : head_(std::move(head)),
        chunk_start_("data: " + answer_start(head_, "chat.completion.chunk")),
        begun_(choices) {}

  void chunk(std::string& out, std::size_t index, const Prompt& prompt, const Output& output,
             const Usage* usage) override {
    if (!begun_[index]) {
      begun_[index] = true;
      begin(out, index, prompt, usage);
    }
    // A chunk has one kind of text: clients ask for reasoning first and take the rest for content.
    const auto& pieces = output.pieces;
    for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
      open(out, index);
      out += R"("delta":{)";
      append_delta(out, index, pieces[i]);
      out += R"(},"logprobs":null,"finish_reason":null)";
      close(out, usage);
    }
    open(out, index);
    out += R"("delta":{)";
    if (!pieces.empty()) {
      append_delta(out, index, pieces.back());
    } else if (!output.text.empty() || output.finish == engine::FinishReason::kNone) {
      out += R"("content":)";
      append_json(out, output.text);
    }
    out += "},";
    append_rest(out, output);
    close(out, usage);
  }

  void end(std::string& out, const Usage& usage) override {
    if (head_.include_usage) append_usage_chunk(out, chunk_start_, usage);
    out += kDone;
  }

  std::string whole(const std::vector<Output>& choices, const std::vector<Prompt>& prompts,
                    const Usage& usage) override {
    std::string out = answer_start(head_, "chat.completion");
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if (i > 0) out += ',';
      out += R"({"index":)";
      append_json(out, static_cast<std::int64_t>(i));
      out += R"(,"message":{"role":"assistant",)";
      append_message(out, i, choices[i]);
      out += R"(,"refusal":null},)";
      append_rest(out, choices[i]);
      out += '}';
    }
    out += ']';
    append_usage(out, usage);
    if (head_.token_ids) {
      out += R"(,"prompt_token_ids":)";
      append_ids(out, prompts.front().ids);
    }
    out += '}';
    return out;
  }

 private:
  /// The members of a delta that hold this piece.
  void append_delta(std::string& out, std::size_t index, const chat::AnswerPiece& piece) {
    using Kind = chat::AnswerPiece::Kind;
    switch (piece.kind) {
      case Kind::kReasoning:
        append_reasoning(out, piece.text);
        break;
      case Kind::kContent:
        out += R"("content":)";
        append_json(out, piece.text);
        break;
      case Kind::kCall:
        out += R"("tool_calls":[{"index":)";
        append_json(out, static_cast<std::int64_t>(piece.call));
        out += ',';
        append_call(out, call_id(index, piece), piece.text);
        out += R"("arguments":""}}])";
        break;
      case Kind::kArguments:
        out += R"("tool_calls":[{"index":)";
        append_json(out, static_cast<std::int64_t>(piece.call));
        out += R"(,"function":{"arguments":)";
        append_json(out, piece.text);
        out += "}}]";
        break;
    }
  }

  /// Under both names that clients read.
  static void append_reasoning(std::string& out, const std::string& text) {
    out += R"("reasoning_content":)";
    append_json(out, text);
    out += R"(,"reasoning":)";
    append_json(out, text);
  }

  /// `"id":…,"type":"function","function":{"name":…,`
  static void append_call(std::string& out, const std::string& id, const std::string& name) {
    out += R"("id":)";
    append_json(out, id);
    out += R"(,"type":"function","function":{"name":)";
    append_json(out, name);
    out += ',';
  }

  /// The model's own id, or one that is made from the answer's.
  std::string call_id(std::size_t index, const chat::AnswerPiece& piece) const {
    if (!piece.call_id.empty()) return piece.call_id;
    return "call_" + head_.id.substr(head_.id.find('-') + 1) + "_" + std::to_string(index) + "_" +
           std::to_string(piece.call);
  }

  /// `"content":…` and what else an answer came to.
  void append_message(std::string& out, std::size_t index, const Output& output) const {
    std::string content = output.text, reasoning, calls;
    for (const chat::AnswerPiece& piece : output.pieces) {
      if (piece.kind == chat::AnswerPiece::Kind::kReasoning) reasoning += piece.text;
      if (piece.kind == chat::AnswerPiece::Kind::kContent) content += piece.text;
    }
    for (std::size_t i = 0; i < output.pieces.size(); ++i) {
      if (output.pieces[i].kind == chat::AnswerPiece::Kind::kCall)
        append_whole_call(calls, index, output, i);
    }
    out += R"("content":)";
    const bool is_all = reasoning.empty() && calls.empty() && !output.left_out;
    if (content.empty() && !is_all) {
      out += "null";
    } else {
      append_json(out, content);
    }
    if (!reasoning.empty()) {
      out += ',';
      append_reasoning(out, reasoning);
    }
    if (!calls.empty()) out += R"(,"tool_calls":[)" + calls + "]";
  }

  void append_whole_call(std::string& out, std::size_t index, const Output& output,
                         std::size_t at) const {
    const chat::AnswerPiece& call = output.pieces[at];
    std::string arguments;
    for (const chat::AnswerPiece& piece : output.pieces) {
      if (piece.kind == chat::AnswerPiece::Kind::kArguments && piece.call == call.call) {
        arguments += piece.text;
      }
    }
    if (!out.empty()) out += ',';
    out += '{';
    append_call(out, call_id(index, call), call.text);
    out += R"("arguments":)";
    append_json(out, arguments);
    out += "}}";
  }

  /// The chunk that says who speaks.
  void begin(std::string& out, std::size_t index, const Prompt& prompt, const Usage* usage) const {
    open(out, index);
    out += R"("delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null})";
    if (head_.token_ids) {
      out += R"(],"prompt_token_ids":)";
      append_ids(out, prompt.ids);
      close_answer(out, usage);
    } else {
      out += ']';
      close_answer(out, usage);
    }
  }

  void open(std::string& out, std::size_t index) const {
    out += chunk_start_;
    out += R"({"index":)";
    append_json(out, static_cast<std::int64_t>(index));
    out += ',';
  }

  void close(std::string& out, const Usage* usage) const {
    out += "}]";
    close_answer(out, usage);
  }

  void close_answer(std::string& out, const Usage* usage) const {
    if (usage != nullptr) {
      append_usage(out, *usage);
    } else if (head_.include_usage) {
      out += R"(,"usage":null)";
    }
    out += "}\n\n";
  }

  /// What chunks and whole choices have in common: all after the text.
  void append_rest(std::string& out, const Output& output) const {
    out += R"("logprobs":)";
    if (head_.logprobs && !output.logprobs.empty()) {
      append_logprobs(out, output);
    } else {
      out += "null";
    }
    out += R"(,"finish_reason":)";
    append_finish(out, output);
    append_stop_reason(out, output);
    if (head_.token_ids) {
      out += R"(,"token_ids":)";
      append_ids(out, output.token_ids);
    }
  }

  void append_logprobs(std::string& out, const Output& output) const {
    out += R"({"content":[)";
    for (std::size_t i = 0; i < output.logprobs.size(); ++i) {
      if (i > 0) out += ',';
      append_token(out, output.logprobs[i].chosen);
      out += R"(,"top_logprobs":[)";
      const auto& top = output.logprobs[i].top;
      const auto shown = std::min(top.size(), static_cast<std::size_t>(head_.top_logprobs));
      for (std::size_t k = 0; k < shown; ++k) {
        if (k > 0) out += ',';
        append_token(out, top[k]);
        out += '}';
      }
      out += "]}";
    }
    out += R"(],"refusal":null})";
  }

  /// An open object: `{"token":…,"logprob":…,"bytes":[…]`
  void append_token(std::string& out, const engine::TokenLogprob& token) const {
    out += R"({"token":)";
    append_json(out, token_label(head_, token.token));
    out += R"(,"logprob":)";
    append_json(out, finite_logprob(token.logprob));
    out += R"(,"bytes":)";
    append_bytes(out, token.token);
  }

  void append_bytes(std::string& out, std::int32_t id) const {
    const auto& tokenizer = head_.model->served.tokenizer;
    if (tokenizer == nullptr) {
      out += "null";
      return;
    }
    out += '[';
    const std::string bytes = tokenizer->token_bytes(id);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (i > 0) out += ',';
      append_json(out, std::int64_t{static_cast<unsigned char>(bytes[i])});
    }
    out += ']';
  }

  AnswerHead head_;
  std::string chunk_start_;
  std::vector<bool> begun_;
};

}  // namespace

std::unique_ptr<AnswerFormat> chat_format(AnswerHead head, std::size_t choices) {
  return std::make_unique<ChatFormat>(std::move(head), choices);
}

}  // namespace bundle::server
