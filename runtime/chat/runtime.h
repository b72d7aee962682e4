// The state of one rendering that every operation shares: budgets, memory, the clock.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "runtime/chat/chat_template.h"
#include "runtime/chat/dict.h"
#include "runtime/chat/object.h"
#include "runtime/chat/value.h"

namespace bundle::chat {

/// Values may not nest deeper: walking them recurses.
inline constexpr int kMaxValueDepth = 200;

/// An error of the template at run time; the renderer adds the place.
Error render_error(std::string what);

class MutableObject;

/// Objects that can change may hold themselves. They live in one list, which lets go of what they
/// hold when the rendering ends; and they die one after the other, never nested, so that a chain
/// of a million of them can not overflow the stack.
class Heap {
 public:
  Heap() = default;
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;
  ~Heap();

  using Members = std::list<MutableObject*>;
  Members::iterator enlist(MutableObject* object);
  void remove(Members::iterator place) { members_.erase(place); }
  /// Destroys the values, without recursion.
  void bury(std::vector<Value> values);

  Meter meter;

 private:
  Members members_;
  std::vector<Value> graves_;
  bool burying_ = false;
};

/// An Object that can change. Its destructor must bury the values it holds.
class MutableObject : public Object {
 public:
  explicit MutableObject(Heap& heap)
      : heap_(heap), charge_(&heap.meter, 256), place_(heap.enlist(this)) {}
  ~MutableObject() override { heap_.remove(place_); }

 protected:
  Heap& heap_;

 private:
  Charge charge_;
  Heap::Members::iterator place_;
};

/// Not thread-safe: one rendering runs on one thread.
class Runtime {
 public:
  Runtime(const RenderLimits& limits, std::int64_t now) : limits_(limits), now_(now) {}

  std::int64_t now() const { return now_; }
  Heap& heap() { return heap_; }

  /// Draws on the budget of steps; an error when it is used up.
  Status spend(std::uint64_t steps);
  /// The cost of one operation over `bytes` bytes.
  Status work(std::uint64_t bytes) { return spend(1 + bytes / 256); }
  /// An error when a text of `bytes`, or so many bytes of items, would be too large.
  Status check_size(std::uint64_t bytes);
  /// An error when all values together hold too much memory, or one nests deeper than allowed.
  Status check_memory(int depth = 0);

  /// New values. An error when they are too large, too deep, or memory is used up.
  Result<Value> text(std::string bytes, bool markup = false);
  Result<Value> list(std::vector<Value> items);
  Result<Value> tuple(std::vector<Value> items);
  Result<Value> group(Value key, Value values);
  Result<Value> dict(DictBuilder builder);
  Result<Value> generator(Generator::Next next, int depth);
  Result<Value> view(Value dict, DictView::Part part);
  Result<Value> function(std::string_view name, Function::Body body, int depth);

  /// Counts levels of recursion while it lives.
  class Level {
   public:
    explicit Level(int& count) : count_(count) { ++count_; }
    ~Level() { --count_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    int& count_;
  };
  int levels = 0;  // of nested evaluation
  int calls = 0;   // of nested macros
  bool too_deep() const { return levels > limits_.depth * 8 || calls > limits_.depth; }

 private:
  Result<std::shared_ptr<const Sequence>> sequence(std::vector<Value> items, bool group);

  RenderLimits limits_;
  std::int64_t now_;
  std::uint64_t steps_ = 0;
  Heap heap_;
};

}  // namespace bundle::chat
