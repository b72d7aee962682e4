// Decides, before anything runs, which variable each name means.
//
// Jinja compiles a template to Python, and its scoping rules follow from that: every scope knows
// beforehand which names it loads and stores. A name that a loop stores anywhere is the loop's own
// from the start of the turn, with the outer value as its first one; a macro sees outer variables
// as they are when it runs; a branch of an `if` is no scope at all. Symbols mirrors the
// book-keeping of jinja2/idtracking.py, and each scope ends up with a list of loads that entering
// it performs.
#pragma once

#include "base/result.h"
#include "runtime/chat/ast.h"
#include "runtime/chat/source_text.h"

namespace bundle::chat {

/// Fills in every slot, scope and function of the template. Errors are those that Jinja finds when
/// it compiles: unknown filters and tests, a jump outside of a loop, an assignment to `loop`.
Status resolve_names(const SourceText& source, Template& tree);

}  // namespace bundle::chat
