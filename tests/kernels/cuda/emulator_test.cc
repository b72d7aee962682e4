// What a GPU leaves undefined, each as a small kernel: the emulator names it, and lets its correct
// twin pass.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <vector>

#include "runtime/kernels/cuda/emulator/emulated_driver.h"
#include "runtime/kernels/cuda/lane/lane.h"

namespace bundle::kernels::cuda {
namespace {

struct Args {
  float* data;
  bool wrong;
};

/// A driver, a stream and 1024 floats of zeros.
class Emulator : public testing::TestWithParam<bool> {
 protected:
  Emulator() { driver_->fill(stream_, data_, 0, kFloats * sizeof(float)); }
  ~Emulator() override { driver_->free_stream(stream_); }

  /// Runs the kernel with a fault or without, and expects that a fault's message says `what`.
  void expect(void (*kernel)(Args), const char* what, LaunchGrid grid = {.threads = 64}) {
    grid.shared_bytes = 256;
    grid.overlap = overlap_;
    launch(stream_, "kernel", kernel, grid, Args{data_, GetParam()});
    if (GetParam()) {
      ASSERT_NE(driver_->status(), nullptr);
      EXPECT_THAT(driver_->status(), testing::HasSubstr(what));
      EXPECT_THAT(driver_->status(), testing::HasSubstr("emulator_test.cc:"));
    } else {
      EXPECT_EQ(driver_->status(), nullptr);
    }
  }

  static constexpr std::size_t kFloats = 1024;
  std::unique_ptr<Driver> driver_ = make_emulated_driver();
  Stream stream_ = driver_->make_stream();
  float* data_ = static_cast<float*>(driver_->allocate(kFloats * sizeof(float), MemoryKind::kWork));
  bool overlap_ = false;
};

TEST_P(Emulator, BarrierThatSomeThreadsMiss) {
  expect(
      [](Args a) {
        if (a.wrong && thread_index() == 3) return;
        sync_block();
      },
      "threads diverge");
}

TEST_P(Emulator, BarriersAtDifferentPlaces) {
  expect(
      [](Args a) {
        if (a.wrong && warp_index() == 1) {
          sync_block();
        } else {
          sync_block();
        }
      },
      "threads diverge");
}

TEST_P(Emulator, ShuffleThatSomeLanesMiss) {
  expect(
      [](Args a) {
        if (a.wrong && lane_index() > 15) return;
        Global<float>(a.data).put(thread_index(), shuffle_xor(1.0f, 1));
      },
      "threads diverge");
}

TEST_P(Emulator, SharedMemoryReadBeforeItIsWritten) {
  expect(
      [](Args a) {
        const Shared<float> shared(0);
        if (thread_index() < (a.wrong ? 32 : 64)) shared.put(thread_index(), 1.0f);
        sync_block();
        Global<float>(a.data).put(thread_index(), shared[63 - thread_index()]);
      },
      "is read before it is written");
}

TEST_P(Emulator, SharedMemoryReadWithoutABarrier) {
  expect(
      [](Args a) {
        const Shared<float> shared(0);
        shared.put(thread_index(), 1.0f);
        if (!a.wrong) sync_block();
        if (a.wrong && warp_index() == 1) return;
        Global<float>(a.data).put(thread_index(), shared[thread_index() ^ 1]);
      },
      "shared memory at offset");
}

TEST_P(Emulator, SharedMemoryOverwrittenWhileItIsRead) {
  expect(
      [](Args a) {
        const Shared<float> shared(0);
        shared.put(thread_index(), 1.0f);
        sync_block();
        const float value = shared[63 - thread_index()];
        if (!a.wrong) sync_block();
        shared.put(thread_index(), value);
      },
      "no barrier lies between");
}

TEST_P(Emulator, WarpsAreOrderedByTheirOwnBarrierAlone) {
  expect(
      [](Args a) {
        const Shared<float> shared(0);
        shared.put(thread_index(), 1.0f);
        sync_warp();
        // Another lane of the warp is fine; another warp is not.
        Global<float>(a.data).put(thread_index(), shared[thread_index() ^ (a.wrong ? 32 : 1)]);
      },
      "shared memory at offset");
}

TEST_P(Emulator, SharedMemoryOutsideOfTheBlocks) {
  expect([](Args a) { Shared<float>(0).put(thread_index() + (a.wrong ? 1 : 0), 1.0f); },
         "lies outside the block's 256");
}

TEST_P(Emulator, AccessOutsideOfAnAllocation) {
  expect([](Args a) { Global<float>(a.data).put(thread_index() + (a.wrong ? 1023 : 0), 1.0f); },
         "outside of device memory");
}

TEST_P(Emulator, MisalignedAccess) {
  expect(
      [](Args a) {
        const Global<float> data(a.data);
        const auto pack = data.load<Floats4>(4 * (thread_index() % 8) + (a.wrong ? 1 : 0));
        data.put(512 + thread_index(), pack.v[0]);
      },
      "misaligned");
}

TEST_P(Emulator, BlocksThatWriteOneAddress) {
  expect(
      [](Args a) {
        if (thread_index() == 0) Global<float>(a.data).put(a.wrong ? 0 : block_x(), 1.0f);
      },
      "unordered", {.x = 3, .threads = 32});
}

TEST_P(Emulator, BlockThatReadsWhatAnotherWrites) {
  expect(
      [](Args a) {
        const Global<float> data(a.data);
        if (thread_index() != 0) return;
        data.put(block_x(), 1.0f);
        for (int i = 0; i < grid_x(); ++i) {
          if (a.wrong || i == block_x()) data.put(100 + block_x(), data[i]);
        }
      },
      "unordered", {.x = 2, .threads = 32});
}

TEST_P(Emulator, AsynchronousCopyThatIsNotWaitedFor) {
  expect(
      [](Args a) {
        const Shared<float> shared(0);
        if (lane_index() >= 16) return;
        copy_async(shared, 4 * lane_index(), Global<const float>(a.data), 0);
        commit_copies();
        if (!a.wrong) wait_copies<0>();
        Global<float>(a.data).put(512 + lane_index(), shared[4 * lane_index()]);
      },
      "is read before it is written", {.threads = 32});
}

TEST_P(Emulator, MatricesWhoseRowsAreNotAligned) {
  expect(
      [](Args a) {
        const Shared<std::uint16_t> shared(0);
        if (lane_index() < 16) shared.store(8 * lane_index(), Words4{});
        sync_warp();
        std::uint32_t rows[4];
        load_matrices(rows, shared, lane_index() % 8 * 8 + (a.wrong ? 2 : 0));
        Global<float>(a.data).put(lane_index(), static_cast<float>(rows[0]));
      },
      "is no aligned word", {.threads = 32});
}

TEST_P(Emulator, WorkOfTheKernelBeforeIsWaitedFor) {
  overlap_ = true;
  expect(
      [](Args a) {
        if (!a.wrong) wait_for_previous();
        Global<float>(a.data).put(thread_index(), 1.0f);
      },
      "without waiting for it");
}

INSTANTIATE_TEST_SUITE_P(Fault, Emulator, testing::Bool(),
                         [](const auto& test) { return test.param ? "seen" : "absent"; });

TEST(EmulatorMma, IsTheProductOfTheMatrices) {
  const auto driver = make_emulated_driver();
  const Stream stream = driver->make_stream();
  auto* out = static_cast<float*>(driver->allocate(128 * sizeof(float), MemoryKind::kWork));
  struct MmaArgs {
    float* out;
  };
  // a(i, k) = i + k / 16, b(k, j) = k == j: so d(i, j) = a(i, j).
  launch<MmaArgs>(stream, "mma",
                  [](MmaArgs a) {
                    const int g = lane_index() / 4;
                    const int t = lane_index() % 4;
                    const auto pair = [](float low, float high) {
                      return float_bf16(low) | static_cast<std::uint32_t>(float_bf16(high)) << 16;
                    };
                    const auto left = [&](int row, int col) {
                      return pair(row + col / 16.0f, row + (col + 1) / 16.0f);
                    };
                    const auto right = [&](int row, int col) {
                      return pair(row == col ? 1.0f : 0.0f, row + 1 == col ? 1.0f : 0.0f);
                    };
                    const std::uint32_t fragment_a[4] = {left(g, 2 * t), left(g + 8, 2 * t),
                                                         left(g, 2 * t + 8),
                                                         left(g + 8, 2 * t + 8)};
                    const std::uint32_t fragment_b[2] = {right(2 * t, g), right(2 * t + 8, g)};
                    float d[4] = {};
                    mma_bf16(d, fragment_a, fragment_b);
                    for (int i = 0; i < 4; ++i) {
                      Global<float>(a.out).put((g + i / 2 * 8) * 8 + 2 * t + i % 2, d[i]);
                    }
                  },
                  {.threads = 32, .overlap = false}, {out});
  ASSERT_EQ(driver->status(), nullptr);
  std::vector<float> values(128);
  driver->copy_out(stream, values.data(), out, 512);
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 8; ++j) EXPECT_EQ(values[i * 8 + j], i + j / 16.0f) << i << " " << j;
  }
  driver->free_stream(stream);
}

