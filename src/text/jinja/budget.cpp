#include "text/jinja/budget.h"

#include <time.h>

#include <algorithm>

#include "base/error.h"

namespace elenchus::jinja {
namespace {

// The time of this thread, not of the wall: on a crowded machine a row must not fail by bad luck.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

}  // namespace

Budget::Budget(std::int64_t max_steps, std::size_t max_held_bytes)
    : max_steps_(max_steps),
      max_held_(max_held_bytes),
      deadline_seconds_(thread_seconds() + kMaxSeconds) {}

void Budget::check() {
  constexpr std::int64_t kStepsBetweenChecks = 4096;
  if (steps_ > max_steps_) fail(cat("more than ", max_steps_, " steps; does a loop not end?"));
  if (thread_seconds() > deadline_seconds_) fail(cat("took more than ", kMaxSeconds, " s"));
  next_check_ = std::min(steps_ + kStepsBetweenChecks, max_steps_ + 1);
}

void Budget::hold(std::size_t bytes) {
  if (bytes > max_held_ - std::min(held_, max_held_))
    fail(cat("its values take more than ", max_held_ >> 20, " MiB of memory"));
  held_ += bytes;
}

void Budget::check_value(std::size_t bytes) const {
  if (bytes > kMaxValueBytes) fail(cat("a value of more than ", kMaxValueBytes >> 20, " MiB"));
}

void Budget::fail(const std::string& message) const {
  throw InputError(cat("chat template: line ", line, ": ", message));
}

}  // namespace elenchus::jinja
