#include "data/inspect.h"

#include <algorithm>

#include "base/file.h"
#include "data/row_checks.h"

namespace elenchus {
namespace {

constexpr std::string_view kGreen = "\x1b[32m", kBold = "\x1b[1m", kYellow = "\x1b[33m",
                           kRed = "\x1b[31m", kPlain = "\x1b[0m";

class Writer {
 public:
  Writer(const RenderRules& rules, const InspectStyle& style) : rules_(rules), style_(style) {}
  std::string take() { return std::move(out_); }
  void text(const std::string& text) { out_ += text; }
  void files(const Dataset& dataset);
  void histogram(const std::vector<std::int64_t>& lengths, const DataConfig& config);
  void warnings(const Dataset& dataset, const DataConfig& config);
  void row(const TokenizedRow& row, const Dataset& dataset);

 private:
  void painted(std::string_view colour, std::string_view text);
  void tokens(const TokenizedRow& row);

  const RenderRules& rules_;
  const InspectStyle& style_;
  std::string out_;
};

/// Whether a token is trained on; of a classifier's row none is.
bool trained(const TokenizedRow& row, std::size_t token) {
  return row.label < 0 && row.trained[token] != 0;
}

constexpr std::size_t kEscapedBytes = 4;  // \x1b in place of a byte

/// Text with line breaks as they are and other control characters escaped.
std::string shown(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t line = std::min(text.find('\n'), text.size());
    out += printable(text.substr(0, line), kEscapedBytes * line + kEscapedBytes);
    if (line == text.size()) break;
    out += '\n';
    text.remove_prefix(line + 1);
  }
  return out;
}

void Writer::painted(std::string_view colour, std::string_view text) {
  out_ += style_.colour ? cat(colour, text, kPlain) : std::string(text);
}

void Writer::files(const Dataset& dataset) {
  for (const DataFile& file : dataset.files)
    out_ += cat(printable(file.path, 512), ": ", file.rows, " rows, format ",
                file.format.empty() ? "unknown" : file.format, "\n");
}

/// At most ten bars from the shortest row to the longest, each of as many lengths; what is longer
/// than max_length is said beside them.
void Writer::histogram(const std::vector<std::int64_t>& lengths, const DataConfig& config) {
  constexpr std::int64_t kBars = 10, kWidth = 40;
  if (lengths.empty()) return;
  const auto [shortest, longest] = std::ranges::minmax(lengths);
  const std::int64_t step = (longest - shortest) / kBars + 1;
  std::vector<std::int64_t> counts(std::size_t(kBars), 0);
  for (const std::int64_t length : lengths) ++counts[std::size_t((length - shortest) / step)];
  const std::int64_t most = std::max<std::int64_t>(1, std::ranges::max(counts));
  out_ += cat("lengths of the training rows in tokens, before any was left out (max_length ",
              config.max_length, ")\n");
  for (std::int64_t bar = 0; shortest + bar * step <= longest; ++bar) {
    const std::int64_t count = counts[std::size_t(bar)], first = shortest + bar * step;
    const std::string range = step == 1 ? std::to_string(first) : cat(first, "-", first + step - 1);
    const auto pad = std::size_t(std::max<std::int64_t>(0, 13 - std::int64_t(range.size())));
    out_ += cat("  ", std::string(pad, ' '), range, " ",
                std::string(std::size_t((count * kWidth + most - 1) / most), '#'),
                count > 0 ? " " : "", count);
    if (count > 0 && first > config.max_length) painted(kYellow, " longer than max_length");
    out_ += '\n';
  }
}

void Writer::tokens(const TokenizedRow& row) {
  for (std::size_t begin = 0; begin < row.ids.size();) {
    std::size_t end = begin + 1;
    while (end < row.ids.size() && trained(row, end) == trained(row, begin)) ++end;
    // A run of tokens may begin or end inside a character; with_replacement marks that place.
    std::string bytes;
    TextStream stream;
    for (std::size_t i = begin; i < end; ++i)
      bytes += stream.push(rules_.tokenizer.piece_bytes(row.ids[i]));
    bytes += stream.finish();
    if (!trained(row, begin)) {
      out_ += shown(bytes);
    } else if (style_.colour) {
      painted(kGreen, shown(bytes));
    } else {
      out_ += cat("[[", shown(bytes), "]]");
    }
    begin = end;
  }
  out_ += "\nids:";
  for (std::size_t i = 0; i < row.ids.size(); ++i) {
    out_ += ' ';
    const std::string id = std::to_string(row.ids[i]);
    if (!trained(row, i)) {
      out_ += id;
    } else if (style_.colour) {
      painted(kGreen, id);
    } else {
      out_ += id + "*";
    }
  }
  out_ += '\n';
}

/// What is odd about any training row, and why training would stop.
void Writer::warnings(const Dataset& dataset, const DataConfig& config) {
  for (const std::string& warning : warnings_of(dataset, config)) {
    painted(kYellow, warning);
    out_ += '\n';
  }
  for (const std::string& fault : dataset.faults) {
    painted(kRed, "training would stop: " + fault);
    out_ += '\n';
  }
}

void Writer::row(const TokenizedRow& row, const Dataset& dataset) {
  painted(kBold,
          cat("\n--- ", printable(dataset.files[std::size_t(row.file)].path, 512), ": row ",
              row.number + 1, ", ", row.ids.size(), " tokens, ",
              row.label < 0 ? cat(row.trained_count(), " trained on")
                            : cat("class ", row.label, " (",
                                  printable(dataset.classes[std::size_t(row.label)].name), ")")));
  out_ += '\n';
  tokens(row);
  for (const std::string& oddity : row_oddities(row, rules_)) {
    painted(kYellow, "warning: " + oddity);
    out_ += '\n';
  }
}

}  // namespace

std::string inspect_text(const Dataset& dataset, const DataConfig& config, const RenderRules& rules,
                         const InspectStyle& style) {
  Writer writer(rules, style);
  writer.files(dataset);
  writer.text(describe(dataset, config));
  writer.histogram(dataset.train_lengths, config);
  writer.warnings(dataset, config);
  if (dataset.classes.empty())
    writer.text(style.colour ? cat("tokens trained on are ", kGreen, "green", kPlain, "\n")
                             : "tokens trained on are between [[ and ]], their ids have a *\n");
  const auto count = std::min(style.rows, std::int64_t(dataset.train.size()));
  for (std::int64_t i = 0; i < count; ++i) writer.row(dataset.train[std::size_t(i)], dataset);
  return writer.take();
}

}  // namespace elenchus
