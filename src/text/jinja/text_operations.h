#pragma once
// Python's str methods over marked text. What keeps bytes keeps their marks; what makes new bytes
// marks them all as input if any of the old ones were.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace elenchus::jinja {

/// How many code points. Never fails: stray continuation bytes belong to what stands before them.
std::size_t code_points(std::string_view bytes);
/// Where the code point after the one at `begin` starts.
std::size_t next_code_point(std::string_view bytes, std::size_t begin);
/// Where the code point that ends at `end` starts.
std::size_t previous_code_point(std::string_view bytes, std::size_t end);
/// The code point at `begin`; U+FFFD where the bytes are not valid.
std::int32_t decode_code_point(std::string_view bytes, std::size_t begin);
void append_code_point(std::string& bytes, std::int32_t code_point);
/// The byte where code point number `index` starts; the size for any index past the end.
std::size_t byte_of(const Text& text, std::size_t index);

/// What Python's str.isspace and the `\s` of its regular expressions take as blank.
bool is_blank(std::int32_t code_point);

/// Bytes [begin, end).
Value substring(const Text& text, std::size_t begin, std::size_t end);
/// text[start:stop:step] over code points; `indices` are within the text.
Value pick(const Text& text, const std::vector<std::int64_t>& indices);
/// a + b. Where one of them is Markup, the other is escaped and the whole is Markup.
Value concatenate(const Text& a, const Text& b);

enum class Side { left, right, both };
/// str.strip, lstrip, rstrip. `characters` null: blanks.
Value strip(const Text& text, const Text* characters, Side side);

/// str.split and rsplit. `separator` null: runs of blanks. `limit` < 0: no limit. An empty
/// separator is an InputError.
std::vector<Value> split(const Text& text, const Text* separator, std::int64_t limit, Side from);
std::vector<Value> split_lines(const Text& text, bool keep_ends);
/// str.partition (left) and rpartition (right): three texts.
std::vector<Value> partition(const Text& text, const Text& separator, Side from);
/// str.replace; `limit` < 0: no limit.
Value replace(const Text& text, const Text& old, const Text& by, std::int64_t limit);
/// The byte where `part` first starts at or after `from`; npos if nowhere. Linear time whatever the
/// two are.
std::size_t find_bytes(Budget& budget, std::string_view bytes, std::string_view part,
                       std::size_t from = 0);
/// The byte where `part` last starts; npos if nowhere. Linear time and memory.
std::size_t find_bytes_from_end(Budget& budget, std::string_view bytes, std::string_view part);
/// How often `part` occurs without overlap.
std::int64_t count_occurrences(const Text& text, const Text& part);
/// `separator`.join(pieces)
Value join(Budget& budget, const Text* separator, const std::vector<Value>& pieces);
/// Pads with `fill` to `width` code points.
Value pad(const Text& text, std::int64_t width, std::string_view fill, Side text_side);

enum class Case { upper, lower, title, capitalize, swap, fold };
/// str.upper, lower, title, capitalize, swapcase, casefold.
Value change_case(const Text& text, Case to);
std::string change_case(std::string_view bytes, Case to);

enum class CharacterClass {
  alphabetic,
  decimal,
  digit,
  numeric,
  alphanumeric,
  blank,
  ascii,
  printable
};
/// str.isalpha and its kin: not empty (but for ascii, printable), and all code points are of that
/// class.
bool all_are(const Text& text, CharacterClass wanted);
/// Letters, digits and the underscore, as `\w` takes them.
bool is_word(std::int32_t code_point);
/// str.isupper / islower: some letter has a case, and none has the other one.
bool has_case(const Text& text, Case wanted);
bool is_title(const Text& text);

}  // namespace elenchus::jinja
