// Filters that take a sequence whole.
#include <unordered_map>

#include "runtime/chat/attribute_path.h"
#include "runtime/chat/filters.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/parameters.h"
#include "runtime/chat/repr.h"
#include "runtime/chat/sorting.h"
#include "runtime/chat/text_search.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

Result<Value> filter_length(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("length", {""}, 1, std::move(args)));
  BUNDLE_TRY(const std::size_t length, length_of(rt, p.at(0)));
  return Value::integer(static_cast<std::int64_t>(length));
}

Result<Value> filter_list(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("list", {"value"}, 1, std::move(args)));
  BUNDLE_TRY(auto items, to_items(rt, p.at(0)));
  return rt.list(std::move(items));
}

Result<Value> filter_first(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("first", {"seq"}, 1, std::move(args)));
  BUNDLE_TRY(const CursorPtr cursor, iterate(rt, p.at(0)));
  BUNDLE_TRY(auto item, cursor->next(rt));
  if (item) return *std::move(item);
  return Value::undefined("No first item, sequence was empty.");
}

/// Whether reversed(value) works.
bool is_reversible(const Value& value) {
  return value.is_sequence() || value.is(Kind::kString) || value.is(Kind::kDict) ||
         value.is(Kind::kUndefined) || value.as<Range>() != nullptr ||
         value.as<DictView>() != nullptr;
}

Result<Value> filter_last(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("last", {"seq"}, 1, std::move(args)));
  const Value& value = p.at(0);
  if (!is_reversible(value)) {
    return render_error("'" + std::string(type_name(value)) + "' object is not reversible");
  }
  BUNDLE_TRY(auto items, to_items(rt, value));
  if (!items.empty()) return std::move(items.back());
  return Value::undefined("No last item, sequence was empty.");
}

Result<Value> filter_join(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("join", {"value", "d", "attribute"}, 1, std::move(args)));
  const AttributePath path(p.value_or(2, Value()));
  BUNDLE_TRY(const std::string between, to_str(rt, p.value_or(1, Value::text(""))));
  BUNDLE_TRY(const CursorPtr cursor, iterate(rt, p.at(0)));
  std::string out;
  for (bool first = true;; first = false) {
    BUNDLE_TRY(const auto item, cursor->next(rt));
    if (!item) return rt.text(std::move(out));
    BUNDLE_TRY(const Value value, path.get(rt, *item));
    BUNDLE_TRY(const std::string text, to_str(rt, value));
    BUNDLE_CHECK(rt.work(text.size()));
    if (!first) out += between;
    out += text;
    BUNDLE_CHECK(rt.check_size(out.size()));
  }
}

/// An item and what it is sorted by.
struct Keyed {
  Value key;
  Value item;
};

const Value& key_of(const Keyed& keyed) { return keyed.key; }

/// The values of comma-separated paths, as one list.
class MultiPath {
 public:
  MultiPath(const Value& attribute, bool ignore_case) {
    if (!attribute.is(Kind::kString)) {
      paths_.push_back(AttributePath(attribute).ignoring_case(ignore_case));
      return;
    }
    for (const auto part : split_text(attribute.str(), ",", kNotFound)) {
      paths_.push_back(AttributePath(Value::text(std::string(part))).ignoring_case(ignore_case));
    }
  }

  Result<Value> get(Runtime& rt, const Value& item) const {
    std::vector<Value> values;
    for (const auto& path : paths_) {
      BUNDLE_TRY(Value value, path.get(rt, item));
      values.push_back(std::move(value));
    }
    return rt.list(std::move(values));
  }

 private:
  std::vector<AttributePath> paths_;
};

template <typename Path>
Result<std::vector<Keyed>> with_keys(Runtime& rt, const Value& value, const Path& path) {
  BUNDLE_TRY(auto items, to_items(rt, value));
  std::vector<Keyed> keyed;
  keyed.reserve(items.size());
  for (auto& item : items) {
    BUNDLE_TRY(Value key, path.get(rt, item));
    keyed.push_back({std::move(key), std::move(item)});
  }
  return keyed;
}

Result<Value> filter_sort(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("sort", {"value", "reverse", "case_sensitive", "attribute"}, 1,
                              std::move(args)));
  const MultiPath path(p.value_or(3, Value()), !p.flag(2));
  BUNDLE_TRY(auto keyed, with_keys(rt, p.at(0), path));
  BUNDLE_CHECK(sort_by(rt, keyed, p.flag(1), key_of));
  std::vector<Value> sorted;
  for (auto& entry : keyed) sorted.push_back(std::move(entry.item));
  return rt.list(std::move(sorted));
}

