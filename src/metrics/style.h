#pragma once
// Texts scored by weighted patterns in their sentences.

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "metrics/metric.h"

namespace elenchus {

enum class PatternPlace { anywhere, start, end };

/// A text to look for in a sentence, as written: nothing is trimmed.
struct StylePattern {
  PatternPlace place = PatternPlace::anywhere;
  std::string text;
};

/// Adds its weight to a sentence's score if any of its patterns matches.
struct StylePart {
  double weight = 0;
  std::vector<StylePattern> any;
  bool whole_word = false;  ///< a match has no letter, digit or '_' as its neighbour
  bool case_insensitive = false;
};

/// One separator: text is split at it as Python's str.split has it, and the separator is left out.
struct SentenceSeparator {
  std::string text;
};
/// Marks that end a sentence and stay its last characters. A run of marks ends one sentence. The
/// ASCII marks end one only before white space or the text's end, closing quotes and brackets aside.
/// What closes after the marks belongs to no sentence, and neither does white space before one.
struct SentenceMarks {
  std::vector<std::string> marks;
};
/// All of the text is one sentence, without the white space at its end.
struct WholeText {};
using SentenceRule = std::variant<SentenceSeparator, SentenceMarks, WholeText>;

struct StyleSettings {
  std::string name = "style";
  MetricInput mode = MetricInput::teacher_forced;
  SentenceRule sentences = SentenceMarks{{".", "?", "!", "。", "？", "！"}};
  std::vector<StylePart> parts;
};

/// The sentences of a text that are not blank.
std::vector<std::string_view> split_sentences(std::string_view text, const SentenceRule& rule);

/// score(sentence) = sum of the weights of the parts that match it;  score(text) = mean over its
/// sentences, 0 without any;  the metric is the mean over texts.
class Style final : public Metric {
 public:
  explicit Style(StyleSettings settings);
  std::string_view name() const override { return settings_.name; }
  MetricInput input() const override { return settings_.mode; }
  void observe(const Prediction& prediction) override;
  double result() const override { return texts_ > 0 ? sum_ / double(texts_) : 0; }
  void reset() override { sum_ = 0, texts_ = 0; }
  /// The score of one text.
  double score(std::string_view text) const;

 private:
  double sentence_score(std::string_view sentence) const;

  StyleSettings settings_;
  double sum_ = 0;
  std::int64_t texts_ = 0;
};

}  // namespace elenchus
