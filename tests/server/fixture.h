// What the server tests share: a model of toys, a server over it, and a raw client.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "runtime/server/http_server.h"
#include "tests/server/fake_engine.h"
#include "tests/server/toy_tokenizer.h"

namespace bundle::server {

/// "toy": the toy tokenizer and a template of turns. Digest "sha256:0123456789abcdef…".
ServedModel toy_model();
/// "Hello world the quick brown fox jumps over the lazy dog", then the end token.
Script fox_script(const engine::Request& request);
/// Tokens of a text, without a begin token.
std::vector<std::int32_t> ids_of(std::string_view text);

/// An HTTP answer as it came.
struct RawResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case
  std::string body;                                         // chunks joined
  bool complete = false;

  std::string field(std::string_view name) const;
  Json json() const;
  /// The payloads of its `data:` lines.
  std::vector<std::string> events() const;
};

/// A blocking connection that sends whatever it is told. Every read has a time limit.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port);
  ~RawClient();
  RawClient(RawClient&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), buffer_(std::move(other.buffer_)) {}

  bool send(std::string_view bytes);
  /// Reads one response; `head_only` for answers to HEAD. Incomplete when the other side closes or
  /// nothing comes for `seconds`.
  RawResponse read_response(double seconds = 10, bool head_only = false);
  /// Some bytes that came, "" at the end or after `seconds`.
  std::string read_some(double seconds = 10);
  /// Reads until `text` has come; all that came.
  std::string read_until(std::string_view text, double seconds = 10);
  /// The other side has closed within `seconds`.
  bool closed(double seconds = 10);
  void shutdown_send();
  void reset();  // closes with a RST
  void close();
  /// Makes this client's kernel take little before it has to be read.
  void shrink_receive_buffer();
  int handle() const { return socket_; }

 private:
  bool wait_readable(double seconds) const;

  int socket_ = -1;
  std::string buffer_;
};

/// A POST with JSON, ready to send. `fields` are further header lines, each with its CRLF.
std::string post(std::string_view path, std::string_view body, std::string_view fields = {});
std::string get(std::string_view path, std::string_view fields = {});

/// An engine and a server with the toy model.
class TestServer {
 public:
  explicit TestServer(FakeEngine::Scripter scripter = fox_script, ServerOptions options = {},
                      std::chrono::microseconds step = {});
  explicit TestServer(ServerOptions options) : TestServer(fox_script, std::move(options)) {}

  FakeEngine& engine() { return *engine_; }
  HttpServer& http() const { return *server_; }
  RawClient connect() const { return RawClient(server_->port()); }
  /// One exchange on a connection of its own.
  RawResponse exchange(std::string_view request) const;
  RawResponse chat(std::string_view fields) const;        // members after model and messages
  RawResponse completion(std::string_view fields) const;  // all members

 private:
  std::shared_ptr<FakeEngine> engine_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace bundle::server
