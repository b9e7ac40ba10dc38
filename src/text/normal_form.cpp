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

/// Adds the full decomposition of one character, marks not yet in order.
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

/// Whether a character can change, or be changed by, what stands before it: marks, and the vowels
/// and finals of Hangul.
bool may_join_previous(Code code) {
  if (code < 0x300 || came_after_unicode_9(char32_t(code))) return false;
  if ((code >= 0x1160 && code <= 0x11FF) || combining_class(code) != 0) return true;
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

}  // namespace

AlignedText to_normal_form(AlignedText text, NormalFormKind kind) {
  const std::string& from = text.text();
  // Below U+0300 nothing composes; below U+0080 nothing decomposes.
  const auto is_plain = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(from.begin(), from.end(), is_plain)) return text;

  AlignedText out = AlignedText::to_fill(from.size(), text.origin(from.size()));
  std::vector<Code> codes, next;
  std::string bytes;
  bool changed = false;
  for (std::size_t begin = 0; begin < from.size();) {
    codes.clear();
    std::size_t end = begin;
    while (end < from.size()) {
      const Utf8Char c = utf8_char(from, end);
      next.clear();
      decompose(c.code, kind, next);
      if (end > begin && (next.empty() || !may_join_previous(next[0]))) break;
      codes.insert(codes.end(), next.begin(), next.end());
      end += c.length;
    }
    order_marks(codes);
    if (composes(kind)) {
      const auto options = utf8proc_option_t(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
      codes.resize(std::size_t(
          utf8proc_normalize_utf32(codes.data(), std::ptrdiff_t(codes.size()), options)));
    }
    bytes.clear();
    for (const Code code : codes) append_utf8(bytes, char32_t(code));
    if (from.compare(begin, end - begin, bytes) == 0) {
      out.append(text, {begin, end});
    } else {
      out.append(bytes, text.origin(begin));
      changed = true;
    }
    begin = end;
  }
  return changed ? out : text;
}

}  // namespace elenchus
