// The functions that every template can call.
#include <algorithm>

#include "runtime/chat/builtins.h"
#include "runtime/chat/namespace.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/parameters.h"
#include "runtime/chat/repr.h"
#include "runtime/chat/strftime.h"

namespace bundle::chat {
namespace {

constexpr std::size_t kMaxRange = 100000;  // the sandbox's MAX_RANGE

Result<std::int64_t> range_bound(const Parameters& p, std::size_t i, Int fallback) {
  if (p.has(i) && p.at(i).is(Kind::kNone)) return render_error("range wants integers");
  BUNDLE_TRY(const Int n, p.integer(i, fallback));
  const Int most = Int{1} << 62;
  if (n > most || n < -most) return render_error("a bound of range is too large");
  return static_cast<std::int64_t>(n);
}

Result<Value> make_range(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("range", {"", "", ""}, 1, std::move(args)));
  BUNDLE_CHECK(rt.spend(1));
  const bool one = !p.has(1);
  BUNDLE_TRY(const std::int64_t start, one ? Result<std::int64_t>(0) : range_bound(p, 0, 0));
  BUNDLE_TRY(const std::int64_t stop, range_bound(p, one ? 0 : 1, 0));
  BUNDLE_TRY(const std::int64_t step, range_bound(p, 2, 1));
  if (step == 0) return render_error("range() arg 3 must not be zero");
  auto range = std::make_shared<Range>(start, stop, step);
  if (range->size() > kMaxRange) {
    return render_error("Range too big. The sandbox blocks ranges larger than " +
                        std::to_string(kMaxRange));
  }
  return Value::of(std::move(range));
}

Result<DictBuilder> dict_of_arguments(Runtime& rt, Arguments args) {
  DictBuilder builder;
  if (args.positional.size() > 1) return render_error("dict expected at most 1 argument");
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    Value pairs = source;
    if (source.is(Kind::kDict)) {
      BUNDLE_TRY(pairs, rt.view(source, DictView::Part::kItems));
    }
    BUNDLE_TRY(const auto items, to_items(rt, pairs));
    for (const Value& item : items) {
      BUNDLE_TRY(auto pair, to_items(rt, item));
      if (pair.size() != 2) return render_error("dict wants pairs");
      if (!is_hashable(pair[0])) return render_error("unhashable key in dict()");
      builder.set(pair[0], std::move(pair[1]));
    }
  }
  for (auto& [name, value] : args.named) builder.set(Value::text(name), std::move(value));
  return builder;
}

Result<Value> make_namespace(Runtime& rt, Arguments args) {
  BUNDLE_TRY(DictBuilder builder, dict_of_arguments(rt, std::move(args)));
  BUNDLE_TRY(const Value dict, rt.dict(std::move(builder)));
  auto made = std::make_shared<Namespace>(rt.heap());
  for (const auto& entry : dict.dict().entries()) {
    BUNDLE_CHECK(made->set(rt, entry.key, entry.value));
  }
  return Value::of(std::move(made));
}

Result<Value> make_cycler(Runtime& rt, Arguments args) {
  if (!args.named.empty()) return render_error("cycler takes no keyword arguments");
  if (args.positional.empty()) return render_error("at least one item has to be provided");
  BUNDLE_TRY(Value items, rt.tuple(std::move(args.positional)));
  return Value::of(std::make_shared<Cycler>(std::move(items)));
}

Result<Value> make_joiner(Runtime&, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("joiner", {"sep"}, 0, std::move(args)));
  return Value::of(std::make_shared<Joiner>(p.value_or(0, Value::text(", "))));
}

Result<Value> raise_exception(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("raise_exception", {"message"}, 1, std::move(args)));
  BUNDLE_TRY(std::string message, to_str(rt, p.at(0)));
  return render_error(std::move(message));
}

Result<Value> strftime_now(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("strftime_now", {"format"}, 1, std::move(args)));
  if (!p.at(0).is(Kind::kString)) return render_error("strftime_now wants a string");
  BUNDLE_CHECK(rt.work(p.at(0).str().size() * 16));
  BUNDLE_TRY(std::string text, format_time(p.at(0).str(), rt.now()));
  return rt.text(std::move(text));
}

Result<Value> refuse_lipsum(Runtime&, Arguments) {
  return render_error("'lipsum' is not offered: a prompt must be reproducible");
}

/// `dict`, which can be called and has fromkeys.
class DictFactory final : public Object {
 public:
  std::string_view type_name() const override { return "TemplateDict"; }
  bool is_callable() const override { return true; }

  Result<Value> call(Runtime& rt, Arguments args) override {
    BUNDLE_TRY(DictBuilder builder, dict_of_arguments(rt, std::move(args)));
    return rt.dict(std::move(builder));
  }

  Result<std::optional<Value>> attribute(Runtime& rt, std::string_view name) override {
    if (name != "fromkeys") return std::optional<Value>();
    BUNDLE_TRY(Value bound, rt.function("fromkeys", from_keys, 0));
    return std::optional(std::move(bound));
  }

 private:
  static Result<Value> from_keys(Runtime& rt, Arguments args) {
    BUNDLE_TRY(const auto p, Parameters::bind("fromkeys", {"", ""}, 1, std::move(args)));
    BUNDLE_TRY(const auto keys, to_items(rt, p.at(0)));
    DictBuilder builder;
    for (const Value& key : keys) {
      if (!is_hashable(key)) return render_error("unhashable key in fromkeys()");
      builder.set(key, p.value_or(1, Value()));
    }
    return rt.dict(std::move(builder));
  }
};

Value function(std::string_view name, Result<Value> (*body)(Runtime&, Arguments)) {
  return Value::of(std::make_shared<Function>(name, body));
}

}  // namespace

std::map<std::string, Value, std::less<>> make_globals() {
  return {{"range", function("range", make_range)},
          {"dict", Value::of(std::make_shared<DictFactory>())},
          {"namespace", function("namespace", make_namespace)},
          {"cycler", function("cycler", make_cycler)},
          {"joiner", function("joiner", make_joiner)},
          {"lipsum", function("lipsum", refuse_lipsum)},
          {"raise_exception", function("raise_exception", raise_exception)},
          {"strftime_now", function("strftime_now", strftime_now)}};
}

}  // namespace bundle::chat
