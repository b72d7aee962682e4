// "address.city" as filters take it: the way from an item to the value they look at.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {

class AttributePath {
 public:
  /// The path that leads to the item itself.
  AttributePath() = default;
  /// `attribute`: a dotted name, in which digits are indices; an index; or None.
  explicit AttributePath(const Value& attribute);

  /// Every part that is undefined becomes `value`.
  AttributePath& with_default(Value value);
  /// A text comes out in lower case.
  AttributePath& ignoring_case(bool ignore);

  Result<Value> get(Runtime& rt, const Value& item) const;
  /// The same for a path without default and case.
  int depth() const { return default_ ? depth_of(*default_) : 0; }

 private:
  std::vector<Value> parts_;
  std::optional<Value> default_;
  bool ignore_case_ = false;
};

}  // namespace bundle::chat
