// Template text to a Template.
#pragma once

#include "base/result.h"
#include "runtime/chat/ast.h"
#include "runtime/chat/source_text.h"

namespace bundle::chat {

/// Parses, and resolves names. kBadInput with line and column when the text is no template.
Result<Template> parse_template(const SourceText& source);

}  // namespace bundle::chat
