// Visiting the names in a tree, in the order in which Jinja visits them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/chat/ast.h"

namespace bundle::chat {

using VisitName = std::function<void(const std::string& name, NameUse use, std::uint32_t at)>;

/// Calls `visit` with every name of the expression; a namespace reference loads its name.
void walk_names(const Expr* node, const VisitName& visit);

/// Calls `visit` with every name in the statements and all that they hold, except blocks.
void walk_names(const Body& body, const VisitName& visit);

/// Which of `names` the statements load without having stored them before.
std::vector<std::string> find_undeclared(const Body& body, std::vector<std::string> names);

}  // namespace bundle::chat
