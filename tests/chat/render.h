// Rendering in one line, for tests.
#pragma once

#include <gtest/gtest.h>
#include <string>
#include <string_view>

#include "base/json.h"
#include "runtime/chat/chat_template.h"

namespace bundle::chat {

inline constexpr std::int64_t kTestNow = 1795468445;  // 2026-11-23 21:14:05 UTC

inline Result<std::string> try_render(std::string_view source, std::string_view context = "{}",
                                      const RenderLimits& limits = {}) {
  BUNDLE_TRY(const auto parsed, ChatTemplate::parse(source, "test"));
  BUNDLE_TRY(const Json values, parse_json(context, "context"));
  return parsed.render(values, kTestNow, limits);
}

/// The text, or "ERROR " and the message.
inline std::string render(std::string_view source, std::string_view context = "{}") {
  const auto text = try_render(source, context);
  return text.has_value() ? *text : "ERROR " + text.error().message();
}

}  // namespace bundle::chat
