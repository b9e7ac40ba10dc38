#pragma once
// Several rows in one sequence length.

#include <cstdint>
#include <span>
#include <vector>

namespace elenchus {

/// Best-fit-decreasing: rows by length, longest first (of equal ones the earlier), each into the
/// fullest bin that still takes it. A row longer than `capacity` has a bin of its own. Bins and the
/// rows in them are numbers into `lengths`.
std::vector<std::vector<std::int64_t>> fill_bins(std::span<const std::int64_t> lengths,
                                                 std::int64_t capacity);

}  // namespace elenchus
