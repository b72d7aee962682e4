#include "runtime/chat/symbols.h"

namespace bundle::chat {

std::string Symbols::define(const std::string& name, Entry entry) {
  std::string ident = std::to_string(level_) + "_" + name;
  refs_[name] = ident;
  entries_[ident] = std::move(entry);
  return ident;
}

std::optional<std::pair<std::string, const Symbols*>> Symbols::find(const std::string& name) const {
  for (const Symbols* scope = this; scope != nullptr; scope = scope->parent_) {
    const auto at = scope->refs_.find(name);
    if (at != scope->refs_.end()) return std::pair(at->second, scope);
  }
  return {};
}

void Symbols::load(const std::string& name) {
  if (!find(name)) define(name, {Entry::From::kContext, name});
}

void Symbols::store(const std::string& name) {
  stores_.insert(name);
  if (refs_.count(name) != 0) return;
  const auto outer = parent_ == nullptr ? std::nullopt : parent_->find(name);
  if (outer) {
    define(name, {Entry::From::kOuter, outer->first});
  } else {
    define(name, {Entry::From::kNothing, ""});
  }
}

void Symbols::declare_parameter(const std::string& name) {
  stores_.insert(name);
  define(name, {Entry::From::kParameter, ""});
}

void Symbols::merge_branches(const std::vector<Symbols>& branches) {
  std::set<std::string> stored;
  for (const Symbols& branch : branches) {
    for (const auto& name : branch.stores_) {
      if (stores_.count(name) == 0) stored.insert(name);
    }
  }
  for (const Symbols& branch : branches) {
    for (const auto& [name, ident] : branch.refs_) refs_[name] = ident;
    for (const auto& [ident, entry] : branch.entries_) entries_[ident] = entry;
    stores_.insert(branch.stores_.begin(), branch.stores_.end());
  }
  // What only some branches set keeps, in the others, the value from outside.
  for (const auto& name : stored) {
    const std::string ident = refs_.at(name);
    const auto outer = parent_ == nullptr ? std::nullopt : parent_->find(name);
    if (outer) {
      entries_[ident] = {Entry::From::kOuter, outer->first};
    } else {
      entries_[ident] = {Entry::From::kContext, name};
    }
  }
}

}  // namespace bundle::chat
