#pragma once
// Splits normalised text into the pieces that are merged on their own.

#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "text/aligned_text.h"
#include "text/split.h"
#include "text/unicode.h"

namespace elenchus {

/// A text, and the pieces of it that are left.
struct PieceList {
  AlignedText text;
  std::vector<TextRange> pieces;  // in order; none empty
};

/// The `pre_tokenizer` of tokenizer.json: ByteLevel (as the last part), Split, Metaspace, Digits,
/// Punctuation, Whitespace, WhitespaceSplit and Sequences of them.
class PreTokenizer {
 public:
  /// Leaves text whole.
  PreTokenizer() = default;
  /// From the JSON value, which may be null. InputError: a part that is unknown or out of place, by
  /// name.
  static PreTokenizer from_json(const Json& pre_tokenizer, const std::string& what);
  PieceList apply(AlignedText text, const CharClassTable& classes) const;
  /// Whether pieces are bytes, spelled in the vocabulary by byte_alphabet.h.
  bool byte_level() const { return byte_level_; }

 private:
  struct Split {
    SplitPattern pattern;
    SplitBehavior behavior;
  };
  struct Metaspace {
    std::string replacement;
    enum class Prepend { always, first, never } prepend;
    bool split;
  };
  struct PrefixSpace {};
  using Step = std::variant<Split, Metaspace, PrefixSpace>;

  void add(const Json& pre_tokenizer, const std::string& what);
  void add_split(const Json& pre_tokenizer, const std::string& what);
  void add_metaspace(const Json& pre_tokenizer, const std::string& what);
  void add_byte_level(const Json& pre_tokenizer, const std::string& what);
  static void run(const Split&, PieceList&, const CharClassTable&);
  static void run(const Metaspace&, PieceList&, const CharClassTable&);
  static void run(const PrefixSpace&, PieceList&, const CharClassTable&);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace elenchus
