#include "tests/comm/rank_threads.h"

#include <arpa/inet.h>
#include <exception>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

#include "base/file.h"

namespace bundle::comm {

std::vector<std::unique_ptr<Communicator>> make_ranks(int ranks, std::size_t ring_bytes,
                                                      const SharedOptions& options) {
  const Fd memory = make_shared_memory(ranks, ring_bytes).value();
  std::vector<std::unique_ptr<Communicator>> all;
  for (int r = 0; r < ranks; ++r) all.push_back(join_shared_memory(memory, r, options).value());
  return all;
}

std::vector<std::unique_ptr<Communicator>> make_tcp_ranks(int ranks, int nodes,
                                                          const TcpOptions& options) {
  std::vector<std::unique_ptr<Communicator>> all(static_cast<std::size_t>(ranks));
  std::vector<Result<void>> ends(static_cast<std::size_t>(ranks));
  const std::uint16_t port = free_port();
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < all.size(); ++r) {
    threads.emplace_back([&, r] {
      const int rank = static_cast<int>(r);
      auto joined = join_group({.rank = rank,
                                .ranks = ranks,
                                .nodes = nodes,
                                .leader_host = "127.0.0.1",
                                .leader_port = port},
                               options);
      if (joined) {
        all[r] = std::move(*joined);
      } else {
        ends[r] = joined.error();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& end : ends) end.value();
  return all;
}

std::vector<std::unique_ptr<Communicator>> make_ranks(Tie tie, int ranks,
                                                      const SharedOptions& options) {
  if (tie == Tie::kSharedMemory) return make_ranks(ranks, 128u << 10, options);
  return make_tcp_ranks(ranks, ranks, {.patience = options.patience});
}

std::uint16_t free_port() {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket.get(), any, size) != 0 || ::getsockname(socket.get(), any, &size) != 0) {
    throw std::runtime_error("no port is free");
  }
  return ntohs(address.sin_port);
}

void run_ranks(std::vector<std::unique_ptr<Communicator>>& ranks,
               const std::function<void(Communicator&)>& body) {
  std::vector<std::exception_ptr> thrown(ranks.size());
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    threads.emplace_back([&, r] {
      try {
        body(*ranks[r]);
      } catch (const std::exception& error) {
        thrown[r] = std::current_exception();
        ranks[r]->abort(failed(error.what()));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : thrown) {
    if (error) std::rethrow_exception(error);
  }
}

void run_ranks(Tie tie, int ranks, const std::function<void(Communicator&)>& body) {
  auto all = make_ranks(tie, ranks);
  run_ranks(all, body);
}

}  // namespace bundle::comm
