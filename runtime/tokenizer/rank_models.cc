#include "runtime/tokenizer/rank_models.h"

#include <algorithm>

#include "runtime/tokenizer/known_patterns.h"
#include "runtime/tokenizer/pre_tokenizer.h"

namespace bundle::tokenizer {
namespace {

using Names = std::vector<std::string>;

constexpr std::string_view kCl100kPattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|)"
    R"(\s++$|\s*[\r\n]|\s+(?!\S)|\s)";

// "<|NAME_N|>" for so many N.
void add_numbered(Names& names, const std::string& name, int first, int count) {
  for (int i = 0; i < count; ++i) {
    names.push_back("<|" + name + "_" + std::to_string(first + i) + "|>");
  }
}

Names qwen_specials() {
  Names names{"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  add_numbered(names, "extra", 0, 205);
  return names;
}

Names qwen35_specials() {
  return {"<|endoftext|>",
          "<|im_start|>",
          "<|im_end|>",
          "<|object_ref_start|>",
          "<|object_ref_end|>",
          "<|box_start|>",
          "<|box_end|>",
          "<|quad_start|>",
          "<|quad_end|>",
          "<|vision_start|>",
          "<|vision_end|>",
          "<|vision_pad|>",
          "<|image_pad|>",
          "<|video_pad|>",
          "<tool_call>",
          "</tool_call>",
          "<|fim_prefix|>",
          "<|fim_middle|>",
          "<|fim_suffix|>",
          "<|fim_pad|>",
          "<|repo_name|>",
          "<|file_sep|>",
          "<tool_response>",
          "</tool_response>",
          "<think>",
          "</think>",
          "<|audio_start|>",
          "<|audio_end|>",
          "<tts_pad>",
          "<tts_text_bos>",
          "<tts_text_eod>",
          "<tts_text_bos_single>",
          "<|audio_pad|>"};
}

Names llama3_specials() {
  Names names{"<|begin_of_text|>",
              "<|end_of_text|>",
              "<|reserved_special_token_0|>",
              "<|reserved_special_token_1|>",
              "<|finetune_right_pad_id|>",
              "<|step_id|>",
              "<|start_header_id|>",
              "<|end_header_id|>",
              "<|eom_id|>",
              "<|eot_id|>",
              "<|python_tag|>",
              "<|image|>"};
  add_numbered(names, "reserved_special_token", 2, 256 - 12);
  return names;
}

Names llama4_specials() {
  Names names{"<|begin_of_text|>", "<|end_of_text|>",  "<|fim_prefix|>", "<|fim_middle|>",
              "<|fim_suffix|>",    "<|header_start|>", "<|header_end|>", "<|eom|>",
              "<|eot|>",           "<|step|>"};
  add_numbered(names, "text_post_train_reserved_special_token", 0, 6);
  names.insert(names.end(), {"<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"});
  add_numbered(names, "text_post_train_reserved_special_token", 8, 61);
  names.insert(names.end(), {"<|image_start|>", "<|image_end|>"});
  add_numbered(names, "vision_reserved_special_token", 0, 2);
  names.insert(names.end(), {"<|tile_x_separator|>", "<|tile_y_separator|>"});
  add_numbered(names, "vision_reserved_special_token", 2, 4);
  names.emplace_back("<|image|>");
  add_numbered(names, "vision_reserved_special_token", 6, 1);
  names.emplace_back("<|patch|>");
  add_numbered(names, "vision_reserved_special_token", 7, 1041);
  add_numbered(names, "reasoning_reserved_special_token", 0, 8);
  names.insert(names.end(), {"<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"});
  add_numbered(names, "reserved_special_token", 0, 2048 - static_cast<int>(names.size()));
  return names;
}

Names gpt2_specials() { return {"<|endoftext|>"}; }

// Of cl100k and o200k: their ids leave gaps, which names beginning with '#' stand for.
Names cl100k_specials() {
  Names names{"#", "<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"};
  names.resize(20, "#");
  names.emplace_back("<|endofprompt|>");
  return names;
}

Names o200k_specials() {
  Names names{"#", "<|endoftext|>"};
  names.resize(20, "#");
  names.emplace_back("<|endofprompt|>");
  return names;
}

Names kimi_specials() {
  Names names{"[BOS]",
              "[EOS]",
              "<|im_end|>",
              "<|im_user|>",
              "<|im_assistant|>",
              "<|reserved_token_0|>",
              "<|start_header_id|>",
              "<|end_header_id|>",
              "<|reserved_token_1|>",
              "[EOT]",
              "<|im_system|>",
              "<|tool_calls_section_begin|>",
              "<|tool_calls_section_end|>",
              "<|tool_call_begin|>",
              "<|tool_call_argument_begin|>",
              "<|tool_call_end|>"};
  for (int i = 2; i < 10; ++i) names.push_back("<|reserved_token_" + std::to_string(i) + "|>");
  names.insert(names.end(), {"<|im_middle|>"});
  names.resize(254, "#");
  names.insert(names.end(), {"[UNK]", "[PAD]"});
  return names;
}

struct RankModel {
  std::vector<std::string_view> hints;
  std::size_t ranks;
  std::string_view pattern;
  Names (*specials)();
  bool nfc;
  std::string_view bos;
  std::string_view eos;
};

// Longer hints come before the shorter ones that they contain.
const std::vector<RankModel>& rank_models() {
  static const std::vector<RankModel> models = {
      {{"qwen3.5", "qwen3_5", "qwen35", "qwen3.6", "qwen3_6", "qwen36"},
       248044,
       kQwen35Pattern,
       qwen35_specials,
       true,
       "",
       "<|endoftext|>"},
      {{"qwen"}, 151643, kQwen2Pattern, qwen_specials, true, "", "<|endoftext|>"},
      {{"llama4", "llama-4"},
       200000,
       kO200kPattern,
       llama4_specials,
       false,
       "<|begin_of_text|>",
       "<|end_of_text|>"},
      {{"llama3", "llama-3", "llama"},
       128000,
       kLlama3Pattern,
       llama3_specials,
       false,
       "<|begin_of_text|>",
       "<|end_of_text|>"},
      {{"kimi"}, 163584, kKimiPattern, kimi_specials, false, "[BOS]", "[EOS]"},
      {{"o200k", "gpt-4o"}, 199998, kO200kPattern, o200k_specials, false, "", "<|endoftext|>"},
      {{"cl100k", "gpt-4"}, 100256, kCl100kPattern, cl100k_specials, false, "", "<|endoftext|>"},
      {{"r50k", "gpt2", "gpt-2"}, 50256, kGpt2Pattern, gpt2_specials, false, "", "<|endoftext|>"},
  };
  return models;
}

const RankModel* choose(std::size_t ranks, std::string_view hint) {
  std::string lower(hint);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const auto hinted = [&](const RankModel& model) {
    return std::any_of(model.hints.begin(), model.hints.end(), [&](std::string_view name) {
      return lower.find(name) != std::string::npos;
    });
  };
  const auto& models = rank_models();
  // Of a family the member with as many ranks, else the first that the hint names.
  auto found = std::find_if(models.begin(), models.end(),
                            [&](const RankModel& m) { return m.ranks == ranks; });
  if (found == models.end() && !hint.empty()) {
    found = std::find_if(models.begin(), models.end(), hinted);
  }
  return found == models.end() ? nullptr : &*found;
}

}  // namespace

Status complete_ranks(RankedTokens& ranked, std::string_view model_hint, std::string_view where) {
  const RankModel* model = choose(ranked.tokens.size(), model_hint);
  if (model == nullptr) {
    return bad_input(
        "a rank file with " + std::to_string(ranked.tokens.size()) + " ranks of an unknown model",
        std::string(where),
        "Name the model it belongs to (qwen, qwen3.5, llama3, llama4, kimi, o200k, cl100k, gpt2).");
  }
  ranked.pattern = model->pattern;
  ranked.nfc = model->nfc;
  ranked.bos = model->bos;
  ranked.eos = model->eos;
  auto id = static_cast<std::int32_t>(ranked.tokens.size());
  for (const std::string& name : model->specials()) {
    if (name != "#") ranked.specials.emplace_back(id, name);
    ++id;
  }
  return {};
}

}  // namespace bundle::tokenizer
