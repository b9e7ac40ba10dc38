#include "text/jinja/text_operations.h"

#include <string.h>

#include <algorithm>

#include "text/jinja/markup.h"

namespace elenchus::jinja {
namespace {

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// How far a strip goes from the left: the first byte to keep.
std::size_t strip_left(const Text& text, const Text* characters, std::size_t end) {
  std::size_t begin = 0;
  while (begin < end) {
    const std::size_t next = next_code_point(text.bytes, begin);
    const std::string_view one = std::string_view(text.bytes).substr(begin, next - begin);
    const bool drop = characters ? characters->bytes.find(one) != std::string::npos
                                 : is_blank(decode_code_point(text.bytes, begin));
    if (!drop) break;
    begin = next;
  }
  return std::min(begin, end);
}

std::size_t strip_right(const Text& text, const Text* characters, std::size_t begin) {
  std::size_t end = text.bytes.size();
  while (end > begin) {
    const std::size_t last = previous_code_point(text.bytes, end);
    const std::string_view one = std::string_view(text.bytes).substr(last, end - last);
    const bool drop = characters ? characters->bytes.find(one) != std::string::npos
                                 : is_blank(decode_code_point(text.bytes, last));
    if (!drop) break;
    end = last;
  }
  return end;
}

std::vector<Value> split_at_blanks(const Text& text, std::int64_t limit) {
  std::vector<Value> pieces;
  const std::string& bytes = text.bytes;
  std::size_t begin = strip_left(text, nullptr, bytes.size());
  while (begin < bytes.size()) {
    if (limit >= 0 && std::int64_t(pieces.size()) == limit) {
      pieces.push_back(substring(text, begin, bytes.size()));
      break;
    }
    std::size_t end = begin;
    while (end < bytes.size() && !is_blank(decode_code_point(bytes, end)))
      end = next_code_point(bytes, end);
    pieces.push_back(substring(text, begin, end));
    while (end < bytes.size() && is_blank(decode_code_point(bytes, end)))
      end = next_code_point(bytes, end);
    begin = end;
  }
  return pieces;
}

std::vector<Value> split_at_blanks_from_right(const Text& text, std::int64_t limit) {
  std::vector<Value> pieces;
  const std::string& bytes = text.bytes;
  const auto blank_before = [&](std::size_t at) {
    return is_blank(decode_code_point(bytes, previous_code_point(bytes, at)));
  };
  std::size_t end = strip_right(text, nullptr, 0);
  while (end > 0) {
    if (limit >= 0 && std::int64_t(pieces.size()) == limit) {
      pieces.push_back(substring(text, 0, end));
      break;
    }
    std::size_t begin = end;
    while (begin > 0 && !blank_before(begin)) begin = previous_code_point(bytes, begin);
    pieces.push_back(substring(text, begin, end));
    while (begin > 0 && blank_before(begin)) begin = previous_code_point(bytes, begin);
    end = begin;
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

// Where `part` stands in the bytes, without overlap, at most `limit` times (< 0: all).
std::vector<std::size_t> find_all(Budget& budget, std::string_view bytes, std::string_view part,
                                  std::int64_t limit) {
  std::vector<std::size_t> places;
  std::size_t at = 0;
  while (limit < 0 || std::int64_t(places.size()) < limit) {
    at = find_bytes(budget, bytes, part, at);
    if (at == std::string_view::npos) break;
    budget.spend();
    places.push_back(at);
    at += part.size();
  }
  return places;
}

bool ends_line(std::int32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

std::size_t code_points(std::string_view bytes) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) count += i == 0 || !continues(bytes[i]);
  return count;
}

std::size_t next_code_point(std::string_view bytes, std::size_t begin) {
  std::size_t end = begin + 1;
  while (end < bytes.size() && continues(bytes[end])) ++end;
  return end;
}

std::size_t previous_code_point(std::string_view bytes, std::size_t end) {
  std::size_t begin = end - 1;
  while (begin > 0 && continues(bytes[begin])) --begin;
  return begin;
}

std::int32_t decode_code_point(std::string_view bytes, std::size_t begin) {
  constexpr std::int32_t kInvalid = 0xFFFD;
  const auto lead = static_cast<unsigned char>(bytes[begin]);
  const std::size_t size = next_code_point(bytes, begin) - begin;
  if (lead < 0x80) return size == 1 ? lead : kInvalid;
  const std::size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || size != wanted) return kInvalid;
  std::int32_t code_point = lead & (0xFF >> (wanted + 1));
  for (std::size_t i = 1; i < size; ++i)
    code_point = code_point << 6 | (static_cast<unsigned char>(bytes[begin + i]) & 0x3F);
  return code_point <= 0x10FFFF ? code_point : kInvalid;
}

void append_code_point(std::string& bytes, std::int32_t c) {
  const auto put = [&bytes](std::int32_t byte) { bytes.push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

std::size_t byte_of(const Text& text, std::size_t index) {
  if (index >= text.length) return text.bytes.size();
  if (text.ascii()) return index;
  text.budget().spend_bytes(text.bytes.size());
  std::size_t byte = 0;
  for (; index > 0; --index) byte = next_code_point(text.bytes, byte);
  return byte;
}

bool is_blank(std::int32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

std::size_t find_bytes(Budget& budget, std::string_view bytes, std::string_view part,
                       std::size_t from) {
  if (from > bytes.size()) return std::string_view::npos;
  if (part.empty()) return from;
  const void* found = memmem(bytes.data() + from, bytes.size() - from, part.data(), part.size());
  const std::size_t at =
      found ? std::size_t(static_cast<const char*>(found) - bytes.data()) : std::string_view::npos;
  budget.spend_bytes((found ? at : bytes.size()) - from + part.size());
  return at;
}

std::size_t find_bytes_from_end(Budget& budget, std::string_view bytes, std::string_view part) {
  const std::string backwards(bytes.rbegin(), bytes.rend()), wanted(part.rbegin(), part.rend());
  const std::size_t at = find_bytes(budget, backwards, wanted);
  return at == std::string::npos ? at : bytes.size() - at - part.size();
}

Value substring(const Text& text, std::size_t begin, std::size_t end) {
  TextBuilder builder(text.budget());
  builder.append(text, begin, end);
  return builder.finish();
}

Value pick(const Text& text, const std::vector<std::int64_t>& indices) {
  std::vector<std::size_t> starts;
  text.budget().spend(std::int64_t(text.length / 16 + indices.size() / 4));
  for (std::size_t at = 0; at < text.bytes.size(); at = next_code_point(text.bytes, at))
    starts.push_back(at);
  starts.push_back(text.bytes.size());
  TextBuilder builder(text.budget());
  for (const std::int64_t index : indices)
    builder.append(text, starts[std::size_t(index)], starts[std::size_t(index) + 1]);
  return builder.finish();
}

Value concatenate(const Text& a, const Text& b) {
  if (a.markup() != b.markup())
    return a.markup() ? concatenate(a, *escape_all(b).text())
                      : concatenate(*escape_all(a).text(), b);
  TextBuilder builder(a.budget());
  builder.append(a);
  builder.append(b);
  return made_from(a, builder.finish());
}

Value strip(const Text& text, const Text* characters, Side side) {
  std::size_t begin = 0, end = text.bytes.size();
  text.budget().spend_bytes(end);
  if (side != Side::right) begin = strip_left(text, characters, end);
  if (side != Side::left) end = strip_right(text, characters, begin);
  return substring(text, begin, end);
}

std::vector<Value> split(const Text& text, const Text* separator, std::int64_t limit, Side from) {
  text.budget().spend_bytes(text.bytes.size());
  if (!separator)
    return from == Side::left ? split_at_blanks(text, limit)
                              : split_at_blanks_from_right(text, limit);
  const std::string &bytes = text.bytes, &mark = separator->bytes;
  if (mark.empty()) text.budget().fail("split: the separator is empty");
  std::vector<std::size_t> cuts;
  if (from == Side::left) {
    cuts = find_all(text.budget(), bytes, mark, limit);
  } else {
    // From the right is from the left in the text read backwards.
    const std::string backwards(bytes.rbegin(), bytes.rend()), wanted(mark.rbegin(), mark.rend());
    cuts = find_all(text.budget(), backwards, wanted, limit);
    for (std::size_t& cut : cuts) cut = bytes.size() - cut - mark.size();
    std::reverse(cuts.begin(), cuts.end());
  }
  std::vector<Value> pieces;
  std::size_t begin = 0;
  for (const std::size_t cut : cuts) {
    pieces.push_back(substring(text, begin, cut));
    begin = cut + mark.size();
  }
  pieces.push_back(substring(text, begin, bytes.size()));
  return pieces;
}

std::vector<Value> split_lines(const Text& text, bool keep_ends) {
  std::vector<Value> lines;
  const std::string& bytes = text.bytes;
  text.budget().spend_bytes(bytes.size());
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    std::size_t next = next_code_point(bytes, at);
    if (ends_line(decode_code_point(bytes, at))) {
      if (bytes[at] == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
      lines.push_back(substring(text, begin, keep_ends ? next : at));
      begin = next;
    }
    at = next;
  }
  if (begin < bytes.size()) lines.push_back(substring(text, begin, bytes.size()));
  return lines;
}

std::vector<Value> partition(const Text& text, const Text& separator, Side from) {
  if (separator.bytes.empty()) text.budget().fail("partition: the separator is empty");
  const std::size_t at = from == Side::left
                             ? find_bytes(text.budget(), text.bytes, separator.bytes)
                             : find_bytes_from_end(text.budget(), text.bytes, separator.bytes);
  const Value whole = substring(text, 0, text.bytes.size()), empty = substring(text, 0, 0);
  if (at == std::string::npos)
    return from == Side::left ? std::vector<Value>{whole, empty, empty}
                              : std::vector<Value>{empty, empty, whole};
  const std::size_t after = at + separator.bytes.size();
  return {substring(text, 0, at), substring(separator, 0, separator.bytes.size()),
          substring(text, after, text.bytes.size())};
}

Value replace(const Text& text, const Text& old, const Text& by, std::int64_t limit) {
  TextBuilder builder(text.budget());
  std::size_t begin = 0;
  if (old.bytes.empty()) {
    for (; limit != 0; --limit) {
      builder.append(by);
      if (begin >= text.bytes.size()) return builder.finish();
      const std::size_t next = next_code_point(text.bytes, begin);
      builder.append(text, begin, next);
      begin = next;
      text.budget().spend();
    }
    builder.append(text, begin, text.bytes.size());
    return builder.finish();
  }
  for (const std::size_t at : find_all(text.budget(), text.bytes, old.bytes, limit)) {
    builder.append(text, begin, at);
    builder.append(by);
    begin = at + old.bytes.size();
  }
  builder.append(text, begin, text.bytes.size());
  return builder.finish();
}

std::int64_t count_occurrences(const Text& text, const Text& part) {
  if (part.bytes.empty()) return std::int64_t(text.length) + 1;
  return std::int64_t(find_all(text.budget(), text.bytes, part.bytes, -1).size());
}

Value join(Budget& budget, const Text* separator, const std::vector<Value>& pieces) {
  TextBuilder builder(budget);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    budget.spend();
    if (i > 0 && separator) builder.append(*separator);
    builder.append(*pieces[i].text());
  }
  return builder.finish();
}

Value pad(const Text& text, std::int64_t width, std::string_view fill, Side text_side) {
  const std::int64_t missing = std::max<std::int64_t>(width, 0) - std::int64_t(text.length);
  TextBuilder builder(text.budget());
  if (missing <= 0) return substring(text, 0, text.bytes.size());
  const Value filler = make_text(text.budget(), std::string(fill));
  // Where the padding is odd, Python's center puts the extra one left of a text of even width.
  const std::int64_t left = text_side == Side::left    ? 0
                            : text_side == Side::right ? missing
                                                       : missing / 2 + (missing & width & 1);
  builder.append_repeated(*filler.text(), left);
  builder.append(text);
  builder.append_repeated(*filler.text(), missing - left);
  return builder.finish();
}

}  // namespace elenchus::jinja
