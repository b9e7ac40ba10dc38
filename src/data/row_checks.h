#pragma once
// What is looked for in every row that is trained on, by training and by inspect alike.

#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace elenchus {

/// What is odd about a row as it is trained on, in the words of both: no token of it is, two BOS
/// stand side by side, a trained part does not end with EOS or an end-of-turn token. Of a
/// classifier's row nothing is.
std::vector<std::string> row_oddities(const TokenizedRow& row, const RenderRules& rules);

/// Counts what is odd about each row to train on, in order of first appearance.
std::vector<RowOddity> count_oddities(const Dataset& data, const RenderRules& rules);

/// A line for each: "warning: 3 of 80 rows to train on: ...; the first is FILE: row 5", and what to
/// do where data.max_length cut the rows.
std::vector<std::string> warnings_of(const Dataset& data, const DataConfig& config);

}  // namespace elenchus
