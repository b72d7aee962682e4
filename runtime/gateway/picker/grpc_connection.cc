#include "runtime/gateway/picker/grpc_connection.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include "runtime/gateway/sockets.h"

namespace bundle::gateway::picker {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::size_t kMostMessage = 65u << 20;  // a request's body, 64 MiB, and what is around it
constexpr std::size_t kMostUnsent = 128u << 20;
constexpr std::size_t kPiece = 64u << 10;
constexpr std::uint32_t kMostStreams = 16384;
constexpr std::uint32_t kStreamWindow = 1u << 20;
constexpr std::int32_t kConnectionWindow = 16 << 20;
constexpr std::size_t kPrefixBytes = 5;  // of a message: a flag, and its length
constexpr std::chrono::seconds kFirstByteLimit{10};
constexpr std::chrono::seconds kWriteLimit{30};

nghttp2_nv field(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

/// Percent-encoded, as grpc-message wants it.
std::string header_text(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F && c != '%') {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

}  // namespace

/// One call's HTTP/2 stream.
class GrpcConnection::Stream final : public GrpcReply {
 public:
  Stream(GrpcConnection& connection, std::int32_t id) : connection_(connection), id_(id) {}

  void send(std::string_view message) override {
    if (status_) return;
    if (output_.size() + message.size() > kMostUnsent) {  // the client does not read
      nghttp2_submit_rst_stream(session(), NGHTTP2_FLAG_NONE, id_, NGHTTP2_ENHANCE_YOUR_CALM);
      connection_.flush();
      return;
    }
    const auto size = static_cast<std::uint32_t>(message.size());
    output_ += '\0';
    for (const int shift : {24, 16, 8, 0}) output_ += static_cast<char>(size >> shift & 0xFF);
    output_ += message;
    begin_answer();
  }

  void finish(GrpcStatus status, std::string_view text) override {
    if (status_) return;
    status_ = std::to_string(static_cast<int>(status));
    message_ = header_text(text);
    if (!answering_) {
      submit_status_alone();
      connection_.flush();
    } else {
      begin_answer();
    }
  }

  void take_header(std::string_view name, std::string_view value) {
    if (name == ":path") path = value;
    if (name == ":method") is_post = value == "POST";
    if (name == "content-type") is_grpc = value.starts_with("application/grpc");
  }

  void take_data(std::string_view data) {
    if (status_ || !call) return;
    input_ += data;
    while (!status_ && take_message()) {
    }
  }

  void end_input() {
    if (status_ || !call) return;
    if (!input_.empty()) return finish(GrpcStatus::kInternal, "the last message is cut off");
    call->on_end();
  }

  /// Not gRPC at all.
  void refuse_as_http() {
    status_ = "";
    const std::array fields = {field(":status", "415")};
    nghttp2_submit_response(session(), id_, fields.data(), fields.size(), nullptr);
    connection_.flush();
  }

  std::unique_ptr<GrpcCall> call;
  std::string path;
  bool is_post = false;
  bool is_grpc = false;

 private:
  nghttp2_session* session() { return connection_.session_; }

  /// False when there is none whole.
  bool take_message() {
    if (input_.size() < kPrefixBytes) return false;
    std::uint32_t size = 0;
    for (std::size_t i = 1; i < kPrefixBytes; ++i) {
      size = size << 8 | static_cast<unsigned char>(input_[i]);
    }
    if (input_[0] != '\0') {
      finish(GrpcStatus::kUnimplemented, "compressed messages are not taken");
      return false;
    }
    if (size > kMostMessage) {
      finish(GrpcStatus::kResourceExhausted, "a message is over 65 MiB");
      return false;
    }
    if (input_.size() - kPrefixBytes < size) return false;
    const std::string message = input_.substr(kPrefixBytes, size);
    input_.erase(0, kPrefixBytes + size);
    call->on_message(message);
    return true;
  }

  void begin_answer() {
    if (answering_) {
      nghttp2_session_resume_data(session(), id_);
    } else {
      answering_ = true;
      const std::array fields = {field(":status", "200"),
                                 field("content-type", "application/grpc")};
      nghttp2_data_provider provider{};
      provider.source.ptr = this;
      provider.read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t* into,
                                  std::size_t room, std::uint32_t* flags,
                                  nghttp2_data_source* source, void*) {
        return static_cast<Stream*>(source->ptr)->give_data(into, room, *flags);
      };
      nghttp2_submit_response(session(), id_, fields.data(), fields.size(), &provider);
    }
    connection_.flush();
  }

  ssize_t give_data(std::uint8_t* into, std::size_t room, std::uint32_t& flags) {
    const std::size_t size = std::min(room, output_.size() - given_);
    if (size == 0 && !status_) return NGHTTP2_ERR_DEFERRED;
    if (size > 0) std::memcpy(into, output_.data() + given_, size);
    given_ += size;
    if (given_ == output_.size()) {
      output_.clear();
      given_ = 0;
      if (status_) end_with_trailers(flags);
    }
    return static_cast<ssize_t>(size);
  }

  void end_with_trailers(std::uint32_t& flags) {
    flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const std::array fields = {field("grpc-status", *status_), field("grpc-message", message_)};
    nghttp2_submit_trailer(session(), id_, fields.data(), message_.empty() ? 1 : 2);
  }

  void submit_status_alone() {
    const std::array fields = {field(":status", "200"), field("content-type", "application/grpc"),
                               field("grpc-status", *status_), field("grpc-message", message_)};
    nghttp2_submit_response(session(), id_, fields.data(), message_.empty() ? 3 : 4, nullptr);
  }

  GrpcConnection& connection_;
  std::int32_t id_;
  std::string input_;   // not yet a whole message
  std::string output_;  // of which `given_` bytes are on their way
  std::size_t given_ = 0;
  bool answering_ = false;
  std::optional<std::string> status_;
  std::string message_;
};

/// nghttp2's calls, which end in ours.
struct GrpcConnection::Callbacks {
  static GrpcConnection& of(void* user) { return *static_cast<GrpcConnection*>(user); }

