#pragma once
// Loops over elements or rows, cut into tasks whose borders do not depend on the number of threads.

#include <algorithm>
#include <cstdint>

#include "base/parallel.h"

namespace elenchus::ops {

/// About how many elements one task of a memory-bound op takes: small enough to balance, large
/// enough to hide the start of a task.
inline constexpr std::int64_t kTaskElements = 16384;

/// Rows of `row_elements` each that one task takes.
inline std::int64_t rows_per_task(std::int64_t row_elements) {
  return std::max<std::int64_t>(1, kTaskElements / std::max<std::int64_t>(1, row_elements));
}

/// Calls body(first, last) for consecutive ranges of [0, count), `per_task` long but for the last.
template <class Body>
void for_chunks(ThreadPool& pool, std::int64_t count, std::int64_t per_task, const Body& body) {
  pool.run((count + per_task - 1) / per_task, [&](std::int64_t task, int) {
    body(task * per_task, std::min(count, (task + 1) * per_task));
  });
}

}  // namespace elenchus::ops
