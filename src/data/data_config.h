#pragma once
// What a recipe says of its data.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"

namespace elenchus {

struct ConfigNode;
class Json;

enum class Truncation { drop, truncate, error, proportional };
template <>
struct EnumNames<Truncation> {
  static constexpr std::string_view names[] = {"drop", "truncate", "error", "proportional"};
};
enum class Sampling { random, sequential };
template <>
struct EnumNames<Sampling> {
  static constexpr std::string_view names[] = {"random", "sequential"};
};
enum class BadRows { error, skip };
template <>
struct EnumNames<BadRows> {
  static constexpr std::string_view names[] = {"error", "skip"};
};
enum class SystemRole { error, merge_into_user };
template <>
struct EnumNames<SystemRole> {
  static constexpr std::string_view names[] = {"error", "merge_into_user"};
};

enum class Turns { joined, separate };
template <>
struct EnumNames<Turns> {
  static constexpr std::string_view names[] = {"joined", "separate"};
};

/// A file to train on: its path alone, or {path: FILE, weight: 2}.
struct DataSource {
  static constexpr bool kHasFields = true;
  DataSource() = default;
  DataSource(std::string file_path, double file_weight = 1)
      : path(std::move(file_path)), weight(file_weight) {}
  bool operator==(const DataSource&) const = default;
  std::string path;
  double weight = 1;

  template <class Self, class V>
  static void fields(Self& s, V& v) {
    v(Field{"path", "a file of rows"}, s.path);
    v(Field{"weight",
            "how often an epoch takes each of its rows to train on: 2 twice, 0.5 half of them"},
      s.weight);
  }
};
/// As field_visitors.h has them for other types.
void read_value(const ConfigNode& node, std::string_view key, DataSource& source);
Json write_value(const DataSource& source);

struct DataConfig {
  static constexpr bool kHasFields = true;
  std::vector<DataSource> train_file;
  std::vector<std::string> eval_file;
  std::string format = "auto";
  std::string text_column = "text";
  std::string label_column = "label";
  std::optional<std::string> text_template;
  Turns turns = Turns::joined;
  bool swap_answers = false;
  std::optional<int> folds, fold;
  double train_fraction = 0.8;
  std::optional<int> max_eval_samples;
  int max_length = 1024;
  Truncation truncation = Truncation::drop;
  bool assistant_only_loss = true;
  bool mask_history = false;
  bool packing = false;
  std::optional<int> pad_to_multiple_of;
  Sampling sampling = Sampling::random;
  BadRows bad_rows = BadRows::error;
  double bad_rows_limit = 0.01;
  SystemRole system_role = SystemRole::error;
  std::optional<std::string> chat_template_path;
  std::optional<std::int64_t> data_seed;

  template <class Self, class V>
  static void fields(Self& s, V& v) {
    v(Field{"train_file",
            "a file of rows, or a list of files; {path: FILE, weight: 2} takes its rows twice an "
            "epoch, weight: 0.5 half of them"},
      s.train_file);
    v(Field{"eval_file", "rows to evaluate on; else a split of train_file"}, s.eval_file);
    v(Field{"format",
            "auto, messages, prompt_completion, alpaca, sharegpt or text; of a classifier auto, "
            "arena or classification"},
      s.format);
    v(Field{"text_column", "classification: the column of the text", {"dataset_text_field"}},
      s.text_column);
    v(Field{"label_column", "classification: the column of the class"}, s.label_column);
    v(Field{"text_template", "text of a row with {column} in place of values"}, s.text_template);
    v(Field{"turns",
            "arena: joined by a space in one text, or separate: the template for each turn"},
      s.turns);
    v(Field{"swap_answers", "arena: train on every row a second time with A and B exchanged"},
      s.swap_answers);
    v(Field{"folds",
            "classification: cut the rows into so many parts with equal shares of classes"},
      s.folds);
    v(Field{"fold", "the part, from 0, to evaluate on; the others are trained on"}, s.fold);
    v(Field{"train_fraction",
            "share of a seeded random permutation to train on; 1 trains on every row"},
      s.train_fraction);
    v(Field{"max_eval_samples", "evaluate on at most so many rows"}, s.max_eval_samples);
    v(Field{"max_length",
            "longest row, in tokens",
            {"max_seq_length", "sequence_len", "cutoff_len"}},
      s.max_length);
    v(Field{"truncation",
            "what happens to longer rows: drop, truncate or error; of a classifier also "
            "proportional: every value of the text keeps its share; counted and reported"},
      s.truncation);
    v(Field{"assistant_only_loss",
            "train on the assistant's turns only; false trains on every token"},
      s.assistant_only_loss);
    v(Field{"mask_history",
            "with assistant_only_loss: train on the last assistant turn only, not on earlier ones"},
      s.mask_history);
    v(Field{"packing", "fill sequences of max_length with several rows, no attention between them"},
      s.packing);
    v(Field{"pad_to_multiple_of", "accepted: rows lie end to end and no padding is computed"},
      s.pad_to_multiple_of);
    v(Field{"sampling", "random, or sequential: rows in file order", {"train_sampling_strategy"}},
      s.sampling);
    v(Field{"bad_rows", "error, or skip up to bad_rows_limit"}, s.bad_rows);
    v(Field{"bad_rows_limit", "largest share of rows that may be skipped"}, s.bad_rows_limit);
    v(Field{"system_role",
            "where the template refuses a system message: error, or merge_into_user"},
      s.system_role);
    v(Field{"chat_template_path", "a Jinja file to use in place of the model's chat template"},
      s.chat_template_path);
    v(Field{"data_seed", "seed of split and order; else training.seed"}, s.data_seed);
  }
};

}  // namespace elenchus
