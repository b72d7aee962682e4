#include "runtime/chat/parameters.h"

#include <algorithm>

#include "runtime/chat/operators.h"

namespace bundle::chat {

Result<Parameters> Parameters::bind(std::string_view function, ParameterNames names,
                                    std::size_t required, Arguments args) {
  Parameters out;
  out.function_ = function;
  out.values_.resize(names.size());
  if (args.positional.size() > names.size()) {
    return render_error(out.function_ + " takes at most " + std::to_string(names.size()) +
                        " arguments (" + std::to_string(args.positional.size()) + " given)");
  }
  for (std::size_t i = 0; i < args.positional.size(); ++i) {
    out.values_[i] = std::move(args.positional[i]);
  }
  for (auto& [name, value] : args.named) {
    const auto* at = std::find(names.begin(), names.end(), name);
    if (at == names.end() || name.empty()) {
      return render_error(out.function_ + " got an unexpected keyword argument '" + name + "'");
    }
    auto& slot = out.values_[static_cast<std::size_t>(at - names.begin())];
    if (slot) return render_error(out.function_ + " got two values for '" + name + "'");
    slot = std::move(value);
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!out.values_[i]) return render_error(out.function_ + " is missing an argument");
  }
  return out;
}

Result<Int> Parameters::integer(std::size_t i, Int fallback) const {
  if (!is_set(i)) return fallback;
  if (at(i).is_integral()) return at(i).integral();
  if (at(i).is(Kind::kUndefined)) return undefined_error(at(i));
  return render_error(function_ + ": '" + std::string(type_name(at(i))) +
                      "' object cannot be interpreted as an integer");
}

Result<std::string> Parameters::text(std::size_t i, std::string_view fallback) const {
  if (!is_set(i)) return std::string(fallback);
  if (at(i).is(Kind::kString)) return at(i).str();
  return render_error(function_ + " wants a string, not '" + std::string(type_name(at(i))) + "'");
}

}  // namespace bundle::chat
