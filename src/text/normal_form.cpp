#include "text/normal_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "base/error.h"
#include "text/unicode.h"

namespace elenchus {

namespace {

using Code = utf8proc_int32_t;

struct CodeRange {
  char32_t first, last;
};

/// Characters with a decomposition or a combining class that came after Unicode 9. Normal forms
/// here are those of Unicode 9, as in the library that trained and runs the tokenizers: to it these
/// are plain characters.
constexpr CodeRange kAfterUnicode9[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
    {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},
    {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x10781, 0x10785}, {0x10787, 0x107B0},
    {0x107B2, 0x107BA}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
    {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11938, 0x11938}, {0x1193D, 0x1193E},
    {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47},
    {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97},
    {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E030, 0x1E06D}, {0x1E08F, 0x1E08F},
    {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
    {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};

bool came_after_unicode_9(char32_t code) {
  const auto* range = std::partition_point(std::begin(kAfterUnicode9), std::end(kAfterUnicode9),
                                           [&](const CodeRange& r) { return r.last < code; });
  return range != std::end(kAfterUnicode9) && range->first <= code;
}

bool composes(NormalFormKind kind) {
  return kind == NormalFormKind::nfc || kind == NormalFormKind::nfkc;
}

int combining_class(Code code) {
  const int combining_class = utf8proc_get_property(code)->combining_class;
  return combining_class != 0 && came_after_unicode_9(char32_t(code)) ? 0 : combining_class;
}

/// Adds the full decomposition of one character, marks not yet in order; never nothing.
void decompose(char32_t code, NormalFormKind kind, std::vector<Code>& out) {
  if (came_after_unicode_9(code)) return out.push_back(Code(code));
  const bool compatible = kind == NormalFormKind::nfkc || kind == NormalFormKind::nfkd;
  const auto options = utf8proc_option_t(UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
  std::array<Code, 32> buffer;
  int boundary = 0;
  const auto count = utf8proc_decompose_char(Code(code), buffer.data(),
                                             std::ptrdiff_t(buffer.size()), options, &boundary);
  expect(count >= 0 && count <= std::ptrdiff_t(buffer.size()),
         "a character decomposes into more than 32");
  out.insert(out.end(), buffer.begin(), buffer.begin() + count);
}

/// Whether a character can change, or be changed by, what stands before it: marks, and where
/// characters are composed the vowels and finals of Hangul, too.
bool may_join_previous(Code code, NormalFormKind kind) {
  if (code < 0x300 || came_after_unicode_9(char32_t(code))) return false;
  if (combining_class(code) != 0) return true;
  if (!composes(kind)) return false;
  if (code >= 0x1160 && code <= 0x11FF) return true;
  const auto category = utf8proc_category(code);
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

/// Puts each run of marks in the order of their combining classes, those of one class left as they
/// are.
void order_marks(std::vector<Code>& codes) {
  for (auto begin = codes.begin(); begin != codes.end();) {
    if (combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, codes.end(), [](Code code) { return combining_class(code) == 0; });
    std::stable_sort(begin, end,
                     [](Code a, Code b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

/// The normal form of one cluster.
void normalize(std::string_view cluster, NormalFormKind kind, std::vector<Code>& codes,
               std::string& out) {
  codes.clear();
  out.clear();
  for (std::size_t at = 0; at < cluster.size();) {
    const Utf8Char c = utf8_char(cluster, at);
    decompose(c.code, kind, codes);
    at += c.length;
  }
  order_marks(codes);
  if (composes(kind)) {
    const auto options = utf8proc_option_t(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    codes.resize(
        std::size_t(utf8proc_normalize_utf32(codes.data(), std::ptrdiff_t(codes.size()), options)));
  }
  for (const Code code : codes) append_utf8(out, char32_t(code));
}

/// Bytes of the whole characters that both begin with.
std::size_t common_beginning(std::string_view a, std::string_view b) {
  std::size_t same = 0;
  while (same < std::min(a.size(), b.size()) && a[same] == b[same]) ++same;
  if (same == a.size() && same == b.size()) return same;
  const auto inside = [&](std::string_view text) {
    return same < text.size() && (static_cast<unsigned char>(text[same]) & 0xC0) == 0x80;
  };
  while (same > 0 && (inside(a) || inside(b))) --same;
  return same;
}

enum Trait : std::uint8_t {
  kStable = 1,        // alone it is its own normal form
  kJoinsPrevious = 2  // its normal form may depend on what stands before it
};

std::uint8_t traits_of(char32_t code, NormalFormKind kind) {
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;  // in no text
  if (is_surrogate) return 0;
  std::vector<Code> codes;
  decompose(code, kind, codes);
  const std::uint8_t joins = may_join_previous(codes[0], kind) ? kJoinsPrevious : 0;
  if (codes.size() == 1 && codes[0] == Code(code)) return joins | kStable;
  std::string alone, normal;
  append_utf8(alone, code);
  normalize(alone, kind, codes, normal);
  return joins | (alone == normal ? kStable : 0);
}

}  // namespace

NormalForm::NormalForm(NormalFormKind kind)
    : kind_(kind), traits_([kind](char32_t code) { return traits_of(code, kind); }) {}

/// The end of the clusters from `begin` on that are one stable character each.
std::size_t NormalForm::end_of_stable(std::string_view text, std::size_t begin) const {
  std::size_t last = begin;  // where the character before `at` begins
  for (std::size_t at = begin; at < text.size();) {
    const Utf8Char c = utf8_char(text, at);
    const std::uint8_t traits = traits_[c.code];
    if (traits & kJoinsPrevious) return last;
    if (!(traits & kStable)) return at;
    last = at;
    at += c.length;
  }
  return text.size();
}

std::size_t NormalForm::end_of_cluster(std::string_view text, std::size_t begin) const {
  std::size_t at = begin + utf8_length(text[begin]);
  while (at < text.size() && traits_[utf8_char(text, at).code] & kJoinsPrevious)
    at += utf8_length(text[at]);
  return at;
}

AlignedText NormalForm::apply(AlignedText text) const {
  const std::string& from = text.text();
  std::size_t end = end_of_stable(from, 0);
  if (end == from.size()) return text;
  AlignedText out = AlignedText::to_fill(from.size(), text.origin(from.size()));
  out.append(text, {0, end});
  std::vector<Code> codes;
  std::string bytes;
  for (std::size_t begin = end; begin < from.size(); begin = end) {
    end = end_of_cluster(from, begin);
    const std::string_view cluster = std::string_view(from).substr(begin, end - begin);
    normalize(cluster, kind_, codes, bytes);
    const std::size_t same = common_beginning(cluster, bytes);
    out.append(text, {begin, begin + same});
    if (same < bytes.size())
      out.append(std::string_view(bytes).substr(same), text.origin(begin + same));
    begin = end;
    end = end_of_stable(from, begin);
    out.append(text, {begin, end});
  }
  return out;
}

}  // namespace elenchus
