#include "runtime/format/tensor.h"

#include <algorithm>

#include "base/text.h"

namespace bundle::format {

std::int64_t TensorView::elements() const { return element_count(shape).value_or(0); }

std::optional<std::int64_t> element_count(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t n : shape) {
    if (n < 0 || __builtin_mul_overflow(count, n, &count)) return std::nullopt;
  }
  return count;
}

std::size_t alignment_of(DType type) {
  if (is_quantized(type)) return 2;  // float16 scales
  return static_cast<std::size_t>(dtype_info(type).bytes);
}

Status check_name(std::string_view name, const char* kind, std::string_view where) {
  constexpr std::size_t longest = 65535;
  const std::string subject = std::string("the name of a ") + kind;
  if (name.empty()) return bad_input(subject + " is empty", std::string(where));
  if (name.size() > longest) {
    return bad_input(subject + " has " + std::to_string(name.size()) + " bytes, more than 65535",
                     std::string(where));
  }
  if (!is_valid_utf8(name)) {
    return bad_input(subject + " is not UTF-8: '" + replace_invalid_utf8(name) + "'",
                     std::string(where));
  }
  return {};
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t n : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(n);
  }
  return text + "]";
}

Status check_overlaps(const std::vector<TensorView>& tensors, std::string_view where) {
  std::vector<const TensorView*> order;
  for (const TensorView& tensor : tensors) {
    if (!tensor.data.empty()) order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const TensorView* a, const TensorView* b) {
    return a->data.data() < b->data.data();
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const Bytes before = order[i - 1]->data;
    if (before.data() + before.size() > order[i]->data.data()) {
      return bad_input(
          "the tensors '" + order[i - 1]->name + "' and '" + order[i]->name + "' overlap",
          std::string(where), "The file is damaged; fetch it again.");
    }
  }
  return {};
}

}  // namespace bundle::format
