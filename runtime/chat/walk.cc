#include "runtime/chat/walk.h"

#include <algorithm>

namespace bundle::chat {
namespace {

void walk_macro(const MacroBody& macro, const VisitName& visit) {
  for (const auto& parameter : macro.parameters) {
    visit(parameter.name, NameUse::kParameter, parameter.at);
  }
  for (const auto& parameter : macro.parameters) walk_names(parameter.default_value.get(), visit);
  walk_names(macro.body, visit);
}

void walk_if(const IfStmt& node, const VisitName& visit) {
  for (const auto& branch : node.branches) {
    walk_names(branch.test.get(), visit);
    walk_names(branch.body, visit);
  }
  walk_names(node.otherwise, visit);
}

void walk_for(const ForStmt& node, const VisitName& visit) {
  walk_names(node.target.get(), visit);
  walk_names(node.iterable.get(), visit);
  walk_names(node.body, visit);
  walk_names(node.otherwise, visit);
  walk_names(node.test.get(), visit);
}

void walk_with(const WithStmt& node, const VisitName& visit) {
  for (const auto& target : node.targets) walk_names(target.get(), visit);
  for (const auto& value : node.values) walk_names(value.get(), visit);
  walk_names(node.body, visit);
}

void walk_statement(const Stmt& node, const VisitName& visit) {
  switch (node.kind) {
    case StmtKind::kOutput:
      for (const auto& part : static_cast<const OutputStmt&>(node).parts) {
        walk_names(part.get(), visit);
      }
      break;
    case StmtKind::kFor:
      walk_for(static_cast<const ForStmt&>(node), visit);
      break;
    case StmtKind::kIf:
      walk_if(static_cast<const IfStmt&>(node), visit);
      break;
    case StmtKind::kMacro:
      walk_macro(static_cast<const MacroStmt&>(node).macro, visit);
      break;
    case StmtKind::kCallBlock: {
      const auto& block = static_cast<const CallBlockStmt&>(node);
      walk_names(block.call.get(), visit);
      walk_macro(block.caller, visit);
      break;
    }
    case StmtKind::kFilterBlock: {
      const auto& block = static_cast<const FilterBlockStmt&>(node);
      walk_names(block.body, visit);
      walk_names(block.filter.get(), visit);
      break;
    }
    case StmtKind::kWith:
      walk_with(static_cast<const WithStmt&>(node), visit);
      break;
    case StmtKind::kSet: {
      const auto& set = static_cast<const SetStmt&>(node);
      walk_names(set.target.get(), visit);
      walk_names(set.value.get(), visit);
      break;
    }
    case StmtKind::kSetBlock: {
      const auto& set = static_cast<const SetBlockStmt&>(node);
      walk_names(set.target.get(), visit);
      walk_names(set.filter.get(), visit);
      walk_names(set.body, visit);
      break;
    }
    case StmtKind::kScope:
      walk_names(static_cast<const ScopeStmt&>(node).body, visit);
      break;
    case StmtKind::kUnavailable:
      walk_names(static_cast<const UnavailableStmt&>(node).source.get(), visit);
      break;
    case StmtKind::kBreak:
    case StmtKind::kContinue:
    case StmtKind::kBlock:
      break;
  }
}

}  // namespace

void walk_names(const Expr* node, const VisitName& visit) {
  if (node == nullptr) return;
  if (node->kind == ExprKind::kName) visit(node->name, node->use, node->at);
  if (node->kind == ExprKind::kNamespaceRef) visit(node->name, NameUse::kLoad, node->at);
  for (const auto& child : node->children) walk_names(child.get(), visit);
  if (node->args == nullptr) return;
  for (const auto& arg : node->args->positional) walk_names(arg.get(), visit);
  for (const auto& arg : node->args->named) walk_names(arg.second.get(), visit);
  walk_names(node->args->star.get(), visit);
  walk_names(node->args->star_star.get(), visit);
}

void walk_names(const Body& body, const VisitName& visit) {
  for (const auto& statement : body) walk_statement(*statement, visit);
}

std::vector<std::string> find_undeclared(const Body& body, std::vector<std::string> names) {
  std::vector<std::string> found;
  walk_names(body, [&](const std::string& name, NameUse use, std::uint32_t) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) return;
    if (use == NameUse::kLoad) found.push_back(name);
    names.erase(at);
  });
  return found;
}

}  // namespace bundle::chat
