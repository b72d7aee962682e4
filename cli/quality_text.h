// The text that quantized models are measured on.
#pragma once

#include <string_view>

namespace bundle::cli {

/// cli/quality_text.txt, compiled in.
std::string_view quality_text();

}  // namespace bundle::cli
