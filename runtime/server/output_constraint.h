// From the fields of a request to the constraint on its output.
#pragma once

#include <optional>

#include "base/json.h"
#include "runtime/chat/answer_parser.h"
#include "runtime/engine/constraint.h"
#include "runtime/server/field_reader.h"
#include "runtime/server/generation_params.h"

namespace bundle::server {

/// Which calls a request lets the model make, or makes it make.
struct ToolChoice {
  enum class Kind { kNone, kAuto, kRequired, kNamed };
  Kind kind = Kind::kNone;
  std::string name = {};  // with kNamed
};

/// Reads `tools`, `tool_choice` and `parallel_tool_calls`; errors are left in `reader`.
ToolChoice read_tool_choice(FieldReader& reader);

/// `response_format` or `structured_outputs` as the parameters' output_format and exact_format.
void read_output_format(FieldReader& reader, GenerationParams& params);

/// The format of calls in a model's own form. `tools` has been checked; `form` is not kNone.
Json tool_call_format(const JsonArray& tools, const ToolChoice& choice, chat::ToolFormat form,
                      bool parallel);

/// The constraint that such a format makes of an answer that may begin with reasoning.
engine::OutputConstraint constrain(Json format, const chat::AnswerSyntax& answer);

/// Makes the constraint of params.output_format, if there is one. 400 when it can not be compiled:
/// it names the field of the request and says why.
std::optional<ApiError> set_constraint(GenerationParams& params, const FieldReader& reader);

}  // namespace bundle::server
