#include "data/inspect.h"

#include <algorithm>
#include <map>

#include "base/file.h"

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
  void warnings(const Dataset& dataset);
  void row(const TokenizedRow& row, const Dataset& dataset);

 private:
  void painted(std::string_view colour, std::string_view text);
  void tokens(const TokenizedRow& row);
  std::vector<std::string> oddities(const TokenizedRow& row) const;

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

/// Ten bars, each of so many lengths; what is longer than max_length is said beside them.
void Writer::histogram(const std::vector<std::int64_t>& lengths, const DataConfig& config) {
  constexpr std::int64_t kBars = 10, kWidth = 40;
  if (lengths.empty()) return;
  const std::int64_t longest = std::max<std::int64_t>(1, std::ranges::max(lengths));
  const std::int64_t step = (longest + kBars - 1) / kBars;
  std::vector<std::int64_t> counts(std::size_t(kBars), 0);
  for (const std::int64_t length : lengths)
    ++counts[std::size_t(std::max<std::int64_t>(length - 1, 0) / step)];
  const std::int64_t most = std::max<std::int64_t>(1, std::ranges::max(counts));
  out_ += cat("lengths of the training rows in tokens, before any was left out (max_length ",
              config.max_length, ")\n");
  for (std::int64_t bar = 0; bar * step < longest; ++bar) {
    const std::int64_t count = counts[std::size_t(bar)];
    const std::string range =
        step == 1 ? std::to_string(bar + 1) : cat(bar * step + 1, "-", (bar + 1) * step);
    const auto pad = std::size_t(std::max<std::int64_t>(0, 13 - std::int64_t(range.size())));
    out_ += cat("  ", std::string(pad, ' '), range, " ",
                std::string(std::size_t((count * kWidth + most - 1) / most), '#'),
                count > 0 ? " " : "", count);
    if (count > 0 && bar * step >= config.max_length) painted(kYellow, " longer than max_length");
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

std::vector<std::string> Writer::oddities(const TokenizedRow& row) const {
  std::vector<std::string> out;
  if (row.label >= 0) return out;
  if (row.trained_count() == 0) out.push_back("no token is trained on");
  const auto is_bos = [&](TokenId id) { return id == rules_.bos; };
  if (std::ranges::adjacent_find(
          row.ids, [&](TokenId a, TokenId b) { return is_bos(a) && is_bos(b); }) != row.ids.end())
    out.push_back("two BOS tokens in a row");
  bool in_turn = false, ended = true;
  for (std::size_t i = 0; i <= row.ids.size(); ++i) {
    const bool trained = i < row.ids.size() && row.trained[i];
    if (in_turn && !trained && !ended) {
      out.push_back("an answer without an end (EOS or end-of-turn token)");
      break;
    }
    if (trained) ended = ends_turn(rules_, row.ids[i]) || (in_turn && ended);
    in_turn = trained;
  }
  return out;
}

/// What is odd about any training row, how often, and where first.
void Writer::warnings(const Dataset& dataset) {
  std::map<std::string, std::pair<std::int64_t, const TokenizedRow*>> found;
  for (const TokenizedRow& row : dataset.train)
    for (std::string& oddity : oddities(row)) {
      auto& [count, first] = found[std::move(oddity)];
      if (count++ == 0) first = &row;
    }
  for (const auto& [oddity, where] : found) {
    painted(kYellow, cat("warning: ", where.first, " of ", dataset.train.size(), " rows: ", oddity,
                         "; the first is row ", where.second->number + 1, " of ",
                         printable(dataset.files[std::size_t(where.second->file)].path, 512)));
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
  for (const std::string& oddity : oddities(row)) {
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
  writer.warnings(dataset);
  if (dataset.classes.empty())
    writer.text(style.colour ? cat("tokens trained on are ", kGreen, "green", kPlain, "\n")
                             : "tokens trained on are between [[ and ]], their ids have a *\n");
  const auto count = std::min(style.rows, std::int64_t(dataset.train.size()));
  for (std::int64_t i = 0; i < count; ++i) writer.row(dataset.train[std::size_t(i)], dataset);
  return writer.take();
}

}  // namespace elenchus
