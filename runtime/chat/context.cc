#include "runtime/chat/context.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/text.h"

namespace bundle::chat {
namespace {

Result<Value> text_of(Runtime& rt, std::string_view text) {
  if (!is_valid_utf8(text)) return rt.text(replace_invalid_utf8(text));
  return rt.text(std::string(text));
}

Result<Value> array_of(Runtime& rt, const JsonArray& array) {
  std::vector<Value> items;
  items.reserve(array.size());
  for (const Json& member : array) {
    BUNDLE_TRY(Value item, value_of_json(rt, member));
    items.push_back(std::move(item));
  }
  return rt.list(std::move(items));
}

Result<Value> object_of(Runtime& rt, const JsonObject& object) {
  DictBuilder builder;
  for (const auto& member : object) {
    BUNDLE_TRY(Value key, text_of(rt, member.key()));
    BUNDLE_TRY(Value value, value_of_json(rt, member.value()));
    builder.add_new(std::move(key), std::move(value));
  }
  return rt.dict(std::move(builder));
}

}  // namespace

Result<Value> value_of_json(Runtime& rt, const Json& json) {
  const Runtime::Level level(rt.levels);
  if (rt.too_deep()) return render_error("the context is nested too deep");
  switch (json.kind()) {
    case boost::json::kind::null:
      return Value();
    case boost::json::kind::bool_:
      return Value(json.get_bool());
    case boost::json::kind::int64:
      return Value::integer(json.get_int64());
    case boost::json::kind::uint64:
      return Value(static_cast<Int>(json.get_uint64()));
    case boost::json::kind::double_:
      return Value(json.get_double());
    case boost::json::kind::string:
      return text_of(rt, json.get_string());
    case boost::json::kind::array:
      return array_of(rt, json.get_array());
    case boost::json::kind::object:
      return object_of(rt, json.get_object());
  }
  return Value();
}

}  // namespace bundle::chat