Result<Value> extreme(Runtime& rt, Arguments args, bool largest) {
  BUNDLE_TRY(const auto p, Parameters::bind("min or max", {"value", "case_sensitive", "attribute"},
                                            1, std::move(args)));
  const AttributePath path = AttributePath(p.value_or(2, Value())).ignoring_case(!p.flag(1));
  BUNDLE_TRY(const auto keyed, with_keys(rt, p.at(0), path));
  if (keyed.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const Keyed* best = keyed.data();
  for (const auto& entry : keyed) {
    if (&entry == best) continue;
    BUNDLE_TRY(const bool better,
               largest ? less(rt, best->key, entry.key) : less(rt, entry.key, best->key));
    if (better) best = &entry;
  }
  return best->item;
}

Result<Value> filter_min(Runtime& rt, Arguments args) {
  return extreme(rt, std::move(args), false);
}
Result<Value> filter_max(Runtime& rt, Arguments args) { return extreme(rt, std::move(args), true); }

Result<Value> filter_sum(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("sum", {"iterable", "attribute", "start"}, 1, std::move(args)));
  const AttributePath path(p.value_or(1, Value()));
  Value total = p.value_or(2, Value::integer(0));
  if (total.is(Kind::kString)) return render_error("sum() can't sum strings");
  BUNDLE_TRY(const CursorPtr cursor, iterate(rt, p.at(0)));
  while (true) {
    BUNDLE_TRY(const auto item, cursor->next(rt));
    if (!item) return total;
    BUNDLE_TRY(const Value value, path.get(rt, *item));
    BUNDLE_TRY(total, binary(rt, BinaryOp::kAdd, total, value));
  }
}

Result<Value> filter_dictsort(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("dictsort", {"value", "case_sensitive", "by", "reverse"}, 1,
                              std::move(args)));
  BUNDLE_TRY(const std::string by, p.text(2, "key"));
  if (by != "key" && by != "value") {
    return render_error("You can only sort by either \"key\" or \"value\"");
  }
  if (p.at(0).is(Kind::kUndefined)) return undefined_error(p.at(0));
  if (!p.at(0).is(Kind::kDict)) return render_error("dictsort wants a mapping");
  const AttributePath path = AttributePath().ignoring_case(!p.flag(1));
  std::vector<Keyed> keyed;
  for (const auto& entry : p.at(0).dict().entries()) {
    BUNDLE_TRY(Value key, path.get(rt, by == "key" ? entry.key : entry.value));
    BUNDLE_TRY(Value pair, rt.tuple({entry.key, entry.value}));
    keyed.push_back({std::move(key), std::move(pair)});
  }
  BUNDLE_CHECK(sort_by(rt, keyed, p.flag(3), key_of));
  std::vector<Value> sorted;
  for (auto& entry : keyed) sorted.push_back(std::move(entry.item));
  return rt.list(std::move(sorted));
}

Result<Value> filter_groupby(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("groupby", {"value", "attribute", "default", "case_sensitive"}, 2,
                              std::move(args)));
  const AttributePath plain = AttributePath(p.at(1)).with_default(p.value_or(2, Value()));
  AttributePath path = plain;
  path.ignoring_case(!p.flag(3));
  BUNDLE_TRY(auto keyed, with_keys(rt, p.at(0), path));
  BUNDLE_CHECK(sort_by(rt, keyed, false, key_of));
  std::vector<Value> groups;
  for (std::size_t i = 0; i < keyed.size();) {
    std::vector<Value> members;
    const Value key = keyed[i].key;
    while (i < keyed.size()) {
      BUNDLE_TRY(const bool same, equal(rt, keyed[i].key, key));
      if (!same) break;
      members.push_back(std::move(keyed[i++].item));
    }
    if (members.empty()) return render_error("groupby can not group by a key unequal to itself");
    BUNDLE_TRY(Value shown, plain.get(rt, members.front()));
    BUNDLE_TRY(Value list, rt.list(std::move(members)));
    BUNDLE_TRY(Value group, rt.group(std::move(shown), std::move(list)));
    groups.push_back(std::move(group));
  }
  return rt.list(std::move(groups));
}

Result<Value> reverse_text(Runtime& rt, const Value& value) {
  BUNDLE_CHECK(rt.work(value.str().size()));
  std::u32string characters;
  for (std::size_t at = 0; at < value.str().size();) {
    characters += next_code_point(value.str(), at);
  }
  std::string out;
  for (auto c = characters.rbegin(); c != characters.rend(); ++c) append_utf8(out, *c);
  return rt.text(std::move(out), value.text().markup);
}

Result<Value> filter_reverse(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("reverse", {"value"}, 1, std::move(args)));
  const Value& value = p.at(0);
  if (value.is(Kind::kString)) return reverse_text(rt, value);
  BUNDLE_TRY(auto items, to_items(rt, value));
  if (!is_reversible(value)) return rt.list({items.rbegin(), items.rend()});
  BUNDLE_TRY(const Value list, rt.list(std::move(items)));
  return rt.generator(
      [list, left = list.items().size()](Runtime&) mutable -> Result<std::optional<Value>> {
        if (left == 0) return std::optional<Value>();
        return std::optional(list.items()[--left]);
      },
      depth_of(list));
}

Result<Value> filter_random(Runtime&, Arguments) {
  return render_error("the filter 'random' is not offered: a prompt must be reproducible");
}

}  // namespace

BuiltinFunction find_sequence_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, BuiltinFunction> kFilters = {
      {"count", filter_length},    {"length", filter_length},     {"list", filter_list},
      {"first", filter_first},     {"last", filter_last},         {"join", filter_join},
      {"sort", filter_sort},       {"min", filter_min},           {"max", filter_max},
      {"sum", filter_sum},         {"dictsort", filter_dictsort}, {"groupby", filter_groupby},
      {"reverse", filter_reverse}, {"random", filter_random}};
  const auto at = kFilters.find(name);
  return at == kFilters.end() ? nullptr : at->second;
}

}  // namespace bundle::chat
