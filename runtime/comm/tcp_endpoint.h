// One rank's end of a TCP connection to each other rank. Nothing runs beside the calls: sockets
// never block, and what a call could not hand to the kernel at once it goes on with until it can.
//
// A connection carries frames: pieces of the transfers' bytes, and why a rank gave up. That is read
// as soon as it comes, also behind bytes that nobody has asked for yet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "runtime/comm/endpoint.h"

namespace bundle::comm {

/// What begins every frame.
struct FrameHead {
  enum Kind : std::uint32_t { kData = 1, kAbort = 2 };
  std::uint32_t kind = 0;
  std::uint32_t bytes = 0;  // behind the head, at least one
};
static_assert(sizeof(FrameHead) == 8);

/// Bytes of transfers that lie at either end of a connection beside what the kernel holds.
inline constexpr std::size_t kLinkBytes = 256u << 10;

class TcpEndpoint final : public Endpoint {
 public:
  /// Takes over a connected socket to each other rank, at that rank's place; its own is empty.
  /// `neighbours` ranks share this machine's cores.
  TcpEndpoint(std::vector<Fd> sockets, std::size_t rank, int neighbours,
              std::chrono::milliseconds patience);
  ~TcpEndpoint() override;

 private:
  struct Link {
    Fd socket;
    std::vector<std::byte> out;  // frames, of which `handed` bytes are the kernel's
    std::size_t handed = 0;
    std::vector<std::byte> in;  // of transfers, of which `taken` bytes were read
    std::size_t taken = 0;
    FrameHead frame = {};      // the one that is coming in
    std::size_t head_got = 0;  // bytes of its head
    std::size_t left = 0;      // bytes of it still to come
    std::string abort = {};    // what has come of such a frame
    bool ended = false;        // nothing more comes from there
    bool spoilt = false;       // something came that is no frame
  };

  Result<std::size_t> write(std::size_t to, Bytes bytes) override;
  Result<bool> hand_over(std::size_t to) override;
  Result<std::size_t> read(std::size_t from, std::span<std::byte> bytes) override;
  bool has_come(std::size_t from) override;
  bool gone(std::size_t rank) override { return links_[rank].ended; }
  std::uint32_t look() override { return 0; }
  void nap(std::uint32_t) override;
  void tell(const Error& why) override;
  std::optional<Error> told() override { return told_; }

  void send_out(Link& link);
  void take_in(Link& link);
  bool unpack(Link& link, Bytes bytes);
  std::size_t unpack_head(Link& link, Bytes bytes);
  void heard_abort(const std::string& body);
  void put_frame(Link& link, FrameHead::Kind kind, Bytes body);
  void tell_all(const std::string& body);
  int poll_links(std::chrono::milliseconds limit);
  void bid_farewell();

  std::vector<Link> links_;
  std::vector<std::byte> scratch_;
  std::optional<Error> told_;
  bool has_told_ = false;
  int spins_ = 0;
};

}  // namespace bundle::comm
