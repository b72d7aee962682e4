#include "tests/comm/rank_threads.h"

#include <exception>
#include <thread>

namespace bundle::comm {

std::vector<std::unique_ptr<Communicator>> make_ranks(int ranks, std::size_t ring_bytes,
                                                      const SharedOptions& options) {
  const Fd memory = make_shared_memory(ranks, ring_bytes).value();
  std::vector<std::unique_ptr<Communicator>> all;
  for (int r = 0; r < ranks; ++r) all.push_back(join_shared_memory(memory, r, options).value());
  return all;
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

void run_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  auto all = make_ranks(ranks);
  run_ranks(all, body);
}

}  // namespace bundle::comm
