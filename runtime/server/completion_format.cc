#include <set>

#include "runtime/server/answer_parts.h"
#include "runtime/server/json_text.h"

namespace bundle::server {
namespace {

/// One entry of a choice's logprobs: a token that was scored, or the first of a prompt, which has
/// nothing before it to be scored by.
struct Entry {
  std::int32_t token;
  const engine::ScoredToken* score;
};

class CompletionFormat : public AnswerFormat {
 public:
  CompletionFormat(AnswerHead head, std::size_t choices)
      : head_(std::move(head)),
        chunk_start_("data: " + answer_start(head_, "text_completion")),
        begun_(choices),
        offsets_(choices) {}

  void chunk(std::string& out, std::size_t index, const Prompt& prompt, const Output& output,
             const Usage* usage) override {
    out += chunk_start_;
    append_choice(out, index, prompt, output);
    out += ']';
    if (usage != nullptr) {
      append_usage(out, *usage);
    } else if (head_.include_usage) {
      out += R"(,"usage":null)";
    }
    out += "}\n\n";
  }

  void end(std::string& out, const Usage& usage) override {
    if (head_.include_usage) append_usage_chunk(out, chunk_start_, usage);
    out += kDone;
  }

  std::string whole(const std::vector<Output>& choices, const std::vector<Prompt>& prompts,
                    const Usage& usage) override {
    std::string out = answer_start(head_, "text_completion");
    const std::size_t each = choices.size() / prompts.size();
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if (i > 0) out += ',';
      append_choice(out, i, prompts[i / each], choices[i]);
    }
    out += ']';
    append_usage(out, usage);
    out += '}';
    return out;
  }

 private:
  void append_choice(std::string& out, std::size_t index, const Prompt& prompt,
                     const Output& output) {
    const bool first = !begun_[index];
    begun_[index] = true;
    out += R"({"index":)";
    append_json(out, static_cast<std::int64_t>(index));
    out += R"(,"text":)";
    append_json(out, first && head_.echo ? prompt.text + output.text : output.text);
    out += R"(,"logprobs":)";
    append_logprobs(out, offsets_[index], entries(first, prompt, output));
    out += R"(,"finish_reason":)";
    append_finish(out, output);
    append_stop_reason(out, output);
    if (head_.token_ids) append_choice_ids(out, first, prompt, output);
    out += '}';
  }

  static void append_choice_ids(std::string& out, bool first, const Prompt& prompt,
                                const Output& output) {
    out += R"(,"token_ids":)";
    append_ids(out, output.token_ids);
    if (!first) return;
    out += R"(,"prompt_token_ids":)";
    append_ids(out, prompt.ids);
  }

  std::vector<Entry> entries(bool first, const Prompt& prompt, const Output& output) const {
    std::vector<Entry> out;
    if (first && head_.echo && !prompt.ids.empty()) {
      out.push_back({prompt.ids.front(), nullptr});
      for (const auto& score : output.prompt_logprobs) out.push_back({score.chosen.token, &score});
    }
    for (const auto& score : output.logprobs) out.push_back({score.chosen.token, &score});
    return out;
  }

  void append_logprobs(std::string& out, std::int64_t& offset,
                       const std::vector<Entry>& all) const {
    if (!head_.logprobs || all.empty()) {
      out += "null";
      return;
    }
    std::string tokens, scores, tops, offsets;
    for (const Entry& entry : all) {
      for (std::string* list : {&tokens, &scores, &tops, &offsets}) {
        if (!list->empty()) *list += ',';
      }
      append_json(tokens, token_label(head_, entry.token));
      append_json(offsets, offset);
      append_score(scores, entry);
      append_top(tops, entry);
      offset += token_characters(head_, entry.token);
    }
    out += R"({"text_offset":[)" + offsets + R"(],"token_logprobs":[)" + scores +
           R"(],"tokens":[)" + tokens + R"(],"top_logprobs":[)" + tops + "]}";
  }

  static void append_score(std::string& out, const Entry& entry) {
    if (entry.score == nullptr) {
      out += "null";
    } else {
      append_json(out, finite_logprob(entry.score->chosen.logprob));
    }
  }

  /// The candidates and, if it is not among them, the token itself. Two tokens may look the same:
  /// the likelier one has the key.
  void append_top(std::string& out, const Entry& entry) const {
    if (entry.score == nullptr) {
      out += "null";
      return;
    }
    std::set<std::string> seen;
    out += '{';
    const auto add = [&](const engine::TokenLogprob& token) {
      const std::string label = token_label(head_, token.token);
      if (!seen.insert(label).second) return;
      if (seen.size() > 1) out += ',';
      append_json(out, label);
      out += ':';
      append_json(out, finite_logprob(token.logprob));
    };
    const auto& top = entry.score->top;
    for (std::size_t i = 0; i < top.size(); ++i) {
      if (static_cast<std::int64_t>(i) < head_.top_logprobs) add(top[i]);
    }
    add(entry.score->chosen);
    out += '}';
  }

  AnswerHead head_;
  std::string chunk_start_;
  std::vector<bool> begun_;
  std::vector<std::int64_t> offsets_;  // characters before each choice's next token
};

}  // namespace

std::unique_ptr<AnswerFormat> completion_format(AnswerHead head, std::size_t choices) {
  return std::make_unique<CompletionFormat>(std::move(head), choices);
}

}  // namespace bundle::server
