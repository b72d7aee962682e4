// What one scope of a template knows of its names; see resolver.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/chat/ast.h"

namespace bundle::chat {

/// A function under construction: variables get slots as they are met. Two sibling scopes of one
/// level share a variable's slot, as they share the name of a Python local.
class FunctionScope {
 public:
  explicit FunctionScope(FunctionScope* outer) : outer_(outer) {}

  std::uint32_t slot_of(const std::string& ident) {
    return slots_.emplace(ident, static_cast<std::uint32_t>(slots_.size())).first->second;
  }
  std::uint32_t slots() const { return static_cast<std::uint32_t>(slots_.size()); }
  FunctionScope* outer() const { return outer_; }

 private:
  FunctionScope* outer_;
  std::map<std::string, std::uint32_t> slots_;
};

/// The names of one scope.
class Symbols {
 public:
  /// How a variable gets its value when the scope is entered.
  struct Entry {
    enum class From { kParameter, kContext, kOuter, kNothing } from;
    std::string source;  // the name in the context, or the outer identifier
  };

  Symbols(const Symbols* parent, FunctionScope* function)
      : parent_(parent), function_(function), level_(parent == nullptr ? 0 : parent->level_ + 1) {}

  void load(const std::string& name);
  void store(const std::string& name);
  void declare_parameter(const std::string& name);
  /// Takes in what the branches of an `if` did, each with a copy of this.
  void merge_branches(const std::vector<Symbols>& branches);

  /// The identifier of a name and the scope that owns it, here or further out.
  std::optional<std::pair<std::string, const Symbols*>> find(const std::string& name) const;

  std::size_t size() const { return entries_.size(); }
  FunctionScope* function() const { return function_; }
  const Symbols* parent() const { return parent_; }
  /// By identifier.
  const std::map<std::string, Entry>& entries() const { return entries_; }

 private:
  std::string define(const std::string& name, Entry entry);

  const Symbols* parent_;
  FunctionScope* function_;
  int level_;
  std::map<std::string, std::string> refs_;
  std::map<std::string, Entry> entries_;
  std::set<std::string> stores_;
};

}  // namespace bundle::chat
