#include "data/classification.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>
#include <set>

#include "base/file.h"
#include "data/bad_rows.h"
#include "data/class_names.h"
#include "data/row_source.h"
#include "data/split.h"

namespace elenchus {
namespace {

constexpr std::string_view kNothingToCompare = "both answers null";

/// One row, and the same with its answers exchanged where that is asked for.
struct Example {
  ClassifiedText text;
  std::optional<ClassifiedText> swapped;
  RowPlace place;
  std::int64_t label = -1;
};

/// InputError if a CSV file lacks a column that its rows need.
void check_columns(const RowSource& source, const std::string& path, const ClassFormat& format,
                   const DataConfig& config, Labelled labelled) {
  const auto columns = source.columns();
  if (columns.empty()) return;
  for (const std::string& key : format.keys(config, labelled)) {
    if (std::ranges::find(columns, key) != columns.end()) continue;
    std::string found;
    for (const std::string& name : columns)
      found += cat(found.empty() ? "" : ", ", printable(name));
    throw InputError(cat(printable(path, 512), ": line 1: has no column '", printable(key),
                         "'; found: ", found,
                         format.name == "arena" ? ""
                                                : ". Name the columns in data.text_column, "
                                                  "data.label_column or data.text_template"));
  }
}

/// The format of a file whose first row this is. UserError if the recipe names columns that the
/// format does not look at: they would decide nothing.
const ClassFormat& format_of(const Json& row, const DataConfig& config) {
  const ClassFormat* format = find_class_format(config.format);
  const auto formats = class_formats();
  if (!format)
    format =
        &*std::ranges::find_if(formats, [&](const auto& each) { return each.recognises(row); });
  const DataConfig fallback;
  const auto unused = [&](std::string_view key, const std::string& value,
                          const std::string& usual) {
    if (format->classes.empty() || value == usual) return;
    throw UserError(cat("data.", key, ": found ", printable(value), ", but rows of format ",
                        format->name, " have columns of their own, which count; leave the key out",
                        ", or set data.format: classification to read that column"));
  };
  unused("label_column", config.label_column, fallback.label_column);
  unused("text_column", config.text_column, fallback.text_column);
  return *format;
}

RowError no_token() {
  return RowError("text_no_token",
                  "expected text that gives at least one token, found none: the score is read at a "
                  "row's last token");
}

/// Fills a Dataset step by step.
class Loader {
 public:
  Loader(const DataConfig& config, const ClassificationRules& rules, Faults faults)
      : config_(config), rules_(rules), faults_(faults), renderer_(config, rules.tokenizer) {}

  std::vector<Example> read_files(std::span<const DataSource> sources);
  void name_classes(std::vector<Example>& train, std::vector<Example>& eval);
  std::vector<TokenizedRow> render(std::span<const Example> examples, bool with_swapped,
                                   std::optional<std::int64_t> limit, RowCounts& counts);
  template <class Check>
  void check(const Check& run) {
    run_check(data_, faults_, run);
  }
  void check_bad() {
    check([&] { check_bad_rows(data_.bad, rows_read_, config_); });
  }
  Dataset& data() { return data_; }

 private:
  void read_file(const DataSource& listed, std::vector<Example>& out);
  std::optional<Example> parse(const Json& row) const;
  std::optional<TokenizedRow> fitted(const ClassifiedText& text, const Example& example,
                                     RowCounts& counts);

