#pragma once
// A text made from another one, that knows where each of its bytes comes from.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace elenchus {

/// Bytes, and for each the byte of the original text it stands for. A plain stretch of the original
/// needs no table.
class AlignedText {
 public:
  AlignedText() = default;
  /// The stretch of the original that begins at byte `start` of it.
  AlignedText(std::string_view stretch, std::size_t start) : text_(stretch), start_(start) {}

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  /// The original byte that byte `at` <= size stands for; at the end, the one after the stretch.
  std::size_t origin(std::size_t at) const {
    if (origins_.empty()) return start_ + at;
    return at < origins_.size() ? origins_[at] : end_;
  }

  /// A text to be filled by the appends below, whose end stands for original byte `end`.
  static AlignedText to_fill(std::size_t size_hint, std::size_t end) {
    AlignedText text;
    text.start_ = text.end_ = end;
    text.text_.reserve(size_hint);
    text.origins_.reserve(size_hint);
    return text;
  }
  /// Adds bytes that all stand for original byte `origin`.
  void append(std::string_view bytes, std::size_t origin) {
    text_ += bytes;
    origins_.resize(text_.size(), origin);
  }
  /// Adds bytes of `from` as they are.
  void append(const AlignedText& from, TextRange range) {
    text_.append(from.text_, range.begin, range.end - range.begin);
    for (std::size_t i = range.begin; i < range.end; ++i) origins_.push_back(from.origin(i));
  }
  /// Its bytes [range.begin, range.end) as a text of their own.
  AlignedText part(TextRange range) const {
    if (origins_.empty())
      return {std::string_view(text_).substr(range.begin, range.end - range.begin),
              start_ + range.begin};
    AlignedText out = to_fill(range.end - range.begin, origin(range.end));
    out.append(*this, range);
    return out;
  }

 private:
  std::string text_;
  std::vector<std::size_t> origins_;  // one a byte; empty: byte i stands for start_ + i
  std::size_t start_ = 0;
  std::size_t end_ = 0;
};

}  // namespace elenchus
