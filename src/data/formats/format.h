#pragma once
// The shapes that rows of training data come in. To add one: a file with a value of this type and a
// line in catalogue.cpp.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "data/conversation.h"

namespace elenchus {

/// Keys that a recipe may choose.
struct RowColumns {
  std::string text_column = "text";
  std::optional<std::string> text_template;  ///< "Question: {question}": the text of a row
};

struct DataFormat {
  std::string_view name;  ///< as in data.format
  /// For "auto": whether a row looks like this. Rows that are no objects look like none.
  bool (*recognises)(const Json& row, const RowColumns& columns) = nullptr;
  /// RowError: a key that is missing or holds something else, or turns in an order that no chat
  /// has.
  Conversation (*parse)(const Json& row, const RowColumns& columns) = nullptr;
  std::string_view expects;  ///< the keys, for messages
};

/// Every format, in the order in which "auto" tries them.
std::span<const DataFormat> data_formats();
/// The format of that name, or null for "auto". UserError lists those there are.
const DataFormat* find_data_format(std::string_view name);
/// The format that recognises a row. RowError names the keys that were found and those that formats
/// expect.
const DataFormat& recognise_format(const Json& row, const RowColumns& columns);

}  // namespace elenchus
