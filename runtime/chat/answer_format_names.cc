#include "runtime/chat/answer_format_names.h"

namespace bundle::chat {
namespace {

struct ReasoningName {
  std::string_view name;
  ReasoningFormat format;
};
constexpr ReasoningName kReasoning[] = {{"none", ReasoningFormat::kNone},
                                        {"deepseek_r1", ReasoningFormat::kDeepSeekR1},
                                        {"deepseek_v3", ReasoningFormat::kDeepSeekV3},
                                        {"qwen3", ReasoningFormat::kQwen3},
                                        {"mistral", ReasoningFormat::kMistral}};

struct ToolName {
  std::string_view name;
  ToolFormat format;
};
constexpr ToolName kTools[] = {{"none", ToolFormat::kNone},
                               {"hermes", ToolFormat::kHermes},
                               {"qwen3_coder", ToolFormat::kQwen3Coder},
                               {"deepseek_v3", ToolFormat::kDeepSeekV3},
                               {"deepseek_v31", ToolFormat::kDeepSeekV31},
                               {"llama3", ToolFormat::kLlama3},
                               {"mistral", ToolFormat::kMistral},
                               {"kimi_k2", ToolFormat::kKimiK2}};

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// A switch named `thinking`, and not `enable_thinking`, which templates of R1 may have.
bool has_thinking_switch(std::string_view source) {
  constexpr std::string_view kTest = "thinking is defined";
  for (std::size_t at = source.find(kTest); at != std::string_view::npos;
       at = source.find(kTest, at + 1)) {
    if (at == 0 || source[at - 1] != '_') return true;
  }
  return false;
}

ReasoningFormat detect_reasoning(std::string_view source) {
  const bool tags = has(source, "<think>") || has(source, "</think>");
  if (tags && has(source, "<｜Assistant｜>")) {
    return has_thinking_switch(source) ? ReasoningFormat::kDeepSeekV3
                                       : ReasoningFormat::kDeepSeekR1;
  }
  if (tags) return ReasoningFormat::kQwen3;
  return has(source, "[THINK]") ? ReasoningFormat::kMistral : ReasoningFormat::kNone;
}

ToolFormat detect_tools(std::string_view source) {
  if (has(source, "<｜tool▁calls▁begin｜>")) {
    return has(source, "```json") ? ToolFormat::kDeepSeekV3 : ToolFormat::kDeepSeekV31;
  }
  if (has(source, "<|tool_calls_section_begin|>")) return ToolFormat::kKimiK2;
  if (has(source, "[TOOL_CALLS]")) return ToolFormat::kMistral;
  if (has(source, "<function=")) return ToolFormat::kQwen3Coder;
  // GLM's calls have the same tag around another form.
  if (has(source, "<tool_call>") && !has(source, "<arg_key>")) return ToolFormat::kHermes;
  const bool llama = has(source, "<|python_tag|>") ||
                     (has(source, "<|start_header_id|>") && has(source, "\"parameters\""));
  return llama ? ToolFormat::kLlama3 : ToolFormat::kNone;
}

}  // namespace

ReasoningFormat reasoning_format(std::string_view name, std::string_view template_source) {
  for (const ReasoningName& known : kReasoning) {
    if (known.name == name) return known.format;
  }
  return detect_reasoning(template_source);
}

ToolFormat tool_format(std::string_view name, std::string_view template_source) {
  for (const ToolName& known : kTools) {
    if (known.name == name) return known.format;
  }
  return detect_tools(template_source);
}

std::string_view name_of(ReasoningFormat format) {
  for (const ReasoningName& known : kReasoning) {
    if (known.format == format) return known.name;
  }
  return "none";
}

std::string_view name_of(ToolFormat format) {
  for (const ToolName& known : kTools) {
    if (known.format == format) return known.name;
  }
  return "none";
}

}  // namespace bundle::chat
