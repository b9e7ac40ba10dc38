#pragma once
// From data files to tokenized rows: read, parse, render, split, and count what was left out.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/conversation.h"
#include "data/data_config.h"
#include "data/packed_batch.h"
#include "data/render.h"

namespace elenchus {

/// What became of the rows of one part.
struct RowCounts {
  std::int64_t kept = 0;
  std::int64_t too_long = 0;                    ///< dropped: longer than max_length
  std::int64_t truncated = 0;                   ///< cut to max_length and kept
  std::int64_t nothing_to_train = 0;            ///< dropped: no trained token was left
  std::int64_t cut_off = 0;                     ///< those of nothing_to_train that truncation cut
  std::int64_t tokens = 0, trained_tokens = 0;  ///< of the rows kept
  std::int64_t longest = 0;  ///< tokens of the longest row, dropped ones included
  std::string first_too_long, first_untrained;  ///< places of the first rows so dropped
};

/// Something odd about rows that are trained on all the same: see row_checks.h.
struct RowOddity {
  std::string what;
  std::int64_t rows = 0;
  int first_file = 0;  ///< of the first such row: index into the files, and row in its file from 0
  std::int64_t first_row = 0;
};

/// Rows that could not be used.
struct BadRowCounts {
  std::int64_t rows = 0;
  std::map<std::string, std::int64_t> by_code;
  std::vector<std::string> first;  ///< messages of the first 20, with file, row and line
};

struct DataFile {
  std::string path;
  std::string sha256;
  std::string format;  ///< the format of its rows
  std::int64_t rows = 0;
  double weight = 1;          ///< data.train_file
  std::int64_t an_epoch = 0;  ///< rows that an epoch takes of it, where some file has a weight
};

/// A class of a classifier.
struct ClassName {
  std::string name;
  bool given = true;  ///< the data names it; else it is LABEL_<number> and no row has it
};

struct Dataset {
  std::vector<TokenizedRow> train;  ///< in file order
  std::vector<TokenizedRow> eval;   ///< in the order of the permutation, or of eval_file
  /// The conversation of each row of `eval`: RowRenderer::reply_task() says what to reply to.
  std::vector<Conversation> eval_conversations;
  RowCounts train_counts, eval_counts;
  std::vector<std::int64_t> train_lengths;  ///< tokens of each training row, those left out, too
  BadRowCounts bad;
  std::vector<DataFile> files;     ///< train files, then eval files
  std::vector<ClassName> classes;  ///< of a classifier, by number
  /// Of a classifier: rows without anything to classify, left out, by reason; rows in which text
  /// that is no Unicode was replaced.
  std::map<std::string, std::int64_t> left_out;
  std::int64_t mended = 0;
  std::vector<RowOddity> oddities;
  /// With Faults::tell: what load_dataset would have thrown.
  std::vector<std::string> faults;
};

/// What load_dataset does about rows that cannot be used as they are.
enum class Faults { refuse, tell };

/// Reads and renders everything that `config` names. `seed` decides the split, and which rows a
/// weight below 1 takes, unless data_seed is given. UserError: no train_file, an unknown format.
/// InputError: a file that cannot be read, bad rows (all of them are counted, the first named),
/// rows longer than max_length with truncation: error, more than half of a part's rows dropped as
/// longer, more than 5 % of them without a token to train on, or no row to train on. (Parts that
/// are split from the same files count as one.)
Dataset load_dataset(const DataConfig& config, const RowRenderer& renderer, std::uint64_t seed,
                     Faults faults = Faults::refuse);

/// InputError: so many rows of a part were left out that the settings are wrong, not the rows.
void check_left_out(std::string_view part, const RowCounts& counts, const DataConfig& config);

/// Takes every training row as often as its file's weight says; `seed` decides which rows a part of a
/// file is.
void mix_by_weight(Dataset& data, std::uint64_t seed);

/// Runs a check; its error is thrown, or told in data.faults.
template <class Check>
void run_check(Dataset& data, Faults faults, const Check& check) {
  if (faults == Faults::refuse) return check();
  try {
    check();
  } catch (const UserError& error) {
    data.faults.emplace_back(error.what());
  }
}

/// One paragraph for the log: rows kept, dropped, cut and skipped, and why.
std::string describe(const Dataset& dataset, const DataConfig& config);

}  // namespace elenchus
