#include "data/row_checks.h"

#include <algorithm>

#include "base/file.h"

namespace elenchus {
namespace {

constexpr std::string_view kAnswerWithoutEnd =
    "an answer without an end (EOS or end-of-turn token)";
constexpr std::string_view kTextWithoutEnd = "a text without an end (EOS token)";

/// Whether every stretch of trained tokens holds one that ends a turn.
bool every_part_ends(const TokenizedRow& row, const RenderRules& rules) {
  bool open = false;
  for (std::size_t i = 0; i < row.ids.size(); ++i) {
    if (row.trained[i]) {
      const bool begins = i == 0 || !row.trained[i - 1];
      if (begins) open = true;
      if (ends_turn(rules, row.ids[i])) open = false;
    } else if (open) {
      return false;
    }
  }
  return !open;
}

}  // namespace

std::vector<std::string> row_oddities(const TokenizedRow& row, const RenderRules& rules) {
  std::vector<std::string> out;
  if (row.label >= 0) return out;
  const std::int64_t trained = row.trained_count();
  if (trained == 0) out.emplace_back("no token is trained on");
  if (has_two_bos(rules, row.ids)) out.emplace_back("two BOS tokens in a row");
  const bool all_trained = trained + 1 >= std::int64_t(row.ids.size());
  if (!every_part_ends(row, rules))
    out.emplace_back(all_trained ? kTextWithoutEnd : kAnswerWithoutEnd);
  return out;
}

std::vector<RowOddity> count_oddities(const Dataset& data, const RenderRules& rules) {
  std::vector<RowOddity> out;
  for (const TokenizedRow& row : data.train)
    for (std::string& what : row_oddities(row, rules)) {
      auto found = std::ranges::find(out, what, &RowOddity::what);
      if (found == out.end())
        found = out.insert(
            out.end(), {.what = std::move(what), .first_file = row.file, .first_row = row.number});
      ++found->rows;
    }
  return out;
}

std::vector<std::string> warnings_of(const Dataset& data, const DataConfig& config) {
  std::vector<std::string> out;
  for (const RowOddity& oddity : data.oddities) {
    const bool cut = data.train_counts.truncated > 0 &&
                     (oddity.what == kAnswerWithoutEnd || oddity.what == kTextWithoutEnd);
    out.push_back(cat(
        "warning: ", oddity.rows, " of ", data.train_counts.kept,
        " rows to train on: ", oddity.what, "; the first is ",
        printable(data.files[std::size_t(oddity.first_file)].path, 512), ": row ",
        oddity.first_row + 1,
        cut ? cat("; data.max_length ", config.max_length,
                  " cut it off, so where to stop is not learnt there: raise it (the longest row "
                  "has ",
                  data.train_counts.longest, " tokens), or set data.truncation: drop")
            : ""));
  }
  return out;
}

}  // namespace elenchus
