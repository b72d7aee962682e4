// The names of reasoning and tool-call formats in bundle.yaml, and which of them a chat template
// speaks of.
#pragma once

#include <string_view>

#include "runtime/chat/reasoning.h"
#include "runtime/chat/tool_parser.h"

namespace bundle::chat {

/// `name` is one of the table's, or "auto" (also ""): then the template tells.
ReasoningFormat reasoning_format(std::string_view name, std::string_view template_source);
ToolFormat tool_format(std::string_view name, std::string_view template_source);

std::string_view name_of(ReasoningFormat format);
std::string_view name_of(ToolFormat format);

/// Separated by blanks, "auto" first.
inline constexpr std::string_view kReasoningFormatNames =
    "auto none deepseek_r1 deepseek_v3 qwen3 mistral";
inline constexpr std::string_view kToolFormatNames =
    "auto none hermes qwen3_coder deepseek_v3 deepseek_v31 llama3 mistral kimi_k2";

}  // namespace bundle::chat
