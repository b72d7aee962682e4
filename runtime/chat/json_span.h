// Where a JSON value ends, in text that comes byte by byte. Structure is checked only as far as
// that needs: a model's mistakes inside the value are handed on as they are.
#pragma once

namespace bundle::chat {

/// One value. Not thread-safe.
class JsonSpan {
 public:
  enum class Step {
    kInside,  // the byte belongs to the value, which goes on
    kLast,    // the byte belongs to it and ends it
    kAfter,   // the value ended before this byte (numbers, true, false, null)
  };
  /// The value's first byte is the first to be pushed.
  Step push(char byte);

 private:
  int depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool begun_ = false;
  bool scalar_ = false;
};

}  // namespace bundle::chat
