#pragma once
// Rows as the model sees them, for people.

#include <string>

#include "data/dataset.h"

namespace elenchus {

struct InspectStyle {
  std::int64_t rows = 3;
  bool colour = false;  ///< trained tokens in ANSI colours; else between [[ and ]]
};

/// Files, counts, a histogram of lengths, what is odd about any row (two BOS in a row, an answer
/// without an end, nothing trained) and why training would stop; then the first rows: text with its
/// trained tokens marked, and ids. Control characters of the data are shown escaped.
std::string inspect_text(const Dataset& dataset, const DataConfig& config, const RenderRules& rules,
                         const InspectStyle& style);

}  // namespace elenchus
