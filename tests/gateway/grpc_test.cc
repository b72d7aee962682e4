// The picker's gRPC as a client of nghttp2 sees it, and as one sees it that is none.
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>
#include <random>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "base/file.h"
#include "runtime/gateway/gateway.h"
#include "runtime/gateway/picker/ext_proc.pb.h"

namespace bundle::gateway {
namespace {

constexpr char kProcess[] = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
constexpr char kHealth[] = "/grpc.health.v1.Health/Check";

Fd connected(std::uint16_t port) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  timeval limit{5, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return socket;
}

std::string framed(const std::string& message, char flag = 0) {
  std::string out(1, flag);
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(message.size() >> shift & 0xFF);
  return out + message;
}

/// One call: what is sent, in one piece, and what came back.
struct Call {
  std::string path = kHealth;
  std::string content_type = "application/grpc";
  std::string output = {};  // with its frames' heads
  std::size_t given = 0;
  std::string status = {};
  std::string http_status = {};
  std::string input = {};
  bool closed = false;
  std::uint32_t error = 0;

  std::vector<std::string> messages() const {
    std::vector<std::string> list;
    for (std::size_t at = 0; at + 5 <= input.size();) {
      std::size_t size = 0;
      for (int i = 1; i < 5; ++i) size = size << 8 | static_cast<unsigned char>(input[at + i]);
      list.push_back(input.substr(at + 5, size));
      at += 5 + size;
    }
    return list;
  }
};

/// Makes one call and reads until it is over.
void make(std::uint16_t port, Call& call) {
  const Fd socket = connected(port);
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name, std::size_t n,
                    const std::uint8_t* value, std::size_t v, std::uint8_t, void* user) {
        const std::string key(reinterpret_cast<const char*>(name), n);
        const std::string text(reinterpret_cast<const char*>(value), v);
        if (key == "grpc-status") static_cast<Call*>(user)->status = text;
        if (key == ":status") static_cast<Call*>(user)->http_status = text;
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks, [](nghttp2_session*, std::uint8_t, std::int32_t, const std::uint8_t* data,
                    std::size_t size, void* user) {
        static_cast<Call*>(user)->input.append(reinterpret_cast<const char*>(data), size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, [](nghttp2_session*, std::int32_t, std::uint32_t code, void* user) {
        static_cast<Call*>(user)->closed = true;
        static_cast<Call*>(user)->error = code;
        return 0;
      });
  nghttp2_session* session = nullptr;
  nghttp2_session_client_new(&session, callbacks, &call);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  const auto field = [](const char* name, const std::string& value) {
    return nghttp2_nv{reinterpret_cast<std::uint8_t*>(const_cast<char*>(name)),
                      reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())),
                      std::strlen(name), value.size(), NGHTTP2_NV_FLAG_NONE};
  };
  const std::string post = "POST", http = "http", host = "picker", trailers = "trailers";
  const std::array fields = {field(":method", post),
                             field(":scheme", http),
                             field(":authority", host),
                             field(":path", call.path),
                             field("content-type", call.content_type),
                             field("te", trailers)};
  nghttp2_data_provider provider{};
  provider.source.ptr = &call;
  provider.read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t* into, std::size_t room,
                              std::uint32_t* flags, nghttp2_data_source* source, void*) -> ssize_t {
    Call& one = *static_cast<Call*>(source->ptr);
    const std::size_t size = std::min(room, one.output.size() - one.given);
    std::copy_n(one.output.data() + one.given, size, into);
    one.given += size;
    if (one.given == one.output.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  };
  nghttp2_submit_request(session, nullptr, fields.data(), fields.size(), &provider, nullptr);
  std::array<std::uint8_t, 16384> piece{};
  while (!call.closed) {
    const std::uint8_t* data = nullptr;
    for (ssize_t n = 0; (n = nghttp2_session_mem_send(session, &data)) > 0;) {
      if (::send(socket.get(), data, static_cast<std::size_t>(n), MSG_NOSIGNAL) != n) break;
    }
    const ssize_t n = ::recv(socket.get(), piece.data(), piece.size(), 0);
    if (n <= 0) break;
    if (nghttp2_session_mem_recv(session, piece.data(), static_cast<std::size_t>(n)) < 0) break;
  }
  nghttp2_session_del(session);
}

std::unique_ptr<Gateway> start_picker() {
  auto gateway = Gateway::start({.picker_port = 0,
                                 .backends = {parse_backend("127.0.0.1:9").value()},
                                 .hold = std::chrono::seconds(1)});
  EXPECT_TRUE(gateway);
  return *std::move(gateway);
}

std::string health_request(const std::string& service) {
  ext_proc::HealthCheckRequest request;
  request.set_service(service);
  return request.SerializeAsString();
}

TEST(PickerGrpc, AnswersHealthChecks) {
  const auto gateway = start_picker();
  for (const char* service :
       {"", "liveness", "readiness", "envoy.service.ext_proc.v3.ExternalProcessor"}) {
    Call call{.output = framed(health_request(service))};
    make(gateway->picker_port(), call);
    EXPECT_EQ(call.status, "0") << service;
    ASSERT_EQ(call.messages().size(), 1u);
    ext_proc::HealthCheckResponse response;
    ASSERT_TRUE(response.ParseFromString(call.messages()[0]));
    EXPECT_EQ(response.status(), ext_proc::HealthCheckResponse::SERVING);
  }
  Call unknown{.output = framed(health_request("other"))};
  make(gateway->picker_port(), unknown);
  EXPECT_EQ(unknown.status, "5");
}

TEST(PickerGrpc, ARequestThatFindsNobodyWaitsAndIsRefused) {
  const auto gateway = start_picker();
  ext_proc::ProcessingRequest request;
  request.mutable_request_headers()->set_end_of_stream(true);
  // The client's half is over at once, so the call is too: nobody waits for one who is gone.
  Call call{.path = kProcess, .output = framed(request.SerializeAsString())};
  make(gateway->picker_port(), call);
  EXPECT_EQ(call.status, "0");
  EXPECT_TRUE(call.messages().empty());
}

TEST(PickerGrpc, RefusesByStatus) {
  const auto gateway = start_picker();
  const auto status_of = [&](Call call) {
    make(gateway->picker_port(), call);
    return call.status.empty() ? "http " + call.http_status : call.status;
  };
  EXPECT_EQ(status_of({.path = "/none.Such/Method", .output = framed("")}), "12");
  EXPECT_EQ(status_of({.content_type = "text/plain", .output = "x"}), "http 415");
  EXPECT_EQ(status_of({.output = framed("", 1)}), "12") << "compressed";
  EXPECT_EQ(status_of({.output = std::string("\0\xff\xff\xff\xff", 5)}), "8") << "4 GiB";
  EXPECT_EQ(status_of({.output = framed("abc").substr(0, 6)}), "13") << "cut off";
  EXPECT_EQ(status_of({.output = ""}), "3") << "no message";
  EXPECT_EQ(status_of({.output = framed("\xff\xff\xff")}), "3") << "no protobuf";
  EXPECT_EQ(status_of({.path = kProcess, .output = framed("\x12\x05zz")}), "3");
}

TEST(PickerGrpc, WhatIsNotHttp2DoesNoHarm) {
  const auto gateway = start_picker();
  std::mt19937 random(7);
  for (int i = 0; i < 50; ++i) {
    const Fd socket = connected(gateway->picker_port());
    std::string noise = i % 2 == 0 ? "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" : "GET / HTTP/1.1\r\n\r\n";
    for (int n = static_cast<int>(random() % 400); n > 0; --n) {
      noise += static_cast<char>(random());
    }
    [[maybe_unused]] const auto sent =
        ::send(socket.get(), noise.data(), noise.size(), MSG_NOSIGNAL);
  }
  Call call{.output = framed(health_request(""))};
  make(gateway->picker_port(), call);
  EXPECT_EQ(call.status, "0");
}

}  // namespace
}  // namespace bundle::gateway