  static int on_begin(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    const bool request =
        frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (!request) return 0;
    const std::int32_t id = frame->hd.stream_id;
    of(user).streams_[id] = std::make_unique<Stream>(of(user), id);
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                       std::uint8_t, void* user) {
    Stream* stream = of(user).find(frame->hd.stream_id);
    if (stream == nullptr || stream->call) return 0;
    stream->take_header({reinterpret_cast<const char*>(name), name_size},
                        {reinterpret_cast<const char*>(value), value_size});
    return 0;
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Stream* stream = of(user).find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const bool headers = frame->hd.type == NGHTTP2_HEADERS;
    if (headers && frame->headers.cat == NGHTTP2_HCAT_REQUEST) of(user).begin_call(*stream);
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (ends && (headers || frame->hd.type == NGHTTP2_DATA)) stream->end_input();
    return 0;
  }

  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                     std::size_t size, void* user) {
    Stream* stream = of(user).find(id);
    if (stream != nullptr) stream->take_data({reinterpret_cast<const char*>(data), size});
    return 0;
  }

  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* user) {
    of(user).streams_.erase(id);
    return 0;
  }

  static nghttp2_session* new_session(GrpcConnection* user) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session* session = nullptr;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    const int failed = nghttp2_session_server_new(&session, callbacks, user);
    nghttp2_session_callbacks_del(callbacks);
    if (failed != 0) throw std::bad_alloc();
    return session;
  }
};

GrpcConnection::GrpcConnection(tcp::socket socket, std::shared_ptr<const GrpcMethods> methods)
    : socket_(std::move(socket)),
      methods_(std::move(methods)),
      session_(Callbacks::new_session(this)) {
  const std::array settings = {
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kMostStreams},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

GrpcConnection::~GrpcConnection() { nghttp2_session_del(session_); }

GrpcConnection::Stream* GrpcConnection::find(std::int32_t id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void GrpcConnection::begin_call(Stream& stream) {
  if (!stream.is_post || !stream.is_grpc) return stream.refuse_as_http();
  const auto method = methods_->find(stream.path);
  if (method == methods_->end()) {
    return stream.finish(GrpcStatus::kUnimplemented, "there is no method " + stream.path);
  }
  stream.call = method->second(stream);
}

asio::awaitable<void> GrpcConnection::run() {
  const auto self = shared_from_this();
  std::string piece(kPiece, '\0');
  std::chrono::milliseconds limit = kFirstByteLimit;
  flush();
  for (;;) {
    const std::size_t n = co_await read_some(socket_, piece, nullptr, limit);
    limit = std::chrono::milliseconds(0);
    if (n == 0) break;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(piece.data());
    if (nghttp2_session_mem_recv(session_, bytes, n) < 0) break;
    flush();
  }
  abort();
}

/// What nghttp2 has to say is written by one coroutine at a time, outside of its own calls.
void GrpcConnection::flush() {
  if (writing_ || !socket_.is_open()) return;
  writing_ = true;
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    asio::co_spawn(self->socket_.get_executor(), self->write(), asio::detached);
  });
}

asio::awaitable<void> GrpcConnection::write() {
  const auto self = shared_from_this();
  for (;;) {
    const std::string output = take_output();
    if (output.empty() || !socket_.is_open()) break;
    if (!co_await gateway::send(socket_, output, kWriteLimit)) {
      close();
      break;
    }
  }
  writing_ = false;
  const bool over =
      nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  if (over || (draining_ && streams_.empty())) close();
}

std::string GrpcConnection::take_output() {
  std::string output;
  while (output.size() < 4 * kPiece) {
    const std::uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size <= 0) break;
    output.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  }
  return output;
}

void GrpcConnection::begin_drain() {
  draining_ = true;
  const std::int32_t last = nghttp2_session_get_last_proc_stream_id(session_);
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
  flush();
}

void GrpcConnection::close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void GrpcConnection::abort() {
  close();
  streams_.clear();
}

}  // namespace bundle::gateway::picker
