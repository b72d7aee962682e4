// Values with behaviour: iterators, ranges, namespaces, loops, macros, functions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "runtime/chat/value.h"

namespace bundle::chat {

class Runtime;

/// The arguments of one call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// Takes the named argument out, if it is there.
  std::optional<Value> take(std::string_view name);
};

/// Pulls items one by one; nothing left is an empty optional.
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual Result<std::optional<Value>> next(Runtime& rt) = 0;
};
using CursorPtr = std::unique_ptr<Cursor>;

/// What a value can do beyond being data. The defaults refuse.
class Object : public std::enable_shared_from_this<Object> {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;

  virtual std::string_view type_name() const = 0;
  virtual bool truthy() const { return true; }
  virtual int depth() const { return 1; }
  /// The attribute, or nothing.
  virtual Result<std::optional<Value>> attribute(Runtime& rt, std::string_view name);
  /// obj[key], or nothing.
  virtual Result<std::optional<Value>> item(Runtime& rt, const Value& key);
  /// len(obj), or nothing when it has none.
  virtual Result<std::optional<std::size_t>> length(Runtime& rt);
  /// iter(obj), or null when it can not be iterated.
  virtual Result<CursorPtr> iterate(Runtime& rt);
  /// `needle in obj` where there is a faster way than iterating.
  virtual Result<std::optional<bool>> contains(Runtime& rt, const Value& needle);
  virtual bool is_callable() const { return false; }
  virtual Result<Value> call(Runtime& rt, Arguments args);
  virtual Result<std::string> repr(Runtime& rt);
  virtual bool equals(const Object& other) const { return this == &other; }

  /// Lets go of every value it holds, so that circles of references end with the rendering.
  virtual void drop_references() {}
};

/// A generator: its items are made when asked for, once.
class Generator final : public Object {
 public:
  using Next = std::function<Result<std::optional<Value>>(Runtime&)>;
  /// `depth`: of the deepest value that `next` holds.
  Generator(Next next, int depth) : next_(std::move(next)), depth_(depth + 1) {}

  std::string_view type_name() const override { return "generator"; }
  int depth() const override { return depth_; }
  Result<CursorPtr> iterate(Runtime& rt) override;
  Result<std::optional<Value>> next(Runtime& rt);

 private:
  Next next_;
  int depth_;
  bool running_ = false;
  bool done_ = false;
};

/// range(start, stop, step).
class Range final : public Object {
 public:
  Range(std::int64_t start, std::int64_t stop, std::int64_t step);

  std::string_view type_name() const override { return "range"; }
  bool truthy() const override { return size_ > 0; }
  Result<std::optional<Value>> attribute(Runtime& rt, std::string_view name) override;
  Result<std::optional<Value>> item(Runtime& rt, const Value& key) override;
  Result<std::optional<std::size_t>> length(Runtime& rt) override;
  Result<CursorPtr> iterate(Runtime& rt) override;
  Result<std::optional<bool>> contains(Runtime& rt, const Value& needle) override;
  Result<std::string> repr(Runtime& rt) override;
  bool equals(const Object& other) const override;

  std::size_t size() const { return size_; }
  std::int64_t at(std::size_t i) const;

 private:
  std::int64_t start_;
  std::int64_t stop_;
  std::int64_t step_;
  std::size_t size_;
};

/// dict.items(), keys() or values().
class DictView final : public Object {
 public:
  enum class Part { kItems, kKeys, kValues };
  DictView(Value dict, Part part) : dict_(std::move(dict)), part_(part) {}

  std::string_view type_name() const override;
  bool truthy() const override;
  int depth() const override { return depth_of(dict_) + 1; }
  Result<std::optional<std::size_t>> length(Runtime& rt) override;
  Result<CursorPtr> iterate(Runtime& rt) override;
  Result<std::optional<bool>> contains(Runtime& rt, const Value& needle) override;
  Result<std::string> repr(Runtime& rt) override;
  bool equals(const Object& other) const override;

  const Value& dict() const { return dict_; }
  Part part() const { return part_; }

 private:
  Value dict_;
  Part part_;
};

/// A function or a bound method.
class Function final : public Object {
 public:
  using Body = std::function<Result<Value>(Runtime&, Arguments)>;
  Function(std::string_view name, Body body, int depth = 0)
      : name_(name), body_(std::move(body)), depth_(depth + 1) {}

  std::string_view type_name() const override { return "builtin_function_or_method"; }
  int depth() const override { return depth_; }
  bool is_callable() const override { return true; }
  Result<Value> call(Runtime& rt, Arguments args) override { return body_(rt, std::move(args)); }

 private:
  std::string name_;
  Body body_;
  int depth_;
};

}  // namespace bundle::chat
