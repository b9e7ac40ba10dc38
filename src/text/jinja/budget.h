#pragma once
// What one rendering may use: steps, time and memory. Every value and every text belongs to a
// budget.

#include <cstddef>
#include <cstdint>
#include <string>

namespace elenchus::jinja {

constexpr std::size_t kMaxSourceBytes = 256 << 10;
constexpr int kMaxSyntaxDepth = 128;
constexpr int kMaxMacroDepth = 64;
/// Nested evaluations over all macros: what keeps the C++ stack below a few MiB.
constexpr int kMaxEvaluationDepth = 2000;
/// Nested lists and dicts in one value.
constexpr int kMaxValueDepth = 100;
constexpr std::int64_t kMaxRange = 100000;
/// One text, list or dict, and the output.
constexpr std::size_t kMaxValueBytes = 16 << 20;
/// Memory held by all values of one rendering, beyond what its input takes.
constexpr std::size_t kMaxHeldBytes = 32 << 20;
constexpr std::int64_t kMaxSteps = 5000000;
constexpr std::int64_t kStepsPerMessage = 2000;
/// Of the thread that renders, which waits for nothing.
constexpr double kMaxSeconds = 1.0;

class Budget {
 public:
  Budget(std::int64_t max_steps, std::size_t max_held_bytes);
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  /// Counts steps; InputError when they or the time are used up.
  void spend(std::int64_t steps = 1) {
    steps_ += steps;
    if (steps_ >= next_check_) check();
  }
  /// Counts the work of handling so many bytes.
  void spend_bytes(std::size_t bytes) { spend(std::int64_t(bytes / 256)); }
  /// Counts memory taken by values; InputError when there is too much.
  void hold(std::size_t bytes);
  void release(std::size_t bytes) noexcept { held_ -= bytes; }
  /// InputError if a value of so many bytes would be too large.
  void check_value(std::size_t bytes) const;
  /// InputError "chat template: line N: MESSAGE".
  [[noreturn]] void fail(const std::string& message) const;

  int line = 1;  ///< the line of the template that is being evaluated

 private:
  void check();

  std::int64_t steps_ = 0;
  std::int64_t next_check_ = 0;
  std::int64_t max_steps_;
  std::size_t held_ = 0;
  std::size_t max_held_;
  double deadline_seconds_;
};

}  // namespace elenchus::jinja
