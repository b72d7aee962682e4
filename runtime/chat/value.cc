#include "runtime/chat/value.h"

#include <algorithm>

#include "runtime/chat/dict.h"
#include "runtime/chat/object.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {

Value Value::undefined(std::string why) {
  return Value(Data(std::make_shared<const UndefinedInfo>(UndefinedInfo{std::move(why)})));
}

Value Value::text(std::string bytes, bool markup) {
  const std::size_t length = count_code_points(bytes);
  return of(std::make_shared<const Text>(Text{std::move(bytes), length, markup}));
}

Value Value::of(std::shared_ptr<const Text> text) { return Value(Data(std::move(text))); }
Value Value::list(std::shared_ptr<const Sequence> items) {
  return Value(Data(ListRef{std::move(items)}));
}
Value Value::tuple(std::shared_ptr<const Sequence> items) {
  return Value(Data(TupleRef{std::move(items)}));
}
Value Value::of(std::shared_ptr<const Dict> dict) { return Value(Data(std::move(dict))); }
Value Value::of(std::shared_ptr<Object> object) { return Value(Data(std::move(object))); }

double Value::real() const {
  return is(Kind::kFloat) ? std::get<double>(data_) : static_cast<double>(integral());
}

const std::string& Value::str() const { return text().bytes; }

const Sequence& Value::sequence() const {
  return is(Kind::kList) ? *std::get<ListRef>(data_).p : *std::get<TupleRef>(data_).p;
}

const std::vector<Value>& Value::items() const { return sequence().items; }

const std::string& Value::why_undefined() const {
  return std::get<std::shared_ptr<const UndefinedInfo>>(data_)->why;
}

bool Value::same_as(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kMissing:
    case Kind::kNone:
      return true;
    case Kind::kBool:
      return boolean() == other.boolean();
    case Kind::kInt:
      return integral() == other.integral();
    case Kind::kFloat:
      return real() == other.real();
    case Kind::kUndefined:
      return &why_undefined() == &other.why_undefined();
    case Kind::kString:
      return &text() == &other.text() || (str() == other.str() && str().size() < 2);
    case Kind::kList:
    case Kind::kTuple:
      return &sequence() == &other.sequence();
    case Kind::kDict:
      return &dict() == &other.dict();
    case Kind::kObject:
      return object() == other.object();
  }
  return false;
}

int depth_of(const Value& value) {
  if (value.is_sequence()) return value.sequence().depth;
  if (value.is(Kind::kDict)) return value.dict().depth();
  if (value.is(Kind::kObject)) return value.object()->depth();
  return 0;
}

std::uint64_t weight_of(const Value& value) {
  if (value.is_sequence()) return value.sequence().weight;
  if (value.is(Kind::kDict)) return value.dict().weight();
  if (value.is(Kind::kString)) return 1 + value.str().size() / 256;
  return 1;
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.text().markup ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kObject:
      return value.object()->type_name();
  }
  return "object";
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return value.boolean();
    case Kind::kInt:
      return value.integral() != 0;
    case Kind::kFloat:
      return value.real() != 0;
    case Kind::kString:
      return !value.str().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.items().empty();
    case Kind::kDict:
      return value.dict().size() != 0;
    case Kind::kObject:
      return value.object()->truthy();
  }
  return false;
}

}  // namespace bundle::chat