TEST(EmulatorMatrices, LieAsProductsTakeThem) {
  const auto driver = make_emulated_driver();
  const Stream stream = driver->make_stream();
  auto* out = static_cast<std::uint32_t*>(driver->allocate(1024, MemoryKind::kWork));
  struct LoadArgs {
    std::uint32_t* out;
  };
  // Row r of matrix j has the elements 64j + 8r + column.
  launch<LoadArgs>(stream, "load",
                   [](LoadArgs a) {
                     const Shared<std::uint16_t> shared(0);
                     for (int i = 0; i < 8; i += 2) {
                       const auto first = static_cast<std::uint32_t>(8 * lane_index() + i);
                       shared.store(8 * lane_index() + i, first | (first + 1) << 16);
                     }
                     sync_warp();
                     std::uint32_t as_they_are[4], transposed[4];
                     load_matrices(as_they_are, shared, 8 * lane_index());
                     load_transposed(transposed, shared, 8 * lane_index());
                     for (int j = 0; j < 4; ++j) {
                       Global<std::uint32_t>(a.out).put(j * 32 + lane_index(), as_they_are[j]);
                       Global<std::uint32_t>(a.out).put(128 + j * 32 + lane_index(), transposed[j]);
                     }
                   },
                   {.threads = 32, .shared_bytes = 512, .overlap = false}, {out});
  ASSERT_EQ(driver->status(), nullptr);
  std::vector<std::uint32_t> words(256);
  driver->copy_out(stream, words.data(), out, 1024);
  for (std::uint32_t j = 0; j < 4; ++j) {
    for (std::uint32_t lane = 0; lane < 32; ++lane) {
      const std::uint32_t g = lane / 4, t = lane % 4;
      const std::uint32_t first = 64 * j + 8 * g + 2 * t;
      EXPECT_EQ(words[j * 32 + lane], first | (first + 1) << 16) << j << " " << lane;
      const std::uint32_t above = 64 * j + 16 * t + g;
      EXPECT_EQ(words[128 + j * 32 + lane], above | (above + 8) << 16) << j << " " << lane;
    }
  }
  driver->free_stream(stream);
}

}  // namespace
}  // namespace bundle::kernels::cuda
