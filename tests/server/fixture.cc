#include "tests/server/fixture.h"

#include <arpa/inet.h>
#include <cstring>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bundle::server {
namespace {

constexpr char kTemplate[] =
    "{{ bos_token }}{% for m in messages %}<|turn|>{{ m['role'] }}\n{{ m['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}";

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Takes one chunked body from the front of `bytes`; false when more is needed.
bool take_chunks(std::string& bytes, std::string& body) {
  std::size_t at = 0;
  while (true) {
    const std::size_t line = bytes.find("\r\n", at);
    if (line == std::string::npos) return false;
    const std::size_t size = std::stoul(bytes.substr(at, line - at), nullptr, 16);
    if (bytes.size() < line + 2 + size + 2) return false;
    body += bytes.substr(line + 2, size);
    at = line + 2 + size + 2;
    if (size == 0) break;
  }
  bytes.erase(0, at);
  return true;
}

}  // namespace

ServedModel toy_model() {
  ServedModel model;
  model.name = "toy";
  model.content_digest = "sha256:0123456789abcdef0123456789abcdef";
  model.tokenizer = std::make_shared<ToyTokenizer>();
  auto parsed = chat::ChatTemplate::parse(kTemplate, "toy template");
  EXPECT_TRUE(parsed) << parsed.error().message();
  model.chat_template = *parsed;
  model.template_variables = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  model.architecture = "ToyForCausalLM";
  model.hidden_size = 4;
  return model;
}

std::vector<std::int32_t> ids_of(std::string_view text) {
  return ToyTokenizer().encode(text, {.add_special = false});
}

Script fox_script(const engine::Request&) {
  return {.tokens = ids_of("Hello world the quick brown fox jumps over the lazy dog"),
          .stop_token = ToyTokenizer::kEnd};
}

std::string RawResponse::field(std::string_view name) const {
  for (const auto& [key, value] : fields) {
    if (key == name) return value;
  }
  return {};
}

Json RawResponse::json() const {
  auto parsed = parse_json(body, "response");
  EXPECT_TRUE(parsed) << body;
  return parsed ? *parsed : Json();
}

std::vector<std::string> RawResponse::events() const {
  std::vector<std::string> out;
  std::size_t at = 0;
  while (true) {
    const std::size_t end = body.find("\n\n", at);
    if (end == std::string::npos) break;
    const std::string event = body.substr(at, end - at);
    // Some APIs name their events in a line before.
    const std::size_t line = event.starts_with("event: ") ? event.find('\n') + 1 : 0;
    if (event.compare(line, 6, "data: ") == 0) out.push_back(event.substr(line + 6));
    at = end + 2;
  }
  EXPECT_EQ(at, body.size()) << "an event without its end";
  return out;
}

RawClient::RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int one = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
}

RawClient::~RawClient() { close(); }

void RawClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool RawClient::wait_readable(double seconds) const {
  pollfd entry{.fd = socket_, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, static_cast<int>(seconds * 1000)) > 0;
}

std::string RawClient::read_some(double seconds) {
  if (!buffer_.empty()) return std::exchange(buffer_, {});
  if (!wait_readable(seconds)) return {};
  char bytes[16384];
  const ssize_t n = ::recv(socket_, bytes, sizeof bytes, 0);
  return n > 0 ? std::string(bytes, static_cast<std::size_t>(n)) : std::string();
}

std::string RawClient::read_until(std::string_view text, double seconds) {
  std::string all;
  while (all.find(text) == std::string::npos) {
    const std::string more = read_some(seconds);
    if (more.empty()) break;
    all += more;
  }
  return all;
}

RawResponse RawClient::read_response(double seconds, bool head_only) {
  RawResponse out;
  std::string bytes = read_until("\r\n\r\n", seconds);
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string::npos) return out;
  std::string head = bytes.substr(0, end + 2);
  bytes.erase(0, end + 4);
  EXPECT_TRUE(head.starts_with("HTTP/1.1 ")) << head;
  out.status = std::stoi(head.substr(9, 3));
  head.erase(0, head.find("\r\n") + 2);
  while (!head.empty()) {
    const std::size_t colon = head.find(": ");
    const std::size_t line = head.find("\r\n");
    out.fields.emplace_back(lower(head.substr(0, colon)), head.substr(colon + 2, line - colon - 2));
    head.erase(0, line + 2);
  }
  const bool chunked = out.field("transfer-encoding") == "chunked";
  const std::string length = out.field("content-length");
  const std::size_t wanted = length.empty() || head_only ? 0 : std::stoul(length);
  const bool until_close =
      !chunked && length.empty() && out.status != 204 && out.status != 304 && !head_only;
  while (true) {
    if (chunked ? take_chunks(bytes, out.body) : !until_close && bytes.size() >= wanted) {
      out.complete = true;
      break;
    }
    if (chunked) out.body.clear();
    const std::string more = read_some(seconds);
    if (more.empty()) break;
    bytes += more;
  }
  if (!chunked) {
    const std::size_t n = until_close ? bytes.size() : std::min(wanted, bytes.size());
    out.body = bytes.substr(0, n);
    out.complete = out.complete || until_close;
    bytes.erase(0, n);
  }
  buffer_ = bytes;
  return out;
}

bool RawClient::closed(double seconds) {
  while (wait_readable(seconds)) {
    char bytes[4096];
    if (::recv(socket_, bytes, sizeof bytes, 0) <= 0) return true;
  }
  return false;
}

void RawClient::shutdown_send() { ::shutdown(socket_, SHUT_WR); }

void RawClient::reset() {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close();
}

void RawClient::shrink_receive_buffer() {
  const int size = 4096;
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

std::string post(std::string_view path, std::string_view body, std::string_view fields) {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" +
         "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

std::string get(std::string_view path, std::string_view fields) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(fields) + "\r\n";
}

TestServer::TestServer(FakeEngine::Scripter scripter, ServerOptions options,
                       std::chrono::microseconds step)
    : engine_(std::make_shared<FakeEngine>(std::move(scripter), step)) {
  auto started = HttpServer::start(std::move(options), engine_);
  EXPECT_TRUE(started) << started.error().message();
  server_ = *std::move(started);
  server_->set_model(toy_model());
}

RawResponse TestServer::exchange(std::string_view request) const {
  RawClient client = connect();
  client.send(request);
  return client.read_response();
}

RawResponse TestServer::chat(std::string_view fields) const {
  std::string body = R"({"model":"toy","messages":[{"role":"user","content":"hi"}])";
  if (!fields.empty()) body += ',';
  return exchange(post("/v1/chat/completions", body + std::string(fields) + "}"));
}

RawResponse TestServer::completion(std::string_view fields) const {
  return exchange(post("/v1/completions", "{" + std::string(fields) + "}"));
}

}  // namespace bundle::server
