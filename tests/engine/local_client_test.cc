#include "runtime/engine/local_client.h"

#include <atomic>
#include <condition_variable>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "tests/engine/fake_model.h"

namespace bundle::engine {
namespace {

/// Outcomes by id, filled from the client's thread.
class Collector {
 public:
  EngineClient::OnEvent listener() {
    return [this](const Event& event) {
      const std::lock_guard lock(mutex_);
      add_event(outcomes_[event.id], event);
      changed_.notify_all();
    };
  }

  Outcome wait(std::uint64_t id) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return outcomes_[id].finish != FinishReason::kNone; });
    return outcomes_[id];
  }

  Outcome wait_for_tokens(std::uint64_t id, std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return outcomes_[id].tokens.size() >= count; });
    return outcomes_[id];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Outcome> outcomes_;
};

class LocalClientTest : public testing::Test {
 protected:
  LocalClientTest() : device_(make_fake_device()) {
    fake_.eos_ids = {};
    fake_.max_positions = 4096;
    options_.kv_tokens = 8192;
    client_ =
        std::make_unique<LocalClient>(*Engine::create(make_fake_model(fake_), *device_, options_));
  }

  static Request request(std::uint64_t id, std::int32_t max_tokens) {
    Request r;
    r.id = id;
    r.prompt = {static_cast<std::int32_t>(id % 40), 2, 3};
    r.sampling.seed = id;
    r.sampling.max_tokens = max_tokens;
    return r;
  }

  FakeConfig fake_;
  EngineOptions options_;
  std::unique_ptr<kernels::Device> device_;
  Collector collector_;
  std::unique_ptr<LocalClient> client_;
};

TEST_F(LocalClientTest, ManyThreadsGetTheirOwnAnswers) {
  EXPECT_TRUE(client_->ready());
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (std::uint64_t i = 0; i < 8; ++i) {
        const Request r = request(t * 100 + i, 20);
        client_->submit(r, collector_.listener());
        (void)client_->stats();
        const Outcome got = collector_.wait(r.id);
        EXPECT_EQ(got.tokens, run_alone(r, fake_, 4096).tokens);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(client_->stats().generated_tokens, 4 * 8 * 20);
  EXPECT_EQ(client_->stats().kv_blocks_used, 0);
}

TEST_F(LocalClientTest, AbortEndsAStream) {
  client_->submit(request(1, 4000), collector_.listener());
  collector_.wait_for_tokens(1, 3);
  client_->abort(1);
  const Outcome got = collector_.wait(1);
  EXPECT_EQ(got.finish, FinishReason::kAborted);
  EXPECT_LT(got.tokens.size(), 4000u);
}

TEST_F(LocalClientTest, ASecondRequestOfOneIdIsRefusedAndTheFirstGoesOn) {
  client_->submit(request(1, 300), collector_.listener());
  Collector second;
  client_->submit(request(1, 5), second.listener());
  EXPECT_EQ(second.wait(1).finish, FinishReason::kError);
  EXPECT_EQ(collector_.wait(1).tokens.size(), 300u);
}

TEST_F(LocalClientTest, GoingAwayDeliversLastEvents) {
  for (std::uint64_t id = 0; id < 5; ++id)
    client_->submit(request(id, 4000), collector_.listener());
  client_.reset();
  for (std::uint64_t id = 0; id < 5; ++id) {
    EXPECT_EQ(collector_.wait(id).finish, FinishReason::kAborted);
  }
}

TEST_F(LocalClientTest, CallbacksMayCallTheClient) {
  std::atomic<int> chained = 0;
  client_->submit(request(1, 50), [&](const Event& event) {
    if (chained++ == 0) client_->submit(request(2, 5), collector_.listener());
    if (event.tokens.size() == 1 && chained == 5) client_->abort(1);
    collector_.listener()(event);
  });
  EXPECT_EQ(collector_.wait(1).finish, FinishReason::kAborted);
  EXPECT_EQ(collector_.wait(2).tokens.size(), 5u);
}

}  // namespace
}  // namespace bundle::engine
