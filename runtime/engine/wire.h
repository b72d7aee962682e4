// Messages between a supervisor and its engine process. A frame is a header and a body of fixed
// little-endian fields followed by arrays whose counts those fields give; no pointer crosses. Both
// sides treat the other's bytes as hostile: a decoder checks every count against the bytes left
// before it takes memory, and every byte of a body must be used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "runtime/engine/client.h"
#include "runtime/engine/request.h"

namespace bundle::engine::wire {

inline constexpr std::uint32_t kMagic = 0x31464245;  // "EBF1"
inline constexpr std::uint16_t kVersion = 3;
/// A prompt of four million tokens, or the log-probabilities of a long one.
inline constexpr std::uint64_t kMaxBody = 256u << 20;

enum class Kind : std::uint16_t {
  // to the engine
  kSubmit = 1,  // Request
  kAbort = 2,   // id
  kStop = 3,    // nothing: end after the current step
  // to the supervisor
  kProgress = 16,  // LoadProgress
  kReady = 17,     // nothing: requests are taken from now on
  kEvent = 18,     // Event
  kFailure = 19,   // Error: the engine cannot start, and ends
  kReleased = 20,  // nothing: the group that it belongs to has ended, as it should
};

struct FrameHeader {
  std::uint32_t magic = kMagic;
  std::uint16_t version = kVersion;
  Kind kind = Kind::kStop;
  std::uint64_t length = 0;  // of the body
};
static_assert(sizeof(FrameHeader) == 16);

struct Frame {
  Kind kind = Kind::kStop;
  std::string body;
};

/// Whole frames, header included.
std::string encode_submit(const Request& request);
std::string encode_abort(std::uint64_t id);
std::string encode_stop();
std::string encode_progress(const LoadProgress& progress);
std::string encode_ready();
/// An event that is too large for a frame becomes a kError event that says so.
std::string encode_event(const Event& event);
std::string encode_failure(const Error& error);
std::string encode_released();

/// Bodies. kBadInput when a body is not what its encoder writes.
Result<Request> decode_submit(Bytes body);
Result<std::uint64_t> decode_abort(Bytes body);
Result<LoadProgress> decode_progress(Bytes body);
Result<Event> decode_event(Bytes body);
/// The failure that was sent, or what is wrong with the message.
Error decode_failure(Bytes body);

/// Cuts a stream of bytes into frames. Not thread-safe.
class FrameReader {
 public:
  /// Takes the next bytes, of any number. kBadInput when they start no frame of this version; the
  /// stream is of no use then.
  Status feed(Bytes bytes);
  /// The frames that were completed since the last call, in order.
  std::vector<Frame> take();

 private:
  Status read_header();

  std::string header_;
  std::uint64_t expected_ = 0;  // length of the body of current_, once its header is there
  bool in_body_ = false;
  Frame current_;
  std::vector<Frame> done_;
};

}  // namespace bundle::engine::wire
