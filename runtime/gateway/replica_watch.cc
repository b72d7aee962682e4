#include "runtime/gateway/replica_watch.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

#include "runtime/gateway/sockets.h"
#include "runtime/gateway/upstream.h"

namespace bundle::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::seconds;

constexpr seconds kInterval{1};
constexpr seconds kAnswerLimit{2};
constexpr std::size_t kMostAnswer = 64u << 10;

/// Text of a replica, safe in a comment line and a JSON string.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200)) {
    if (c >= ' ' && c < 0x7F && c != '"' && c != '\\') out += c;
  }
  return out;
}

std::string text_of(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" +
         std::to_string(endpoint.port());
}

}  // namespace

ReplicaWatch::ReplicaWatch(asio::io_context& context, WatchOptions options)
    : context_(context), options_(std::move(options)), listed_(!options_.discover) {
  pool_.update(options_.backends);
}

ReplicaWatch::~ReplicaWatch() {
  if (!discovery_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  ends_.notify_all();
  discovery_.join();
}

void ReplicaWatch::start() {
  asio::co_spawn(context_, probe_forever(), asio::detached);
  if (options_.discover) discovery_ = std::thread([this] { discover_forever(); });
}

/// Whoever lists the replicas may take long: a cluster, a network's file system.
void ReplicaWatch::discover_forever() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    lock.unlock();
    asio::post(context_, [this, found = options_.discover()] {
      pool_.update(found);
      listed_ = true;
      probe_all();
    });
    lock.lock();
    ends_.wait_for(lock, kInterval, [this] { return ending_; });
  }
}

asio::awaitable<void> ReplicaWatch::probe_forever() {
  for (;;) {
    probe_all();
    co_await sleep(kInterval);
  }
}

void ReplicaWatch::probe_all() {
  for (Backend* backend : pool_.all()) {
    if (backend->checking) continue;
    backend->checking = true;
    asio::co_spawn(context_, probe(*backend), asio::detached);
  }
}

/// GET /ready: 200 means yes; else the body says how far it is.
asio::awaitable<void> ReplicaWatch::probe(Backend& backend) {
  const std::string answer = co_await ask_ready(backend);
  backend.ready = status_of(answer) == 200;
  backend.full = !backend.ready && answer.find("\"overloaded\"") != std::string::npos;
  const std::size_t head = head_length(answer);
  const bool tells = !backend.ready && head != std::string_view::npos;
  backend.progress = tells ? printable(std::string_view(answer).substr(head)) : "";
  backend.checking = false;
}

asio::awaitable<std::string> ReplicaWatch::ask_ready(Backend& backend) {
  std::string answer;
  tcp::socket socket(context_);
  if (!co_await connect(socket, backend.host, backend.port, options_.connect_timeout)) {
    co_return answer;
  }
  boost::system::error_code error;
  const tcp::endpoint there = socket.remote_endpoint(error);
  if (!error) backend.address = text_of(there);
  const std::string request = "GET /ready HTTP/1.0\r\nHost: " + backend.name() + "\r\n\r\n";
  if (!co_await send(socket, request, kAnswerLimit)) co_return answer;
  std::string piece(kMostAnswer, '\0');
  while (answer.size() < kMostAnswer) {
    const std::size_t n = co_await read_some(socket, piece, nullptr, kAnswerLimit);
    if (n == 0) break;
    answer.append(piece, 0, n);
  }
  co_return answer;
}

}  // namespace bundle::gateway
