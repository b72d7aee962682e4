#include "runtime/chat/chat_template.h"

#include "base/text.h"
#include "runtime/chat/context.h"
#include "runtime/chat/interpreter.h"
#include "runtime/chat/parser.h"

namespace bundle::chat {
namespace {

constexpr std::size_t kMaxSource = 4u << 20;  // bytes; published templates have under 30 thousand

}  // namespace

struct ChatTemplate::Program {
  SourceText source;
  Template tree;
};

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, std::string_view where) {
  if (source.size() > kMaxSource) {
    return bad_input("the chat template is larger than 4 MiB", std::string(where));
  }
  if (!is_valid_utf8(source)) {
    return bad_input("the chat template is not valid UTF-8", std::string(where));
  }
  auto program = std::make_shared<Program>(Program{SourceText(source, where), {}});
  BUNDLE_TRY(program->tree, parse_template(program->source));
  ChatTemplate result;
  result.program_ = std::move(program);
  return result;
}

Result<std::string> ChatTemplate::render(const Json& context, std::int64_t now,
                                         const RenderLimits& limits) const {
  if (!context.is_object()) return bad_input("the context of a chat template is not an object");
  Runtime rt(limits, now);
  BUNDLE_TRY(Value values, value_of_json(rt, context));
  return Interpreter(program_->source, rt, std::move(values)).run(program_->tree);
}

}  // namespace bundle::chat
