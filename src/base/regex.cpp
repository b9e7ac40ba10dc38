#include "base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {

struct RecipeRegex::Compiled {
  pcre2_code* code = nullptr;
  pcre2_match_context* limits = nullptr;
  ~Compiled() {
    pcre2_code_free(code);
    pcre2_match_context_free(limits);
  }
};

RecipeRegex::RecipeRegex(std::string_view pattern, std::string_view what)
    : compiled_(std::make_unique<Compiled>()) {
  int error = 0;
  PCRE2_SIZE at = 0;
  compiled_->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
  if (!compiled_->code) {
    PCRE2_UCHAR reason[160] = {};
    pcre2_get_error_message(error, reason, sizeof(reason));
    throw UserError(cat(what, ": \"", printable(pattern),
                        "\" is no regular expression: at character ", at, ", ",
                        reinterpret_cast<const char*>(reason)));
  }
  compiled_->limits = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(compiled_->limits, 1'000'000);
  pcre2_set_heap_limit(compiled_->limits, 16 * 1024);
}

RecipeRegex::RecipeRegex(RecipeRegex&&) noexcept = default;
RecipeRegex& RecipeRegex::operator=(RecipeRegex&&) noexcept = default;
RecipeRegex::~RecipeRegex() = default;

bool RecipeRegex::run(std::string_view text, bool whole) const {
  pcre2_match_data* match = pcre2_match_data_create_from_pattern(compiled_->code, nullptr);
  const int rc =
      pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                  whole ? PCRE2_ANCHORED | PCRE2_ENDANCHORED : 0, match, compiled_->limits);
  pcre2_match_data_free(match);
  if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
    throw UserError("a regular expression took too long on \"" + printable(text) +
                    "\"; write a simpler one");
  return rc >= 0;
}

bool RecipeRegex::matches(std::string_view text) const { return run(text, true); }
bool RecipeRegex::found_in(std::string_view text) const { return run(text, false); }

}  // namespace elenchus
