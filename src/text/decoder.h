#pragma once
// From tokens back to text.

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "text/byte_alphabet.h"
#include "text/split.h"
#include "text/unicode.h"

namespace elenchus {

/// The `decoder` of tokenizer.json: ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace and
/// Sequences of them.
class Decoder {
 public:
  /// Joins tokens with blanks.
  Decoder() = default;
  /// From the JSON value, which may be null. InputError: a part that is unknown, by name.
  static Decoder from_json(const Json& decoder, const std::string& what);
  /// The text of these tokens, as valid UTF-8.
  std::string decode(std::vector<std::string> tokens, const CharClassTable& classes) const;
  /// The bytes of one token in the middle of a text.
  std::string piece_bytes(std::string_view token, const CharClassTable& classes) const;

 private:
  struct ByteLevel {};
  struct ByteFallback {};
  struct Fuse {};
  struct Strip {
    std::string content;  // one character
    std::size_t start, stop;
  };
  struct Replace {
    SplitPattern pattern;
    std::string content;
  };
  struct Metaspace {
    std::string replacement;
    bool drops_first;
  };
  using Step = std::variant<ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace>;
  using Tokens = std::vector<std::string>;

  void add(const Json& decoder, const std::string& what);
  void run(const ByteLevel&, Tokens&, const CharClassTable&) const;
  void run(const ByteFallback&, Tokens&, const CharClassTable&) const;
  void run(const Fuse&, Tokens&, const CharClassTable&) const;
  void run(const Strip&, Tokens&, const CharClassTable&) const;
  void run(const Replace&, Tokens&, const CharClassTable&) const;
  void run(const Metaspace&, Tokens&, const CharClassTable&) const;

  std::vector<Step> steps_;
  ByteAlphabet alphabet_;
};

}  // namespace elenchus
