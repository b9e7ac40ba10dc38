#include "text/tokenizer_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <chrono>

#include "base/error.h"
#include "base/file.h"
#include "text/unicode_additions.h"

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

/// Spells a pattern of Oniguruma's syntax for PCRE2: the class escapes and properties are those of
/// Unicode 16, whatever PCRE2 knows.
class Translation {
 public:
  Translation(std::string_view pattern, std::string_view what) : pattern_(pattern), what_(what) {}
  std::string run();

 private:
  void escape();
  void property(bool negated);
  void class_member();
  void open_class();
  /// Members of a class as a class of their own, or of the one that is open.
  void add_members(const std::string& members, bool negated);
  bool follows(std::string_view text) const { return pattern_.substr(at_ + 1).starts_with(text); }
  [[noreturn]] void fail(std::string_view why) const { refuse(what_, pattern_, why); }

  std::string_view pattern_, what_;
  std::size_t at_ = 0;  // the character under way
  bool in_class_ = false;
  std::string out_;
};

std::string Translation::run() {
  for (; at_ < pattern_.size(); ++at_) {
    if (pattern_[at_] == '\\' && at_ + 1 < pattern_.size())
      escape();
    else if (in_class_)
      class_member();
    else if (pattern_[at_] == '[')
      open_class();
    else
      out_ += pattern_[at_];
  }
  return out_;
}

void Translation::escape() {
  const char escaped = pattern_[++at_];
  const auto members = [](std::initializer_list<std::string_view> properties) {
    std::string out;
    for (const std::string_view property : properties) out += *regex_members(property);
    return out;
  };
  switch (escaped) {
    case 'p':
    case 'P':
      return property(escaped == 'P');
    case 's':
    case 'S':
      out_ += escaped == 's' ? R"(\p{White_Space})" : R"(\P{White_Space})";
      return;
    case 'd':
    case 'D':
      return add_members(members({"Nd"}), escaped == 'D');
    case 'w':
    case 'W': {
      // Oniguruma's \w has the superscripts and fractions of Latin-1, but not within a class.
      const char* latin = in_class_ ? "" : R"(\xB2\xB3\xB9\xBC-\xBE)";
      return add_members(cat(R"(\p{Alphabetic})", members({"L", "M", "Nd", "Pc"}), latin),
                         escaped == 'W');
    }
    default:
      if (std::string_view("bBhHRXKGCNVvoQE").find(escaped) != std::string_view::npos)
        fail(cat("uses \\", escaped, ", which is not supported here"));
      (out_ += '\\') += escaped;
  }
}

/// \p{Name}, \p{^Name} or \pL.
void Translation::property(bool negated) {
  std::string_view name = pattern_.substr(at_ + 1, 1);
  if (name == "{") {
    const std::size_t end = std::min(pattern_.find('}', at_), pattern_.size());
    name = pattern_.substr(at_ + 2, end - (at_ + 2));
    at_ = end;
    if (name.starts_with("^")) {
      name.remove_prefix(1);
      negated = !negated;
    }
  } else {
    ++at_;
  }
  const std::optional<std::string> members = regex_members(name);
  if (!members)
    fail(cat("uses the property \\p{", printable(name),
             "}; expected a general category (L, Lu, ...) or a script of a few (Han, ...)"));
  add_members(*members, negated);
}

void Translation::add_members(const std::string& members, bool negated) {
  if (in_class_ && negated)
    fail("has a negated property within a class, which is not supported here");
  out_ += in_class_ ? members : cat(negated ? "[^" : "[", members, "]");
}

void Translation::open_class() {
  in_class_ = true;
  out_ += '[';
  if (follows("^")) out_ += pattern_[++at_];
  if (follows("]")) out_ += pattern_[++at_];  // right after the opening it is a member
}

void Translation::class_member() {
  const char c = pattern_[at_];
  if (c == '&' && follows("&")) fail("intersects classes with &&, which is not supported");
  if (c == '[') {
    if (!follows(":")) fail("has a class within a class, which is not supported");
    const std::size_t end = pattern_.find(":]", at_);  // a POSIX class, taken whole
    if (end == std::string_view::npos) fail("has an unclosed [: :]");
    out_ += pattern_.substr(at_, end + 2 - at_);
    at_ = end + 1;
    return;
  }
  if (c == ']') in_class_ = false;
  out_ += c;
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
  const std::string spelled = Translation(pattern, what).run();
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
