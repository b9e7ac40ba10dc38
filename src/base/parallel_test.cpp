#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "base/error.h"

namespace elenchus {
namespace {

TEST(ThreadPool, CallsEveryTaskOnce) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const std::int64_t count : {0, 1, 2, 31, 1000}) {
      std::vector<std::atomic<int>> calls(std::size_t(count) + 1);
      pool.run(count, [&](std::int64_t i, int worker) {
        ASSERT_TRUE(worker >= 0 && worker < threads);
        ++calls[std::size_t(i)];
      });
      for (std::int64_t i = 0; i < count; ++i) EXPECT_EQ(calls[std::size_t(i)], 1);
      EXPECT_EQ(calls[std::size_t(count)], 0);
    }
  }
}

TEST(ThreadPool, IsDoneWhenRunReturns) {
  ThreadPool pool(4);
  std::vector<std::int64_t> values(64);
  for (std::int64_t round = 1; round <= 3000; ++round) {
    pool.run(64, [&](std::int64_t i, int) { values[std::size_t(i)] += i; });
    ASSERT_EQ(std::accumulate(values.begin(), values.end(), std::int64_t{0}), round * 63 * 32);
  }
}

TEST(ThreadPool, WakesSleepingWorkers) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> calls = 0;
    pool.run(8, [&](std::int64_t, int) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      ++calls;
    });
    EXPECT_EQ(calls, 8);
  }
}

TEST(ThreadPool, ThrowsAgainWhatATaskThrew) {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    const auto fails = [](std::int64_t i, int) {
      if (i == 7) throw UserError("seven");
    };
    EXPECT_THROW(pool.run(100, fails), UserError);
    std::atomic<int> calls = 0;
    pool.run(10, [&](std::int64_t, int) { ++calls; });
    EXPECT_EQ(calls, 10);
  }
}

TEST(ThreadPool, TakesTheCoresThereAre) {
  EXPECT_GE(ThreadPool(0).threads(), 1);
  EXPECT_THROW(ThreadPool(-1), InternalError);
}

}  // namespace
}  // namespace elenchus
