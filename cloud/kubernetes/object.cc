#include "cloud/kubernetes/object.h"

#include <charconv>

namespace bundle::cloud {

std::string text_at(const Json& value, std::initializer_list<std::string_view> path) {
  const Json* at = &value;
  for (const std::string_view key : path) {
    at = find(*at, key);
    if (at == nullptr) return "";
  }
  return at->is_string() ? std::string(at->get_string()) : "";
}

std::int64_t number_at(const Json& value, std::initializer_list<std::string_view> path) {
  const Json* at = &value;
  for (const std::string_view key : path) {
    at = find(*at, key);
    if (at == nullptr) return 0;
  }
  if (at->is_int64()) return at->get_int64();
  std::int64_t number = 0;
  if (at->is_string()) {
    const auto& text = at->get_string();
    std::from_chars(text.data(), text.data() + text.size(), number);
  }
  return number;
}

const JsonArray& items_of(const Json& list) {
  static const JsonArray none;
  const Json* items = find(list, "items");
  return items != nullptr && items->is_array() ? items->get_array() : none;
}

}  // namespace bundle::cloud
