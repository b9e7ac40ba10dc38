#pragma once
// The shapes that rows of a classifier's data come in. To add one: a file with a value of this type
// and a line in class_catalogue.cpp.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/conversation.h"
#include "data/data_config.h"

namespace elenchus {

/// A piece of a text: written by the template, or a value of the row, which may be cut.
struct TextPart {
  std::string text;
  bool value = false;
};

/// What is classified, and its class.
struct ClassifiedText {
  std::vector<TextPart> parts;
  std::string label;    ///< a number or a name; empty where none was asked for
  bool mended = false;  ///< lone surrogates became U+FFFD
};

/// Whether rows have a class to be read.
enum class Labelled { no, yes };
/// Whether two answers that are compared change places, with their labels.
enum class AnswerOrder { as_given, swapped };

struct ClassFormat {
  std::string_view name;  ///< as in data.format
  /// For "auto": whether a row looks like this.
  bool (*recognises)(const Json& row) = nullptr;
  /// The keys that a row needs.
  std::vector<std::string> (*keys)(const DataConfig& config, Labelled labelled) = nullptr;
  /// Nothing: there is nothing to classify in the row. RowError: a key that is missing or holds
  /// something else. `order` is as_given unless the format compares two answers.
  std::optional<ClassifiedText> (*parse)(const Json& row, const DataConfig& config,
                                         Labelled labelled, AnswerOrder order) = nullptr;
  std::span<const std::string_view> classes = {};  ///< by number; empty: the labels of the rows
  bool compares_answers = false;
};

extern const ClassFormat kArenaFormat;
extern const ClassFormat kClassificationFormat;

/// Every format, in the order in which "auto" tries them.
std::span<const ClassFormat> class_formats();
/// The format of that name, or null for "auto". UserError lists those there are.
const ClassFormat* find_class_format(std::string_view name);

/// The text of a key: a string, or a number or boolean as JSON writes it. RowError: key_missing,
/// key_not_text.
std::string value_text(const Json& row, std::string_view key);
/// RowError text_empty if no part has text but blanks.
void expect_text(std::span<const TextPart> parts);

}  // namespace elenchus
