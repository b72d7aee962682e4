// The values a template computes with: Python's data model, as far as templates can see it.
//
// Strings, lists, tuples and dicts never change once made (the sandbox refuses every method that
// would), so they are shared by reference count, also between threads. What can change is an
// Object: namespaces, loops, scopes.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace bundle::chat {

/// Python's integers are unbounded; ours hold 128 bits, and going over is an error.
__extension__ using Int = __int128;

class Dict;
class Object;
struct Sequence;
struct Text;
struct UndefinedInfo;

enum class Kind : std::uint8_t {
  kMissing,  // an unset slot of a scope; templates never see it
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kObject,
};

/// One value. Cheap to copy. Thread-safe when it holds no Object.
class Value {
 public:
  struct Missing {};
  struct None {};

  Value() : data_(None{}) {}
  // Exactly these types: a pointer must not turn into a bool.
  explicit Value(std::same_as<bool> auto b) : data_(b) {}
  explicit Value(std::same_as<Int> auto n) : data_(n) {}
  explicit Value(std::same_as<double> auto d) : data_(d) {}

  static Value missing() { return Value(Missing{}); }
  /// `why` is the error that using the value will raise.
  static Value undefined(std::string why);
  /// A short text that no budget counts: names, literals. Must be valid UTF-8.
  static Value text(std::string bytes, bool markup = false);
  static Value integer(std::int64_t n) { return Value(Int{n}); }
  static Value of(std::shared_ptr<const Text> text);
  static Value list(std::shared_ptr<const Sequence> items);
  static Value tuple(std::shared_ptr<const Sequence> items);
  static Value of(std::shared_ptr<const Dict> dict);
  static Value of(std::shared_ptr<Object> object);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind k) const { return kind() == k; }
  /// An int, or a bool, which Python counts among the ints.
  bool is_integral() const { return is(Kind::kInt) || is(Kind::kBool); }
  bool is_number() const { return is_integral() || is(Kind::kFloat); }
  bool is_sequence() const { return is(Kind::kList) || is(Kind::kTuple); }

  // Each may only be asked of a value of that kind.
  bool boolean() const { return std::get<bool>(data_); }
  Int integral() const { return is(Kind::kBool) ? Int{boolean()} : std::get<Int>(data_); }
  double real() const;  // of any number
  const Text& text() const { return *std::get<std::shared_ptr<const Text>>(data_); }
  const std::string& str() const;
  const Sequence& sequence() const;
  const std::vector<Value>& items() const;
  const Dict& dict() const { return *std::get<std::shared_ptr<const Dict>>(data_); }
  const std::shared_ptr<Object>& object() const { return std::get<std::shared_ptr<Object>>(data_); }
  const std::string& why_undefined() const;

  /// The object as a T, or null when it is another kind of value.
  template <typename T>
  T* as() const {
    return is(Kind::kObject) ? dynamic_cast<T*>(object().get()) : nullptr;
  }

  /// Python's `is`.
  bool same_as(const Value& other) const;

 private:
  struct ListRef {
    std::shared_ptr<const Sequence> p;
  };
  struct TupleRef {
    std::shared_ptr<const Sequence> p;
  };
  using Data = std::variant<Missing, std::shared_ptr<const UndefinedInfo>, None, bool, Int, double,
                            std::shared_ptr<const Text>, ListRef, TupleRef,
                            std::shared_ptr<const Dict>, std::shared_ptr<Object>>;

  explicit Value(Data data) : data_(std::move(data)) {}
  explicit Value(Missing m) : data_(m) {}

  Data data_;
};

/// Bytes in use by the values of one rendering.
struct Meter {
  std::uint64_t live = 0;
};

/// What one value draws from a meter, given back when the value dies.
class Charge {
 public:
  Charge() = default;
  Charge(Meter* meter, std::uint64_t bytes) : meter_(meter), bytes_(bytes) {
    if (meter_ != nullptr) meter_->live += bytes_;
  }
  Charge(Charge&& other) noexcept
      : meter_(std::exchange(other.meter_, nullptr)), bytes_(other.bytes_) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(meter_, other.meter_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Charge() {
    if (meter_ != nullptr) meter_->live -= bytes_;
  }

 private:
  Meter* meter_ = nullptr;
  std::uint64_t bytes_ = 0;
};

struct UndefinedInfo {
  std::string why;
};

/// A str. `markup` is markupsafe's mark (the filters safe and escape set it): what is added to a
/// marked text is escaped.
struct Text {
  std::string bytes;   // valid UTF-8
  std::size_t length;  // in code points
  bool markup = false;
  Charge charge = {};

  bool is_ascii() const { return length == bytes.size(); }
};

/// The items of a list or tuple.
struct Sequence {
  std::vector<Value> items;
  int depth;             // of nested values, this one counted
  std::uint64_t weight;  // nodes in the whole tree below, what comparing or printing it costs
  bool group = false;    // the pair of the filter groupby, with attributes `grouper` and `list`
  Charge charge = {};
};

/// Levels of nested values, 0 for a scalar; and the nodes to visit when walking it.
int depth_of(const Value& value);
std::uint64_t weight_of(const Value& value);

/// Python's name of the type: "str", "NoneType", …
std::string_view type_name(const Value& value);

/// Truth in the sense of `if`.
bool truthy(const Value& value);

}  // namespace bundle::chat
