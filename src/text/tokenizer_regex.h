#pragma once
// Regular expressions of tokenizer files, run by PCRE2 under limits.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace elenchus {

/// A compiled expression; safe to use from several threads. Classes \s, \w and \d are those of
/// Unicode, ^ and $ match at line ends, as Oniguruma has them.
class TokenizerRegex {
 public:
  /// InputError: a syntax error, or a construct that Oniguruma reads otherwise than PCRE2. `what`
  /// names the pattern's place.
  TokenizerRegex(std::string_view pattern, std::string_view what);
  TokenizerRegex(TokenizerRegex&&) noexcept;
  TokenizerRegex& operator=(TokenizerRegex&&) noexcept;
  ~TokenizerRegex();

  /// The state of one run over one text, for one thread.
  class Search {
   public:
    Search(const TokenizerRegex& regex, std::string_view text);
    ~Search();
    /// Where the match that begins exactly at `at` <= text.size() ends (possibly at `at`); nothing
    /// if there is none. InputError when a match, or all of this search, takes more steps or time
    /// than its limit.
    std::optional<std::size_t> match_at(std::size_t at);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace elenchus
