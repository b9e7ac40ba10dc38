#pragma once
// Rows that cannot be used: counted, and reported together.

#include <filesystem>
#include <span>
#include <string>

#include "data/dataset.h"

namespace elenchus {

/// "train.jsonl: row 3 (line 17)"
std::string place_text(std::span<const DataFile> files, const RowPlace& place);

/// Counts one bad row.
void add_bad_row(BadRowCounts& bad, std::span<const DataFile> files, const RowPlace& place,
                 const RowError& error);

/// InputError unless there are no bad rows, or they are to be skipped and are at most
/// bad_rows_limit of all.
void check_bad_rows(const BadRowCounts& bad, std::int64_t all_rows, const DataConfig& config);

/// "content_null 2, role_unknown 1"
std::string counts_text(const BadRowCounts& bad);

}  // namespace elenchus
