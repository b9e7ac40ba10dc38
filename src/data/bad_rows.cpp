#include "data/bad_rows.h"

#include <cmath>

#include "base/file.h"

namespace elenchus {
namespace {

constexpr std::size_t kNamedRows = 20;

}  // namespace

std::string place_text(std::span<const DataFile> files, const RowPlace& place) {
  return cat(printable(files[std::size_t(place.file)].path, 512), ": row ", place.number + 1,
             " (line ", place.line, ")");
}

void add_bad_row(BadRowCounts& bad, std::span<const DataFile> files, const RowPlace& place,
                 const RowError& error) {
  ++bad.rows;
  ++bad.by_code[error.code];
  if (bad.first.size() < kNamedRows)
    bad.first.push_back(cat(place_text(files, place), ": ", error.what(), " [", error.code, "]"));
}

std::string counts_text(const BadRowCounts& bad) {
  std::string out;
  for (const auto& [code, rows] : bad.by_code) out += cat(out.empty() ? "" : ", ", code, " ", rows);
  return out;
}

void check_bad_rows(const BadRowCounts& bad, std::int64_t all_rows, const DataConfig& config) {
  if (bad.rows == 0) return;
  const bool skip = config.bad_rows == BadRows::skip;
  const bool few = double(bad.rows) <= config.bad_rows_limit * double(all_rows);
  if (skip && few) return;
  std::string text = bad.first.front();
  for (std::size_t i = 1; i < bad.first.size(); ++i) text += "\n" + bad.first[i];
  if (bad.rows > std::int64_t(bad.first.size()))
    text += cat("\nand ", bad.rows - std::int64_t(bad.first.size()), " more");
  text += cat("\n", bad.rows, " of ", all_rows, " rows cannot be used (", counts_text(bad), "). ");
  // Rounded up, so that the limit that is named will do.
  const double share = std::ceil(1e4 * double(bad.rows) / double(all_rows)) / 1e4;
  if (bad.rows == all_rows)
    text += "Correct them";
  else if (few)
    text += "Correct them, or set data.bad_rows: skip to leave them out";
  else
    text +=
        cat(skip ? "That is more than data.bad_rows_limit: " : "Correct them. To leave them out ",
            skip ? cat(config.bad_rows_limit, " allows; correct them, or set it to ", share)
                 : cat("set data.bad_rows: skip and data.bad_rows_limit: ", share,
                       "; skip alone leaves out up to ", 100 * config.bad_rows_limit, " %"));
  throw InputError(text);
}

}  // namespace elenchus
