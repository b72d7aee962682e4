#include "tests/comm/rank_threads.h"

#include <exception>
#include <thread>

#include "base/file.h"
#include "tests/comm/free_port.h"

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
