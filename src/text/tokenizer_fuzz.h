#pragma once
// What holds for any tokenizer file and any text.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "text/tokenizer.h"

namespace elenchus {

/// Ids in range, offsets in order and within the text; decoding is total and gives valid UTF-8.
inline Encoding check_encoding(const Tokenizer& tokenizer, std::string_view text,
                               const EncodeOptions& options = {}) {
  const Encoding encoding = tokenizer.encode(text, options);
  expect(encoding.ids.size() == encoding.offsets.size(), "ids and offsets differ in number");
  expect(std::is_sorted(encoding.offsets.begin(), encoding.offsets.end()),
         "offsets are out of order");
  expect(encoding.offsets.empty() || encoding.offsets.back() <= text.size(),
         "an offset is past the text");
  TextStream stream;
  for (const TokenId id : encoding.ids) {
    expect(id >= 0 && id < tokenizer.vocabulary_size(), "an id is out of range");
    expect(!tokenizer.token_of(id).empty(), "an id has no token");
    expect(!find_invalid_utf8(stream.push(tokenizer.piece_bytes(id))),
           "a stream gave invalid UTF-8");
  }
  stream.finish();
  for (const bool skip_special : {false, true})
    expect(!find_invalid_utf8(tokenizer.decode(encoding.ids, skip_special)),
           "decoding gave invalid UTF-8");
  return encoding;
}

/// The bytes are a tokenizer.json: refused with an InputError, or read; then texts are encoded and
/// decoded.
inline void check_tokenizer_json(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  try {
    const auto tokenizer = tokenizer_from_json(Json::parse(text, "fuzz"), "fuzz");
    for (const char* sample : {"", " ", "Hello, it's 12  é\u0301\n\n<s>あ🙂",
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})
      check_encoding(*tokenizer, sample, {.add_special_tokens = true, .plain = {}});
  } catch (const InputError&) {
  }
}

/// The bytes are a text: refused if they are not UTF-8; otherwise, as plain text, it gives no
/// special token and its ids give it back (but for the blank signs of SentencePiece, which come
/// back as blanks).
inline void check_tokenize(const Tokenizer& tokenizer, const std::uint8_t* bytes,
                           std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const TextRange all[] = {{0, size}};
  try {
    check_encoding(tokenizer, text);
    const Encoding plain =
        check_encoding(tokenizer, text, {.add_special_tokens = false, .plain = all});
    for (const TokenId id : plain.ids)
      expect(!tokenizer.is_special(id), "plain text gave a special token");
    if (text.find("\u2581") == text.npos)
      expect(tokenizer.decode(plain.ids, false) == text, "text is not given back by its ids");
  } catch (const InputError&) {
    expect(find_invalid_utf8(text).has_value(), "valid text was refused");
  }
}

}  // namespace elenchus
