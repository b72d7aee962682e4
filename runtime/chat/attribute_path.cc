#include "runtime/chat/attribute_path.h"

#include "runtime/chat/lookup.h"
#include "runtime/chat/number.h"
#include "runtime/chat/text_search.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {

AttributePath::AttributePath(const Value& attribute) {
  if (attribute.is(Kind::kNone)) return;
  if (!attribute.is(Kind::kString)) {
    parts_.push_back(attribute);
    return;
  }
  for (const auto part : split_text(attribute.str(), ".", kNotFound)) {
    const bool digits =
        !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    const auto index = digits ? parse_int(part) : std::nullopt;
    parts_.push_back(index ? Value(*index) : Value::text(std::string(part)));
  }
}

AttributePath& AttributePath::with_default(Value value) {
  if (!value.is(Kind::kNone)) default_ = std::move(value);
  return *this;
}

AttributePath& AttributePath::ignoring_case(bool ignore) {
  ignore_case_ = ignore;
  return *this;
}

Result<Value> AttributePath::get(Runtime& rt, const Value& item) const {
  BUNDLE_CHECK(rt.spend(1 + parts_.size()));
  Value at = item;
  for (const Value& part : parts_) {
    BUNDLE_TRY(at, get_item(rt, at, part));
    if (default_ && at.is(Kind::kUndefined)) at = *default_;
  }
  if (ignore_case_ && at.is(Kind::kString)) {
    return rt.text(to_lower(at.str()), at.text().markup);
  }
  return at;
}

}  // namespace bundle::chat
