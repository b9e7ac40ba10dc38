#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/file.h"
#include "base/rng.h"
#include "data/bad_rows.h"
#include "data/batch_source.h"
#include "data/classification.h"
#include "data/formats/format.h"
#include "data/row_checks.h"
#include "data/row_source.h"
#include "data/split.h"

namespace elenchus {
namespace {

constexpr double kMostTooLong = 0.5;
constexpr double kMostWithoutTraining = 0.05;

/// Fills a Dataset step by step.
class Loader {
 public:
  Loader(const DataConfig& config, const RowRenderer& renderer, Faults faults)
      : config_(config),
        renderer_(renderer),
        faults_(faults),
        columns_{config.text_column, config.text_template},
        format_(find_data_format(config.format)) {}

  std::vector<Conversation> read_files(std::span<const DataSource> sources);
  /// Rows by conversation, at most `limit` of them; those kept are moved into `kept` if given.
  std::vector<TokenizedRow> render_rows(std::vector<Conversation>& conversations,
                                        std::optional<std::int64_t> limit, RowCounts& counts,
                                        std::vector<Conversation>* kept);
  template <class Check>
  void check(const Check& run) {
    run_check(data_, faults_, run);
  }
  void check_bad() const { check_bad_rows(data_.bad, rows_read_, config_); }
  Dataset& data() { return data_; }

 private:
  void read_file(const DataSource& source, std::vector<Conversation>& out);
  bool fit(TokenizedRow& row, const Conversation& conversation, RowCounts& counts);

