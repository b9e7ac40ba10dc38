#include "metrics/style.h"

#include <utf8proc.h>

#include <algorithm>

#include "base/error.h"
#include "metrics/characters.h"

namespace elenchus {
namespace {

bool is_word(char32_t code) {
  if (code == '_') return true;
  const auto category = utf8proc_category(utf8proc_int32_t(code));
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
         (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

bool closes(char32_t code) {
  const auto category = utf8proc_category(utf8proc_int32_t(code));
  return code == '"' || code == '\'' || code == '*' || code == '_' ||
         category == UTF8PROC_CATEGORY_PE || category == UTF8PROC_CATEGORY_PF;
}

std::size_t first_not_closing(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const auto [code, length] = character_at(text, at);
    if (!closes(code)) break;
    at += length;
  }
  return at;
}

bool blank(std::string_view text) { return first_not_space(text, 0) == text.size(); }

std::string lower(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, length] = character_at(text, at);
    utf8proc_uint8_t bytes[4];
    const auto written = utf8proc_encode_char(utf8proc_tolower(utf8proc_int32_t(code)), bytes);
    out.append(reinterpret_cast<const char*>(bytes), std::size_t(written));
    at += length;
  }
  return out;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> out;
  for (;;) {
    const std::size_t at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == text.npos) return out;
    text.remove_prefix(at + separator.size());
  }
}

/// Length of the mark at a byte of the text, the longest of several; 0 without one.
std::size_t mark_length(std::string_view text, std::size_t at,
                        const std::vector<std::string>& marks) {
  std::size_t longest = 0;
  for (const std::string& mark : marks)
    if (mark.size() > longest && text.substr(at).starts_with(mark)) longest = mark.size();
  return longest;
}

/// Whether a run of marks that ends before byte `at` ends a sentence: the ASCII full stop is in
/// numbers, names and code, too.
bool ends_sentence(std::string_view text, std::size_t at) {
  if (static_cast<unsigned char>(text[at - 1]) >= 0x80) return true;
  const std::size_t after = first_not_closing(text, at);
  return after == text.size() || is_space(character_at(text, after).first);
}

std::vector<std::string_view> split_after(std::string_view text,
                                          const std::vector<std::string>& marks) {
  std::vector<std::string_view> out;
  std::size_t begin = first_not_space(text, 0);
  for (std::size_t at = begin; at < text.size();) {
    std::size_t end = at;
    for (std::size_t mark; (mark = mark_length(text, end, marks)) > 0;) end += mark;
    if (end == at) {
      at += character_at(text, at).second;
      continue;
    }
    at = end;
    if (!ends_sentence(text, end)) continue;
    out.push_back(text.substr(begin, end - begin));
    at = begin = first_not_space(text, first_not_closing(text, end));
  }
  out.push_back(without_spaces_at_end(text.substr(begin)));
  return out;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const bool joined_before =
      begin > 0 && is_word(character_at(text, character_before(text, begin)).first);
  const bool joined_after = end < text.size() && is_word(character_at(text, end).first);
  return !joined_before && !joined_after;
}

bool matches(std::string_view sentence, const StylePattern& pattern, bool whole_word) {
  const std::string_view text = pattern.text;
  const auto fits = [&](std::size_t at) {
    return !whole_word || stands_alone(sentence, at, at + text.size());
  };
  switch (pattern.place) {
    case PatternPlace::start:
      return sentence.starts_with(text) && fits(0);
    case PatternPlace::end:
      return sentence.ends_with(text) && fits(sentence.size() - text.size());
    case PatternPlace::anywhere:
      for (std::size_t at = sentence.find(text); at != sentence.npos;
           at = sentence.find(text, at + 1))
        if (fits(at)) return true;
      return false;
  }
  return false;
}

}  // namespace

std::vector<std::string_view> split_sentences(std::string_view text, const SentenceRule& rule) {
  std::vector<std::string_view> out;
  if (const auto* separator = std::get_if<SentenceSeparator>(&rule)) {
    out = split_at(text, separator->text);
  } else if (const auto* marks = std::get_if<SentenceMarks>(&rule)) {
    out = split_after(text, marks->marks);
  } else {
    out = {without_spaces_at_end(text)};
  }
  std::erase_if(out, blank);
  return out;
}

Style::Style(StyleSettings settings) : settings_(std::move(settings)) {
  const auto* separator = std::get_if<SentenceSeparator>(&settings_.sentences);
  expect(!separator || !separator->text.empty(), "a separator has text");
  for (StylePart& part : settings_.parts)
    if (part.case_insensitive)
      for (StylePattern& pattern : part.any) pattern.text = lower(pattern.text);
}

double Style::sentence_score(std::string_view sentence) const {
  std::string lowered;
  double score = 0;
  for (const StylePart& part : settings_.parts) {
    if (part.case_insensitive && lowered.empty()) lowered = lower(sentence);
    const std::string_view text = part.case_insensitive ? lowered : sentence;
    const bool hit = std::ranges::any_of(part.any, [&](const StylePattern& pattern) {
      return matches(text, pattern, part.whole_word);
    });
    if (hit) score += part.weight;
  }
  return score;
}

double Style::score(std::string_view text) const {
  const std::vector<std::string_view> sentences = split_sentences(text, settings_.sentences);
  double sum = 0;
  for (const std::string_view sentence : sentences) sum += sentence_score(sentence);
  return sentences.empty() ? 0 : sum / double(sentences.size());
}

void Style::observe(const Prediction& prediction) {
  sum_ += score(prediction.text);
  ++texts_;
}

}  // namespace elenchus
