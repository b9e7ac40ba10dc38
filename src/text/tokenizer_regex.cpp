#include "text/tokenizer_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <chrono>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {

namespace {

constexpr std::uint32_t kMatchLimit = 10'000'000;  // steps of one match
constexpr std::uint32_t kDepthLimit = 10'000;
constexpr std::uint32_t kHeapLimitKib = 64 * 1024;
constexpr std::size_t kLargestJitStack = 8u << 20;
constexpr std::size_t kLongestPattern = 16u << 10;
constexpr std::chrono::seconds kSearchLimit{10};

template <auto release>
struct Releases {
  template <class T>
  void operator()(T* object) const {
    release(object);
  }
};
using Code = std::unique_ptr<pcre2_code, Releases<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Releases<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Releases<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Releases<pcre2_match_data_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Releases<pcre2_jit_stack_free>>;

[[noreturn]] void refuse(std::string_view what, std::string_view pattern, std::string_view why) {
  throw InputError(cat(what, ": regular expression \"", printable(pattern), "\" ", why));
}

/// The class escapes spelled as the Unicode properties that Oniguruma takes for them: PCRE2's own
/// \s has U+180E too and its \w lacks the marks.
std::string with_unicode_classes(std::string_view pattern, std::string_view what) {
  std::string out;
  int class_depth = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      constexpr std::string_view kWordProperties = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
      if (escaped == 's')
        out += R"(\p{White_Space})";
      else if (escaped == 'S')
        out += R"(\P{White_Space})";
      else if (escaped == 'd')
        out += R"(\p{Nd})";
      else if (escaped == 'D')
        out += R"(\P{Nd})";
      else if (escaped == 'w' && class_depth > 0)
        out += kWordProperties;
      else if (escaped == 'w')
        out += cat('[', kWordProperties, ']');
      else if (escaped == 'W' && class_depth == 0)
        out += cat("[^", kWordProperties, ']');
      else if (std::string_view("WhHRXKGCNVvoQE").find(escaped) != std::string_view::npos)
        refuse(what, pattern, cat("uses \\", escaped, ", which is not supported here"));
      else
        (out += c) += escaped;
      continue;
    }
    if (class_depth > 0) {
      if (c == '[' && pattern.substr(i + 1, 1) != ":")
        refuse(what, pattern, "has a class within a class, which is not supported");
      if (c == '&' && pattern.substr(i + 1, 1) == "&")
        refuse(what, pattern, "intersects classes with &&, which is not supported");
      if (c == '[') {  // a POSIX class, taken whole
        const std::size_t end = pattern.find(":]", i);
        if (end == std::string_view::npos) refuse(what, pattern, "has an unclosed [: :]");
        out += pattern.substr(i, end + 2 - i);
        i = end + 1;
        continue;
      }
      if (c == ']') --class_depth;
    } else if (c == '[') {
      ++class_depth;
      // A ] right after the opening is a member of the class.
      out += c;
      if (pattern.substr(i + 1, 1) == "^") out += pattern[++i];
      if (pattern.substr(i + 1, 1) == "]") out += pattern[++i];
      continue;
    }
    out += c;
  }
  return out;
}

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256] = {};
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct TokenizerRegex::Compiled {
  std::string pattern, what;
  Code code;
  bool jit = false;
};

TokenizerRegex::TokenizerRegex(std::string_view pattern, std::string_view what)
    : compiled_(std::make_unique<Compiled>(Compiled{std::string(pattern), std::string(what), {}})) {
  if (pattern.size() > kLongestPattern)
    refuse(what, pattern,
           cat("has ", pattern.size(), " bytes; at most ", kLongestPattern, " are accepted"));
  const std::string spelled = with_unicode_classes(pattern, what);
  const CompileContext context(pcre2_compile_context_create(nullptr));
  pcre2_set_parens_nest_limit(context.get(), 64);
  int error = 0;
  PCRE2_SIZE place = 0;
  compiled_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelled.data()), spelled.size(),
                                      PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_MULTILINE |
                                          PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK,
                                      &error, &place, context.get()));
  if (!compiled_->code) refuse(what, pattern, cat("is not valid: ", pcre2_message(error)));
  compiled_->jit = pcre2_jit_compile(compiled_->code.get(), PCRE2_JIT_COMPLETE) == 0;
}

TokenizerRegex::TokenizerRegex(TokenizerRegex&&) noexcept = default;
TokenizerRegex& TokenizerRegex::operator=(TokenizerRegex&&) noexcept = default;
TokenizerRegex::~TokenizerRegex() = default;

struct TokenizerRegex::Search::State {
  const Compiled& regex;
  std::string_view text;
  MatchContext context;
  JitStack jit_stack;
  MatchData data;
  std::chrono::steady_clock::time_point deadline;
  std::uint32_t matches = 0;
};

TokenizerRegex::Search::Search(const TokenizerRegex& regex, std::string_view text)
    : state_(std::make_unique<State>(
          State{*regex.compiled_, text, MatchContext(pcre2_match_context_create(nullptr)),
                JitStack(pcre2_jit_stack_create(32 << 10, kLargestJitStack, nullptr)),
                MatchData(pcre2_match_data_create(1, nullptr)),
                std::chrono::steady_clock::now() + kSearchLimit})) {
  pcre2_set_match_limit(state_->context.get(), kMatchLimit);
  pcre2_set_depth_limit(state_->context.get(), kDepthLimit);
  pcre2_set_heap_limit(state_->context.get(), kHeapLimitKib);
  if (state_->regex.jit)
    pcre2_jit_stack_assign(state_->context.get(), nullptr, state_->jit_stack.get());
}

TokenizerRegex::Search::~Search() = default;

std::optional<std::size_t> TokenizerRegex::Search::match_at(std::size_t at) {
  State& s = *state_;
  if (++s.matches % 16 == 0 && std::chrono::steady_clock::now() > s.deadline)
    refuse(
        s.regex.what, s.regex.pattern,
        cat("took more than ", kSearchLimit.count(), " s on a text of ", s.text.size(), " bytes"));
  const int found =
      pcre2_match(s.regex.code.get(), reinterpret_cast<PCRE2_SPTR>(s.text.data()), s.text.size(),
                  at, PCRE2_NO_UTF_CHECK, s.data.get(), s.context.get());
  if (found == PCRE2_ERROR_NOMATCH) return {};
  if (found < 0)
    refuse(
        s.regex.what, s.regex.pattern,
        cat("could not be matched on a text of ", s.text.size(), " bytes: ", pcre2_message(found)));
  return pcre2_get_ovector_pointer(s.data.get())[1];
}

}  // namespace elenchus
