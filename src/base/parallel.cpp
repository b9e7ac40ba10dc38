#include "base/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"

namespace elenchus {
namespace {

// A waiting thread looks this long before it sleeps: waking one costs about as much.
constexpr std::chrono::microseconds kSpin{30};

/// Whether `done()` became true within kSpin.
template <class Done>
bool spin_until(const Done& done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i)
      if (done()) return true;
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

/// Cores granted by "QUOTA PERIOD" in a control group's cpu.max; 0 without a limit.
int cores_of_quota(const std::string& file) {
  std::ifstream in(file);
  std::string quota;
  std::int64_t period = 0;
  if (!(in >> quota >> period) || quota == "max" || period <= 0) return 0;
  std::int64_t micros = 0;
  for (const char c : quota) {
    if (c < '0' || c > '9' || micros > INT64_MAX / 20) return 0;
    micros = micros * 10 + (c - '0');
  }
  return int(
      std::min<std::int64_t>(std::max<std::int64_t>(1, (micros + period - 1) / period), 4096));
}

/// The smallest limit of this process's control group and the groups above it; 0 without one.
int cores_of_control_group() {
  std::ifstream groups("/proc/self/cgroup");
  std::string line, group;
  while (std::getline(groups, line))
    if (line.starts_with("0::")) group = line.substr(3);
  int least = 0;
  while (true) {
    if (group == "/") group.clear();
    const int cores = cores_of_quota("/sys/fs/cgroup" + group + "/cpu.max");
    if (cores > 0 && (least == 0 || cores < least)) least = cores;
    const std::size_t slash = group.rfind('/');
    if (slash == std::string::npos) return least;
    group.resize(slash);
  }
}

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = ::sched_getaffinity(0, sizeof set, &set) == 0
                  ? CPU_COUNT(&set)
                  : int(std::thread::hardware_concurrency());
  const int quota = cores_of_control_group();
  if (quota > 0) cores = std::min(cores, quota);
  return std::max(cores, 1);
}

}  // namespace

struct ThreadPool::State {
  // The gate of the current job: kOpen while workers may still join it, plus the number that are
  // inside. Late workers find it closed, so a job never waits for a thread that has not woken up.
  static constexpr std::uint32_t kOpen = 1u << 31;

  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable work_came;
  std::condition_variable job_left;
  std::atomic<std::uint64_t> jobs{0};
  std::atomic<std::uint32_t> gate{0};
  std::atomic<bool> stopping{false};
  int sleepers = 0;  // guarded by mutex

  // The job. Written while the gate is closed and empty.
  const std::function<void(std::int64_t, int)>* task = nullptr;
  std::int64_t count = 0;
  std::atomic<std::int64_t> next{0};
  std::exception_ptr error;  // guarded by mutex

  void drain(int worker) {
    while (true) {
      const std::int64_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) return;
      try {
        (*task)(i, worker);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        next.store(count, std::memory_order_relaxed);
      }
    }
  }

  bool enter() {
    std::uint32_t seen = gate.load();
    while ((seen & kOpen) != 0)
      if (gate.compare_exchange_weak(seen, seen + 1)) return true;
    return false;
  }
  void leave() {
    if (gate.fetch_sub(1) != 1) return;
    const std::lock_guard lock(mutex);
    job_left.notify_one();
  }

  void work(int worker) {
    std::uint64_t seen = 0;
    while (true) {
      const auto called = [&] { return jobs.load() != seen || stopping.load(); };
      if (!spin_until(called)) {
        std::unique_lock lock(mutex);
        ++sleepers;
        work_came.wait(lock, called);
        --sleepers;
      }
      if (stopping.load()) return;
      seen = jobs.load();
      if (!enter()) continue;
      drain(worker);
      leave();
    }
  }

  void call_workers() {
    gate.store(kOpen);
    const std::lock_guard lock(mutex);
    jobs.fetch_add(1);
    if (sleepers > 0) work_came.notify_all();
  }
  void wait_for_workers() {
    gate.fetch_and(~kOpen);
    const auto empty = [&] { return gate.load() == 0; };
    if (spin_until(empty)) return;
    std::unique_lock lock(mutex);
    job_left.wait(lock, empty);
  }
  void stop() {
    {
      const std::lock_guard lock(mutex);
      stopping.store(true);
      work_came.notify_all();
    }
    for (std::thread& worker : workers) worker.join();
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  expect(threads >= 0, "ThreadPool: a negative number of threads");
  if (threads == 0) threads = available_cores();
  try {
    for (int i = 1; i < threads; ++i)
      state_->workers.emplace_back([state = state_.get(), i] { state->work(i); });
  } catch (const std::exception& error) {
    const std::size_t started = state_->workers.size();
    state_->stop();
    throw DeviceError(
        cat("could not start thread ", started + 1, " of ", threads, ": ", error.what()));
  }
}

ThreadPool::~ThreadPool() { state_->stop(); }

int ThreadPool::threads() const { return int(state_->workers.size()) + 1; }

void ThreadPool::run(std::int64_t count, const std::function<void(std::int64_t, int)>& task) {
  if (count <= 0) return;
  if (count == 1 || state_->workers.empty()) {
    for (std::int64_t i = 0; i < count; ++i) task(i, 0);
    return;
  }
  state_->task = &task;
  state_->count = count;
  state_->next.store(0);
  state_->error = nullptr;
  state_->call_workers();
  state_->drain(0);
  state_->wait_for_workers();
  if (state_->error) std::rethrow_exception(std::exchange(state_->error, nullptr));
}

}  // namespace elenchus
