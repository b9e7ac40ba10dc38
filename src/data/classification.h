#pragma once
// From data files to a classifier's rows: read, name the classes, split, tokenize, and count what
// was left out or cut.

#include "data/dataset.h"
#include "data/formats/class_format.h"

namespace elenchus {

/// Makes token rows of classified texts. The tokenizer adds its own special tokens (BOS); those
/// written in a row's values stay text.
class ClassRenderer {
 public:
  /// `config` and `tokenizer` outlive this.
  ClassRenderer(const DataConfig& config, const Tokenizer& tokenizer)
      : config_(config), tokenizer_(tokenizer) {}
  /// The ids of a text at its full length, without a class.
  TokenizedRow render(const ClassifiedText& text) const;
  /// The same in at most max_length tokens: its beginning or, with truncation: proportional, the
  /// whole template with the beginning of every value, each in proportion to its length. Special
  /// tokens stay. Where the template alone is too long, its beginning.
  TokenizedRow render_cut(const ClassifiedText& text) const;

 private:
  struct Tokens;
  Tokens tokens_of(const ClassifiedText& text) const;

  const DataConfig& config_;
  const Tokenizer& tokenizer_;
};

struct ClassificationRules {
  const Tokenizer& tokenizer;
  std::int64_t num_labels = 2;
};

/// Reads everything that `config` names: Dataset's rows have labels and no conversations. Class
/// names come from the format, or from the labels: all of them numbers below num_labels (7 or
/// LABEL_7), or names, which are numbered in sorted order. Parts are split as load_dataset() does,
/// or by folds. UserError and InputError as load_dataset(), and: more classes than num_labels, a
/// column that a CSV file lacks, fewer rows than folds, a row without any token.
Dataset load_classification(const DataConfig& config, const ClassificationRules& rules,
                            std::uint64_t seed, Faults faults = Faults::refuse);

/// Dataset::classes of load_classification(), without making tokens; faulty rows are passed over.
/// None where the rows' labels are needed and their files are not there. UserError and InputError of
/// the files and of the classes themselves.
std::optional<std::vector<ClassName>> read_class_names(const DataConfig& config,
                                                       std::int64_t num_labels);

/// Rows to be classified, in the order of their file.
struct UnlabelledRows {
  std::vector<TokenizedRow> rows;
  std::vector<std::string> ids;  ///< the column "id", or the row's number where there is none
};

/// One file without classes, every row of it, cut to max_length (truncation: drop and error cut the
/// end, for every row wants an answer). InputError with the line: a row that cannot be read, or has
/// no token. With `order` swapped the rows are those of the exchanged answers; UserError unless the
/// format compares answers.
UnlabelledRows load_unlabelled(const std::string& path, const DataConfig& config,
                               const Tokenizer& tokenizer, AnswerOrder order);

/// What describe() says of a classifier's parts: rows, tokens and classes, cut and left out.
std::string class_parts_text(const Dataset& dataset, const DataConfig& config);

}  // namespace elenchus
