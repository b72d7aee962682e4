// Python's sorted(): stable, and an error where two keys have no order.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "runtime/chat/operators.h"

namespace bundle::chat {

/// Sorts by the key that `key_of` gives for an item.
template <typename T, typename KeyOf>
Status sort_by(Runtime& rt, std::vector<T>& items, bool reverse, KeyOf key_of) {
  std::optional<Error> error;
  // After an error every answer is "not less", which ends the sort soon and in bounds.
  std::stable_sort(items.begin(), items.end(), [&](const T& a, const T& b) {
    if (error) return false;
    const auto below = reverse ? less(rt, key_of(b), key_of(a)) : less(rt, key_of(a), key_of(b));
    if (below.has_error()) error = below.error();
    return below.has_value() && *below;
  });
  if (error) return *std::move(error);
  return {};
}

}  // namespace bundle::chat
