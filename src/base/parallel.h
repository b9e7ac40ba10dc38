#pragma once
// The one thread pool of a CPU device.

#include <cstdint>
#include <functional>
#include <memory>

namespace elenchus {

/// Runs numbered tasks on a fixed set of threads, the caller among them. What a task computes must
/// not depend on which worker runs it: then results are the same for any number of threads.
class ThreadPool {
 public:
  /// `threads` >= 1; 0 takes the number of cores this process may use.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  int threads() const;
  /// Calls task(i, worker) once for each i in [0, count), worker in [0, threads()); returns when
  /// all are done. The first exception thrown by a task is thrown again here. Not re-entrant.
  void run(std::int64_t count, const std::function<void(std::int64_t, int)>& task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elenchus
