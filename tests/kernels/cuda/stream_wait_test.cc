// A GPU that waits for a rank that is gone must not keep the host.
#include "runtime/kernels/cuda/host/stream_wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/comm/rank_threads.h"

namespace bundle::kernels::cuda {
namespace {

using testing::HasSubstr;
using testing::NiceMock;
using testing::Return;

class MockDriver : public Driver {
 public:
  MOCK_METHOD(DeviceFacts, facts, (), (const, override));
  MOCK_METHOD(const char*, status, (), (const, override));
  MOCK_METHOD(void*, allocate, (std::size_t, MemoryKind), (override));
  MOCK_METHOD(void, free, (void*), (override));
  MOCK_METHOD(void*, allocate_host, (std::size_t), (override));
  MOCK_METHOD(void, free_host, (void*), (override));
  MOCK_METHOD(Stream, make_stream, (), (override));
  MOCK_METHOD(void, free_stream, (Stream), (override));
  MOCK_METHOD(void, wait, (Stream), (override));
  MOCK_METHOD(void, copy_in, (Stream, void*, const void*, std::size_t), (override));
  MOCK_METHOD(void, copy_out, (Stream, void*, const void*, std::size_t), (override));
  MOCK_METHOD(void, copy_within, (Stream, void*, const void*, std::size_t), (override));
  MOCK_METHOD(void, copy_rows,
              (Stream, void*, std::size_t, const void*, std::size_t, std::size_t, std::size_t),
              (override));
  MOCK_METHOD(void, fill, (Stream, void*, int, std::size_t), (override));
  MOCK_METHOD(Event, make_event, (), (override));
  MOCK_METHOD(void, free_event, (Event), (override));
  MOCK_METHOD(void, record, (Event, Stream), (override));
  MOCK_METHOD(void, wait_event, (Event), (override));
  MOCK_METHOD(bool, reached, (Event), (override));
  MOCK_METHOD(void, follow, (Stream, Event), (override));
  MOCK_METHOD(float, milliseconds, (Event, Event), (override));
  MOCK_METHOD(void, begin_capture, (Stream), (override));
  MOCK_METHOD(Graph, end_capture, (Stream), (override));
  MOCK_METHOD(void, replay, (Graph, Stream), (override));
  MOCK_METHOD(void, free_graph, (Graph), (override));
};

TEST(StreamWait, OneRankLeavesTheWaitingToTheDriver) {
  NiceMock<MockDriver> driver;
  EXPECT_CALL(driver, wait).Times(1);
  EXPECT_CALL(driver, reached).Times(0);
  EXPECT_TRUE(StreamWait(driver, nullptr).wait());
}

TEST(StreamWait, RanksThatAreThereAreWaitedFor) {
  auto ranks = comm::make_ranks(2);
  NiceMock<MockDriver> driver;
  int looks = 0;
  ON_CALL(driver, reached).WillByDefault([&] { return ++looks > 1000; });
  StreamWait wait(driver, nullptr);
  wait.watch(*ranks[0]);
  EXPECT_TRUE(wait.wait());
  EXPECT_TRUE(ranks[1]->health());
}

TEST(StreamWait, ARankThatIsGoneEndsTheWaitOfAll) {
  auto ranks = comm::make_ranks(3);
  NiceMock<MockDriver> driver;
  ON_CALL(driver, reached).WillByDefault(Return(false));
  StreamWait wait(driver, nullptr);
  wait.watch(*ranks[0]);
  ranks[1].reset();
  const Status ended = wait.wait();
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error().message(), HasSubstr("rank 1 is gone"));
  EXPECT_FALSE(ranks[2]->health()) << "the third is told";
}

}  // namespace
}  // namespace bundle::kernels::cuda
