// An insertion-ordered dict with any hashable keys, in which 1, 1.0 and true are one key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "runtime/chat/value.h"

namespace bundle::chat {

/// A total order over hashable values under which equal keys are equal; it means nothing else.
int compare_keys(const Value& a, const Value& b);

struct KeyLess {
  bool operator()(const Value& a, const Value& b) const { return compare_keys(a, b) < 0; }
};

/// Whether Python could hash it. A tuple too large to compare cheaply counts as unhashable.
bool is_hashable(const Value& value);

class Dict {
 public:
  struct Entry {
    Value key;
    Value value;
  };

  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }
  /// The value under the key, or null.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;

  int depth() const { return depth_; }
  std::uint64_t weight() const { return weight_; }

 private:
  friend class DictBuilder;

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> order_;  // of entries by key; empty when a scan is as fast
  int depth_ = 1;
  std::uint64_t weight_ = 1;
  Charge charge_;
};

/// Collects entries. Not thread-safe.
class DictBuilder {
 public:
  /// A key that is there already keeps its place and gets the new value.
  void set(const Value& key, Value value);
  /// For callers that know the key to be new.
  void add_new(Value key, Value value);

  std::size_t size() const { return dict_.entries_.size(); }
  std::shared_ptr<const Dict> finish(Meter* meter);

 private:
  Dict dict_;
  std::map<Value, std::uint32_t, KeyLess> seen_;  // filled once a scan is too slow
};

}  // namespace bundle::chat
