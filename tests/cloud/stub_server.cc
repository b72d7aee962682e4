// Listens like bundle-server and answers every request with 200, on its admin port where it has one
// (as with TLS, which it does not speak). Its launch document may hold
// {"runtime":{"fail":true}}: then it complains and ends; {"silent":true}: it never gets ready; with
// {"running":N} its answers are metrics that tell of N requests under way.
#include <arpa/inet.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

namespace {

std::string option(int argc, char** argv, const std::string& name) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (name == argv[i]) return argv[i + 1];
  }
  return "";
}

int listen_on(int port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::exit(5);
  ::listen(listener, 16);
  return listener;
}

std::string body_of(const bundle::Json* runtime) {
  const bundle::Json* running = runtime == nullptr ? nullptr : bundle::find(*runtime, "running");
  if (running == nullptr) return "ok";
  const std::string labels = "{model_name=\"b\"} ";
  return "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running" + labels +
         bundle::print_json(*running) + "\nvllm:num_requests_waiting" + labels +
         "0\nvllm:num_requests_waiting_by_reason{reason=\"capacity\"} 7\n";
}

void answer(int peer, const std::string& body) {
  char request[4096];
  [[maybe_unused]] const auto got = ::read(peer, request, sizeof request);
  const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                           "\r\nConnection: close\r\n\r\n" + body;
  [[maybe_unused]] const auto sent = ::send(peer, text.data(), text.size(), MSG_NOSIGNAL);
  ::close(peer);
}

}  // namespace

int main(int argc, char** argv) {
  const auto launch = bundle::read_json_file(option(argc, argv, "--launch"));
  if (!launch) return 3;
  const bundle::Json* runtime = bundle::find(*launch, "runtime");
  if (runtime != nullptr && bundle::find(*runtime, "fail") != nullptr) {
    std::fputs("the model is broken\n", stderr);
    return 3;
  }
  ::signal(SIGTERM, [](int) { ::_exit(0); });
  if (runtime != nullptr && bundle::find(*runtime, "silent") != nullptr) {
    for (;;) ::pause();
  }
  int listener = listen_on(std::stoi(option(argc, argv, "--port")));
  const std::string admin = option(argc, argv, "--admin-port");
  if (!admin.empty()) listener = listen_on(std::stoi(admin));
  std::fputs("ready http://127.0.0.1\n", stderr);
  const std::string body = body_of(runtime);
  for (;;) answer(::accept(listener, nullptr, nullptr), body);
}
