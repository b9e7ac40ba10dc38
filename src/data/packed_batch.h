#pragma once
// Rows of text as the model takes them: tokens end to end, no padding.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace elenchus {

/// One conversation or text as tokens.
struct TokenizedRow {
  std::int64_t number = 0;  ///< row in its file, from 0
  int file = 0;             ///< index into the list of files
  std::vector<TokenId> ids;
  std::vector<std::uint8_t>
      trained;              ///< 1: this token is a target (predicted from the one before it)
  std::int64_t label = -1;  ///< the row's class: the one target, predicted from its last token
  /// Targets of the row.
  std::int64_t trained_count() const {
    if (label >= 0) return 1;
    std::int64_t n = 0;
    for (const auto t : trained) n += t;
    return n;
  }
};

/// One micro-batch on the host. N tokens in S sequences.
struct PackedBatch {
  std::vector<std::int32_t> tokens;       ///< [N]
  std::vector<std::int32_t> positions;    ///< [N] place in its own sequence
  std::vector<std::int32_t> starts;       ///< [S+1] first token of each sequence; the last is N
  std::vector<std::int32_t> target_rows;  ///< [M] rows that predict a token or class, ascending
  std::vector<std::int32_t> labels;       ///< [M] the token or class each of them should predict
  std::vector<std::int64_t> rows;         ///< [S] index into the data set of each sequence
};

/// The rows lie end to end, each a sequence of its own. A sequence's first token is never a target;
/// a row with a class has its last token predict that.
PackedBatch pack(std::span<const TokenizedRow* const> rows, std::span<const std::int64_t> indices);

/// The micro-batches of a run, as a function of their number: nothing to save but that number.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual std::int64_t batches_per_epoch() const = 0;
  /// Micro-batch `index` of epoch `epoch`.
  virtual PackedBatch batch(std::int64_t epoch, std::int64_t index) const = 0;
  /// Largest number of tokens, and of targets, of any micro-batch of any epoch (an upper bound).
  virtual std::int64_t max_tokens() const = 0;
  virtual std::int64_t max_targets() const = 0;
  /// Rows of one epoch, and a hash of all that decides the batches (files, tokens, order): compared
  /// on resume.
  virtual std::int64_t rows() const = 0;
  virtual std::string fingerprint() const = 0;
};

}  // namespace elenchus
