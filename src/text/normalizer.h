#pragma once
// What a tokenizer does to text before it is split: Unicode normal forms, replacements, stripping.

#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "text/aligned_text.h"
#include "text/normal_form.h"
#include "text/split.h"
#include "text/unicode.h"

namespace elenchus {

/// The `normalizer` of tokenizer.json: NFC, NFD, NFKC, NFKD, Replace, Prepend, Strip, Lowercase,
/// StripAccents and Sequences of them.
class Normalizer {
 public:
  /// Does nothing.
  Normalizer() = default;
  /// From the JSON value, which may be null. InputError: a part that is unknown, by name.
  static Normalizer from_json(const Json& normalizer, const std::string& what);
  /// Characters that normal forms join or reorder stand for the place where the change begins.
  AlignedText apply(AlignedText text, const CharClassTable& classes) const;
  bool does_nothing() const { return steps_.empty(); }

 private:
  struct Replace {
    SplitPattern pattern;
    std::string content;
  };
  struct Prepend {
    std::string text;
  };
  struct Strip {
    bool left, right;
  };
  struct Lowercase {};
  struct StripAccents {};
  using Step = std::variant<NormalForm, Replace, Prepend, Strip, Lowercase, StripAccents>;

  void add(const Json& normalizer, const std::string& what);
  static AlignedText run(const NormalForm&, AlignedText, const CharClassTable&);
  static AlignedText run(const Replace&, AlignedText, const CharClassTable&);
  static AlignedText run(const Prepend&, AlignedText, const CharClassTable&);
  static AlignedText run(const Strip&, AlignedText, const CharClassTable&);
  static AlignedText run(const Lowercase&, AlignedText, const CharClassTable&);
  static AlignedText run(const StripAccents&, AlignedText, const CharClassTable&);

  std::vector<Step> steps_;
};

}  // namespace elenchus