  const DataConfig& config_;
  const RowRenderer& renderer_;
  const Faults faults_;
  RowColumns columns_;
  const DataFormat* format_;
  std::int64_t rows_read_ = 0;
  Dataset data_;
};

std::vector<Conversation> Loader::read_files(std::span<const DataSource> sources) {
  std::vector<Conversation> out;
  for (const DataSource& source : sources) read_file(source, out);
  return out;
}

void Loader::read_file(const DataSource& source, std::vector<Conversation>& out) {
  const std::string& path = source.path;
  const std::unique_ptr<RowSource> reader = open_rows(path);
  const int file = int(data_.files.size());
  data_.files.push_back({.path = path, .sha256 = {}, .format = {}, .weight = source.weight});
  const DataFormat* format = format_;
  for (;;) {
    const std::int64_t before = reader->place().number;
    try {
      const std::optional<Json> row = reader->next();
      if (!row) break;
      if (!format) format = &recognise_format(*row, columns_);
      Conversation conversation = format->parse(*row, columns_);
      conversation.place = reader->place();
      conversation.place.file = file;
      out.push_back(std::move(conversation));
    } catch (const RowError& error) {
      RowPlace place = reader->place();
      place.file = file;
      expect(data_.files.back().rows == 0 || place.number > before, "a row is read once");
      add_bad_row(data_.bad, data_.files, place, error);
    }
    ++rows_read_;
    ++data_.files.back().rows;
  }
  DataFile& entry = data_.files.back();
  entry.sha256 = reader->sha256();
  if (format) entry.format = format->name;
  if (entry.rows == 0)
    throw InputError(cat(printable(path, 512), ": holds no rows, expected at least one"));
}

bool Loader::fit(TokenizedRow& row, const Conversation& conversation, RowCounts& counts) {
  const auto length = std::int64_t(row.ids.size());
  counts.longest = std::max(counts.longest, length);
  if (length > config_.max_length) {
    if (config_.truncation == Truncation::error)
      check([&] {
        throw InputError(cat(place_text(data_.files, conversation.place), ": has ", length,
                             " tokens, data.max_length is ", config_.max_length,
                             "; raise it, or set data.truncation to drop or truncate"));
      });
    if (config_.truncation != Truncation::truncate) {
      if (counts.too_long++ == 0)
        counts.first_too_long = place_text(data_.files, conversation.place);
      return false;
    }
    row.ids.resize(std::size_t(config_.max_length));
    row.trained.resize(std::size_t(config_.max_length));
    ++counts.truncated;
  }
  // Nothing comes before the first token, so it cannot be predicted.
  if (!row.trained.empty()) row.trained.front() = 0;
  if (row.trained_count() > 0) return true;
  if (length > config_.max_length) {
    --counts.truncated;
    ++counts.cut_off;
  }
  if (counts.nothing_to_train++ == 0)
    counts.first_untrained = place_text(data_.files, conversation.place);
  return false;
}

std::vector<TokenizedRow> Loader::render_rows(std::vector<Conversation>& conversations,
                                              std::optional<std::int64_t> limit, RowCounts& counts,
                                              std::vector<Conversation>* kept) {
  std::vector<TokenizedRow> out;
  for (Conversation& conversation : conversations) {
    if (limit && counts.kept >= *limit) break;
    try {
      TokenizedRow row = renderer_.render(conversation);
      if (!kept) data_.train_lengths.push_back(std::int64_t(row.ids.size()));
      if (!fit(row, conversation, counts)) continue;
      ++counts.kept;
      counts.tokens += std::int64_t(row.ids.size());
      counts.trained_tokens += row.trained_count();
      out.push_back(std::move(row));
      if (kept) kept->push_back(std::move(conversation));
    } catch (const RowError& error) {
      add_bad_row(data_.bad, data_.files, conversation.place, error);
    }
  }
  return out;
}

/// Takes the evaluation part out of `all`; both parts as load_dataset() describes them.
std::vector<Conversation> split_off(std::vector<Conversation>& all, double train_fraction,
                                    std::uint64_t seed) {
  const RowSplit split = split_rows(std::int64_t(all.size()), train_fraction, seed);
  const auto take = [&](const std::vector<std::int64_t>& rows) {
    std::vector<Conversation> out;
    for (const std::int64_t row : rows) out.push_back(std::move(all[std::size_t(row)]));
    return out;
  };
  std::vector<Conversation> train = take(split.train), eval = take(split.eval);
  all = std::move(train);
  return eval;
}

std::string part_text(std::string_view name, const RowCounts& counts, const DataConfig& config) {
  std::string out =
      cat(name, ": ", counts.kept, " rows, ", counts.tokens, " tokens, ", counts.trained_tokens,
          " of them trained on; the longest row has ", counts.longest, " tokens\n");
  if (counts.too_long > 0)
    out += cat("  dropped ", counts.too_long, " rows longer than max_length ", config.max_length,
               "; the first is ", counts.first_too_long, "\n");
  if (counts.truncated > 0)
    out += cat("  cut ", counts.truncated, " rows to max_length ", config.max_length, "\n");
  if (counts.nothing_to_train > 0)
    out +=
        cat("  dropped ", counts.nothing_to_train,
            " rows without a token to train on; the first is ", counts.first_untrained,
            counts.cut_off > 0 ? cat("; max_length ", config.max_length, " cut off the answers of ",
                                     counts.cut_off, " of them, raise it\n")
                               : "\n");
  return out;
}

std::string parts_text(const Dataset& dataset, const DataConfig& config) {
  std::string out = part_text("train", dataset.train_counts, config);
  const RowCounts& eval = dataset.eval_counts;
  if (eval.kept + eval.too_long + eval.nothing_to_train > 0) out += part_text("eval", eval, config);
  return out;
}

void check_left_out_of(const Dataset& data, const DataConfig& config) {
  if (!config.eval_file.empty()) {
    check_left_out("data.train_file", data.train_counts, config);
    check_left_out("data.eval_file", data.eval_counts, config);
    return;
  }
  RowCounts all = data.train_counts;
  all.kept += data.eval_counts.kept;
  all.too_long += data.eval_counts.too_long;
  all.nothing_to_train += data.eval_counts.nothing_to_train;
  all.cut_off += data.eval_counts.cut_off;
  all.longest = std::max(all.longest, data.eval_counts.longest);
  if (all.first_too_long.empty()) all.first_too_long = data.eval_counts.first_too_long;
  if (all.first_untrained.empty()) all.first_untrained = data.eval_counts.first_untrained;
  check_left_out("data.train_file", all, config);
}

void check_config(const DataConfig& config) {
  if (config.train_file.empty())
    throw UserError("data.train_file: missing, expected a file of rows or a list of files");
  if (config.max_length < 2)
    throw UserError(cat("data.max_length: found ", config.max_length, ", expected at least 2"));
  if (!(config.train_fraction > 0 && config.train_fraction <= 1))
    throw UserError(cat("data.train_fraction: found ", config.train_fraction,
                        ", expected a share above 0, at most 1"));
}

}  // namespace

void check_left_out(std::string_view part, const RowCounts& counts, const DataConfig& config) {
  const std::int64_t rows = counts.kept + counts.too_long + counts.nothing_to_train;
  if (double(counts.too_long) > kMostTooLong * double(rows))
    throw InputError(cat(part, ": ", counts.too_long, " of ", rows,
                         " rows are longer than data.max_length ", config.max_length,
                         " and would be dropped, expected at most half of them; the first is ",
                         counts.first_too_long, ", the longest has ", counts.longest,
                         " tokens; set data.max_length to ", counts.longest,
                         " to keep all, or data.truncation: truncate"));
  if (double(counts.nothing_to_train) <= kMostWithoutTraining * double(rows)) return;
  const std::string why =
      counts.cut_off == 0
          ? std::string("; give these rows an answer, or take them out")
          : cat("; truncation to data.max_length ", config.max_length, " cut off all of it in ",
                counts.cut_off, " of them; raise data.max_length (the longest row has ",
                counts.longest, " tokens)");
  throw InputError(cat(part, ": ", counts.nothing_to_train, " of ", rows,
                       " rows have no token to train on, expected at most ",
                       100 * kMostWithoutTraining, " %; the first is ", counts.first_untrained,
                       why));
}

void mix_by_weight(Dataset& data, std::uint64_t seed) {
  if (std::ranges::all_of(data.files, [](const DataFile& file) { return file.weight == 1; }))
    return;
  std::vector<std::vector<std::int64_t>> rows_of(data.files.size());
  for (std::size_t i = 0; i < data.train.size(); ++i)
    rows_of[std::size_t(data.train[i].file)].push_back(std::int64_t(i));
  // How often each row is taken; a part of a file is the same in every epoch.
  std::vector<std::int64_t> times(data.train.size());
  for (std::size_t file = 0; file < rows_of.size(); ++file) {
    const auto& rows = rows_of[file];
    const double weight = data.files[file].weight;
    const auto whole = std::int64_t(weight);
    const auto part = std::int64_t(std::llround((weight - double(whole)) * double(rows.size())));
    for (const std::int64_t row : rows) times[std::size_t(row)] = whole;
    const auto order = random_permutation(
        std::int64_t(rows.size()),
        {.seed = seed, .use = RandomUse::split, .site = std::uint32_t(file) + 1});
    for (std::int64_t i = 0; i < part; ++i)
      ++times[std::size_t(rows[std::size_t(order[std::size_t(i)])])];
    data.files[file].an_epoch = whole * std::int64_t(rows.size()) + part;
  }
  std::vector<TokenizedRow> mixed;
  const std::int64_t most = times.empty() ? 0 : std::ranges::max(times);
  for (std::int64_t turn = 0; turn < most; ++turn)
    for (std::size_t i = 0; i < times.size(); ++i)
      if (times[i] > turn) mixed.push_back(data.train[i]);
  data.train = std::move(mixed);
}

Dataset load_dataset(const DataConfig& config, const RowRenderer& renderer, std::uint64_t seed,
                     Faults faults) {
  check_config(config);
  Loader loader(config, renderer, faults);
  Dataset& data = loader.data();
  const std::uint64_t data_seed = config.data_seed ? std::uint64_t(*config.data_seed) : seed;
  std::vector<Conversation> train = loader.read_files(config.train_file);
  const std::vector<DataSource> eval_files(config.eval_file.begin(), config.eval_file.end());
  std::vector<Conversation> eval = loader.read_files(eval_files);
  if (faults == Faults::refuse) loader.check_bad();  // before the work of rendering
  if (config.eval_file.empty()) eval = split_off(train, config.train_fraction, data_seed);
  data.train = loader.render_rows(train, std::nullopt, data.train_counts, nullptr);
  std::optional<std::int64_t> limit;
  if (config.max_eval_samples) limit = *config.max_eval_samples;
  data.eval = loader.render_rows(eval, limit, data.eval_counts, &data.eval_conversations);
  loader.check([&] { loader.check_bad(); });
  loader.check([&] { check_left_out_of(data, config); });
  loader.check([&] {
    if (data.train.empty())
      throw InputError(cat(printable(config.train_file.front().path, 512),
                           ": no row is left to train on",
                           faults == Faults::tell ? "" : "\n" + describe(data, config)));
  });
  data.oddities = count_oddities(data, renderer.rules());
  mix_by_weight(data, data_seed);
  return std::move(data);
}

std::string describe(const Dataset& dataset, const DataConfig& config) {
  std::string out =
      dataset.classes.empty() ? parts_text(dataset, config) : class_parts_text(dataset, config);
  for (const DataFile& file : dataset.files)
    if (file.weight != 1)
      out += cat("mixed: an epoch takes ", file.an_epoch, " rows of ", printable(file.path, 512),
                 " (weight ", file.weight, ")\n");
  if (dataset.bad.rows > 0 && config.bad_rows == BadRows::skip)
    out += cat("skipped ", dataset.bad.rows, " bad rows (", counts_text(dataset.bad),
               "); the first: ", dataset.bad.first.front(), "\n");
  return out;
}

}  // namespace elenchus
