#include "runtime/chat/dict.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/chat/object.h"

namespace bundle::chat {
namespace {

constexpr std::size_t kScan = 12;              // entries up to which a scan is as fast as a search
constexpr std::uint64_t kMaxKeyWeight = 4096;  // nodes of a tuple used as a key

int rank(const Value& key) {
  if (key.is_number()) return 0;
  return static_cast<int>(key.kind());
}

template <typename T>
int order(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}

/// Exact also where a double can not hold the integer. Not-a-number sorts first.
int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return order(a.integral(), b.integral());
  const double x = a.real();
  const double y = b.real();
  if (std::isnan(x) || std::isnan(y)) return order(!std::isnan(x), !std::isnan(y));
  if (x != y || (a.is(Kind::kFloat) && b.is(Kind::kFloat))) return order(x, y);
  if (std::abs(x) >= 1e38) return order(x, y);
  const Int m = a.is_integral() ? a.integral() : static_cast<Int>(x);
  const Int n = b.is_integral() ? b.integral() : static_cast<Int>(y);
  return order(m, n);
}

int compare_tuples(const Value& a, const Value& b) {
  const auto& x = a.items();
  const auto& y = b.items();
  if (&x == &y) return 0;
  if (x.size() != y.size()) return order(x.size(), y.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (const int c = compare_keys(x[i], y[i]); c != 0) return c;
  }
  return 0;
}

bool is_key(const Value& stored, std::string_view key) {
  return stored.is(Kind::kString) && stored.str() == key;
}

}  // namespace

int compare_keys(const Value& a, const Value& b) {
  if (const int c = order(rank(a), rank(b)); c != 0) return c;
  if (a.is_number()) return compare_numbers(a, b);
  if (a.is(Kind::kString)) return order(a.str().compare(b.str()), 0);
  if (a.is(Kind::kTuple)) return compare_tuples(a, b);
  if (a.is(Kind::kObject)) return order(a.object().get(), b.object().get());
  return 0;
}

bool is_hashable(const Value& value) {
  if (value.is(Kind::kList) || value.is(Kind::kDict) || value.as<DictView>() != nullptr)
    return false;
  if (!value.is(Kind::kTuple)) return true;
  if (weight_of(value) > kMaxKeyWeight) return false;
  return std::all_of(value.items().begin(), value.items().end(), is_hashable);
}

const Value* Dict::find(const Value& key) const {
  if (key.is(Kind::kString)) return find(key.str());
  if (order_.empty()) {
    for (const Entry& entry : entries_) {
      if (compare_keys(entry.key, key) == 0) return &entry.value;
    }
    return nullptr;
  }
  const auto at = std::lower_bound(
      order_.begin(), order_.end(), key,
      [&](std::uint32_t i, const Value& k) { return compare_keys(entries_[i].key, k) < 0; });
  if (at == order_.end() || compare_keys(entries_[*at].key, key) != 0) return nullptr;
  return &entries_[*at].value;
}

const Value* Dict::find(std::string_view key) const {
  if (!order_.empty()) {
    const auto at = std::lower_bound(order_.begin(), order_.end(), key,
                                     [&](std::uint32_t i, std::string_view k) {
                                       const Value& stored = entries_[i].key;
                                       if (!stored.is(Kind::kString)) {
                                         return rank(stored) < static_cast<int>(Kind::kString);
                                       }
                                       return std::string_view(stored.str()) < k;
                                     });
    return at != order_.end() && is_key(entries_[*at].key, key) ? &entries_[*at].value : nullptr;
  }
  for (const Entry& entry : entries_) {
    if (is_key(entry.key, key)) return &entry.value;
  }
  return nullptr;
}

void DictBuilder::set(const Value& key, Value value) {
  auto& entries = dict_.entries_;
  if (entries.size() < kScan) {
    for (auto& entry : entries) {
      if (compare_keys(entry.key, key) == 0) {
        entry.value = std::move(value);
        return;
      }
    }
    add_new(key, std::move(value));
    return;
  }
  for (std::size_t i = seen_.size(); i < entries.size(); ++i) {
    seen_.emplace(entries[i].key, static_cast<std::uint32_t>(i));
  }
  const auto [at, added] = seen_.emplace(key, static_cast<std::uint32_t>(entries.size()));
  if (added) {
    add_new(key, std::move(value));
  } else {
    entries[at->second].value = std::move(value);
  }
}

void DictBuilder::add_new(Value key, Value value) {
  dict_.entries_.push_back({std::move(key), std::move(value)});
}

std::shared_ptr<const Dict> DictBuilder::finish(Meter* meter) {
  for (const auto& entry : dict_.entries_) {
    dict_.depth_ = std::max({dict_.depth_, depth_of(entry.key) + 1, depth_of(entry.value) + 1});
    for (const Value* part : {&entry.key, &entry.value}) {
      if (__builtin_add_overflow(dict_.weight_, weight_of(*part), &dict_.weight_)) {
        dict_.weight_ = std::numeric_limits<std::uint64_t>::max();
      }
    }
  }
  if (dict_.size() > kScan) {
    dict_.order_.resize(dict_.size());
    for (std::size_t i = 0; i < dict_.size(); ++i) dict_.order_[i] = static_cast<std::uint32_t>(i);
    std::sort(dict_.order_.begin(), dict_.order_.end(), [&](std::uint32_t a, std::uint32_t b) {
      return compare_keys(dict_.entries_[a].key, dict_.entries_[b].key) < 0;
    });
  }
  dict_.charge_ = Charge(meter, 64 + dict_.size() * (sizeof(Dict::Entry) + 4));
  return std::make_shared<const Dict>(std::move(dict_));
}

}  // namespace bundle::chat