  const DataConfig& config_;
  const ClassificationRules& rules_;
  const Faults faults_;
  ClassRenderer renderer_;
  const ClassFormat* format_ = nullptr;  // known from the first row on
  std::int64_t rows_read_ = 0;
  Dataset data_;
};

std::vector<Example> Loader::read_files(std::span<const DataSource> sources) {
  std::vector<Example> out;
  for (const DataSource& source : sources) read_file(source, out);
  return out;
}

std::optional<Example> Loader::parse(const Json& row) const {
  auto text = format_->parse(row, config_, Labelled::yes, AnswerOrder::as_given);
  if (!text) return std::nullopt;
  Example example{.text = std::move(*text), .swapped = {}, .place = {}};
  if (config_.swap_answers)
    example.swapped = format_->parse(row, config_, Labelled::yes, AnswerOrder::swapped);
  return example;
}

void Loader::read_file(const DataSource& listed, std::vector<Example>& out) {
  const std::string& path = listed.path;
  const std::unique_ptr<RowSource> source = open_rows(path);
  const int file = int(data_.files.size());
  data_.files.push_back({.path = path, .sha256 = {}, .format = {}, .weight = listed.weight});
  for (bool first = true;; first = false) {
    try {
      const std::optional<Json> row = source->next();
      if (!row) break;
      if (!format_) format_ = &format_of(*row, config_);
      if (first) check_columns(*source, path, *format_, config_, Labelled::yes);
      if (config_.swap_answers && !format_->compares_answers)
        throw UserError(cat("data.swap_answers: rows of format ", format_->name,
                            " have no two answers; expected false"));
      if (std::optional<Example> example = parse(*row)) {
        example->place = source->place();
        example->place.file = file;
        data_.mended += example->text.mended;
        out.push_back(std::move(*example));
      } else {
        ++data_.left_out[std::string(kNothingToCompare)];
      }
    } catch (const RowError& error) {
      RowPlace place = source->place();
      place.file = file;
      add_bad_row(data_.bad, data_.files, place, error);
    }
    ++rows_read_;
    ++data_.files.back().rows;
  }
  DataFile& entry = data_.files.back();
  entry.sha256 = source->sha256();
  if (format_) entry.format = format_->name;
  if (entry.rows == 0)
    throw InputError(cat(printable(path, 512), ": holds no rows, expected at least one"));
}

void Loader::name_classes(std::vector<Example>& train, std::vector<Example>& eval) {
  std::set<std::string> labels;
  for (const auto* part : {&train, &eval})
    for (const Example& example : *part) labels.insert(example.text.label);
  check([&] { data_.classes = classes_of(labels, *format_, rules_.num_labels); });
  if (data_.classes.empty())  // a fault that was told
    for (const std::string& label : labels) data_.classes.push_back({label, true});
  for (std::vector<Example>* part : {&train, &eval})
    std::erase_if(*part, [&](Example& example) {
      example.label = number_of(example.text.label, data_.classes);
      if (example.label < std::int64_t(data_.classes.size())) return false;
      add_bad_row(
          data_.bad, data_.files, example.place,
          RowError("label_out_of_range",
                   cat(config_.label_column, ": found class ", example.label, ", expected 0 to ",
                       rules_.num_labels - 1, " (model.num_labels is ", rules_.num_labels, ")")));
      return true;
    });
}

std::optional<TokenizedRow> Loader::fitted(const ClassifiedText& text, const Example& example,
                                           RowCounts& counts) {
  TokenizedRow row = renderer_.render(text);
  const auto length = std::int64_t(row.ids.size());
  if (length == 0) {
    add_bad_row(data_.bad, data_.files, example.place, no_token());
    return std::nullopt;
  }
  counts.longest = std::max(counts.longest, length);
  if (&counts == &data_.train_counts) data_.train_lengths.push_back(length);
  if (length > config_.max_length) {
    if (config_.truncation == Truncation::error)
      check([&] {
        throw InputError(
            cat(place_text(data_.files, example.place), ": has ", length,
                " tokens, data.max_length is ", config_.max_length,
                "; raise it, or set data.truncation to proportional, truncate or drop"));
      });
    if (config_.truncation == Truncation::drop || config_.truncation == Truncation::error) {
      if (counts.too_long++ == 0) counts.first_too_long = place_text(data_.files, example.place);
      return std::nullopt;
    }
    row = renderer_.render_cut(text);
    ++counts.truncated;
  }
  row.number = example.place.number;
  row.file = example.place.file;
  ++counts.kept;
  ++counts.trained_tokens;
  counts.tokens += std::int64_t(row.ids.size());
  return row;
}

std::vector<TokenizedRow> Loader::render(std::span<const Example> examples, bool with_swapped,
                                         std::optional<std::int64_t> limit, RowCounts& counts) {
  std::vector<TokenizedRow> out;
  const auto add = [&](const ClassifiedText& text, const Example& example, std::int64_t label) {
    if (limit && counts.kept >= *limit) return;
    if (auto row = fitted(text, example, counts)) {
      row->label = label;
      out.push_back(std::move(*row));
    }
  };
  for (const Example& example : examples) {
    add(example.text, example, example.label);
    if (!with_swapped || !example.swapped) continue;
    add(*example.swapped, example, number_of(example.swapped->label, data_.classes));
  }
  return out;
}

void check_folds(const DataConfig& config, std::size_t rows) {
  if (!config.eval_file.empty())
    throw UserError("data.folds: found with data.eval_file, expected only one of them");
  if (std::size_t(*config.folds) > rows)
    throw UserError(
        cat("data.folds: found ", *config.folds, " for ", rows, " rows, expected at most as many"));
}

std::vector<Example> taken(std::vector<Example>& all, const std::vector<std::int64_t>& rows) {
  std::vector<Example> out;
  for (const std::int64_t row : rows) out.push_back(std::move(all[std::size_t(row)]));
  return out;
}

std::vector<std::int64_t> class_counts(std::span<const TokenizedRow> rows, std::size_t classes) {
  std::vector<std::int64_t> counts(classes, 0);
  for (const TokenizedRow& row : rows) ++counts[std::size_t(row.label)];
  return counts;
}

std::string part_text(std::string_view part, std::span<const TokenizedRow> rows,
                      const RowCounts& counts, const Dataset& data, const DataConfig& config) {
  std::string out = cat(part, ": ", counts.kept, " rows, ", counts.tokens,
                        " tokens; the longest row has ", counts.longest, " tokens;");
  const std::vector<std::int64_t> found = class_counts(rows, data.classes.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    if (data.classes[i].given || found[i] > 0)
      out += cat(i > 0 ? ", " : " ", printable(data.classes[i].name), " ", found[i]);
  out += "\n";
  if (counts.too_long > 0)
    out += cat("  dropped ", counts.too_long, " rows longer than max_length ", config.max_length,
               "; the first is ", counts.first_too_long, "\n");
  if (counts.truncated > 0)
    out += cat("  cut ", counts.truncated, " rows to max_length ", config.max_length,
               config.truncation == Truncation::proportional
                   ? ", every value of the text in proportion\n"
                   : " at their end\n");
  return out;
}

}  // namespace

Dataset load_classification(const DataConfig& config, const ClassificationRules& rules,
                            std::uint64_t seed, Faults faults) {
  Loader loader(config, rules, faults);
  std::vector<Example> train = loader.read_files(config.train_file);
  const std::vector<DataSource> eval_files(config.eval_file.begin(), config.eval_file.end());
  std::vector<Example> eval = loader.read_files(eval_files);
  if (!train.empty()) loader.name_classes(train, eval);
  if (faults == Faults::refuse) loader.check_bad();  // before the work of rendering
  const auto data_seed = config.data_seed ? std::uint64_t(*config.data_seed) : seed;
  if (config.eval_file.empty()) {
    if (config.folds) check_folds(config, train.size());
    std::vector<std::int64_t> labels;
    for (const Example& example : train) labels.push_back(example.label);
    const RowSplit split =
        config.folds ? stratified_fold(labels, *config.folds, config.fold.value_or(0), data_seed)
                     : split_rows(std::int64_t(train.size()), config.train_fraction, data_seed);
    eval = taken(train, split.eval);
    train = taken(train, split.train);
  }
  Dataset& data = loader.data();
  data.train = loader.render(train, config.swap_answers, std::nullopt, data.train_counts);
  std::optional<std::int64_t> limit;
  if (config.max_eval_samples) limit = *config.max_eval_samples;
  data.eval = loader.render(eval, false, limit, data.eval_counts);
  loader.check_bad();  // rows without a token are known only now
  loader.check([&] { check_left_out("data.train_file", data.train_counts, config); });
  loader.check([&] { check_left_out("the evaluation rows", data.eval_counts, config); });
  loader.check([&] {
    if (data.train.empty())
      throw InputError(cat(printable(config.train_file.front().path, 512),
                           ": no row is left to train on",
                           faults == Faults::tell ? "" : "\n" + describe(data, config)));
  });
  mix_by_weight(data, data_seed);
  return std::move(data);
}

std::optional<std::vector<ClassName>> read_class_names(const DataConfig& config,
                                                       std::int64_t num_labels) {
  const ClassFormat* format = find_class_format(config.format);
  if (format && !format->classes.empty()) return classes_of({}, *format, num_labels);
  std::vector<std::string> paths;
  for (const DataSource& source : config.train_file) paths.push_back(source.path);
  paths.insert(paths.end(), config.eval_file.begin(), config.eval_file.end());
  std::error_code ignored;
  const auto missing = [&](const auto& path) { return !std::filesystem::exists(path, ignored); };
  if (std::ranges::any_of(paths, missing)) return std::nullopt;
  std::set<std::string> labels;
  format = nullptr;  // known from the first row on
  for (const std::string& path : paths) {
    const std::unique_ptr<RowSource> source = open_rows(path);
    for (bool first = true;; first = false) {
      try {
        const std::optional<Json> row = source->next();
        if (!row) break;
        if (!format) format = &format_of(*row, config);
        if (!format->classes.empty()) return classes_of({}, *format, num_labels);
        if (first) check_columns(*source, path, *format, config, Labelled::yes);
        const auto text = format->parse(*row, config, Labelled::yes, AnswerOrder::as_given);
        if (text) labels.insert(text->label);
      } catch (const RowError&) {  // training says what is wrong with it
      }
    }
  }
  if (!format)
    throw InputError(cat(printable(paths.front(), 512), ": holds no rows, expected at least one"));
  return classes_of(labels, *format, num_labels);
}

UnlabelledRows load_unlabelled(const std::string& path, const DataConfig& config,
                               const Tokenizer& tokenizer, AnswerOrder order) {
  const std::unique_ptr<RowSource> source = open_rows(path);
  const ClassFormat* format = nullptr;
  const ClassRenderer renderer(config, tokenizer);
  UnlabelledRows out;
  for (;;) {
    try {
      const std::optional<Json> row = source->next();
      if (!row) break;
      if (!format) format = &format_of(*row, config);
      if (out.rows.empty()) check_columns(*source, path, *format, config, Labelled::no);
      if (order == AnswerOrder::swapped && !format->compares_answers)
        throw UserError(cat("--average-swapped: rows of format ", format->name,
                            " have no two answers to exchange; leave it out"));
      const auto text = format->parse(*row, config, Labelled::no, order);
      expect(text.has_value(), "a row without a class is never left out");
      TokenizedRow made = renderer.render_cut(*text);
      if (made.ids.empty()) throw no_token();
      made.number = source->place().number;
      out.rows.push_back(std::move(made));
      out.ids.push_back(row->find("id") ? value_text(*row, "id") : cat(out.rows.back().number));
    } catch (const RowError& error) {
      const RowPlace place = source->place();
      throw InputError(cat(printable(path, 512), ": row ", place.number + 1, " (line ", place.line,
                           "): ", error.what(), " [", error.code,
                           "]; every row gets an answer, so correct it or take it out"));
    }
  }
  if (out.rows.empty())
    throw InputError(cat(printable(path, 512), ": holds no rows, expected at least one"));
  return out;
}

std::string class_parts_text(const Dataset& dataset, const DataConfig& config) {
  std::string out = part_text("train", dataset.train, dataset.train_counts, dataset, config);
  if (!dataset.eval.empty())
    out += part_text("eval", dataset.eval, dataset.eval_counts, dataset, config);
  for (const auto& [reason, rows] : dataset.left_out)
    out += cat("left out ", rows, " rows: ", reason, "\n");
  if (dataset.mended > 0)
    out += cat("in ", dataset.mended,
               " rows surrogates without their partner became U+FFFD, for they are no text\n");
  return out;
}

}  // namespace elenchus
