#pragma once
// One row of a data file, whatever its format was: turns of a conversation, or plain text.

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace elenchus {

/// Where a row was read.
struct RowPlace {
  int file = 0;             ///< index into the list of files
  std::int64_t number = 0;  ///< row in its file, from 0 (messages show it from 1)
  std::int64_t line = 0;    ///< line where it begins, from 1
};

struct Conversation {
  std::vector<Message> messages;  ///< roles are system, user and assistant; empty for plain text
  std::size_t first_trained = 0;  ///< assistant turns before this one are context, never trained on
  std::string prompt;             ///< plain text that comes before `text` and is not trained on
  std::string text;               ///< plain text, trained on to its end
  /// Of `text`, what data.text_template writes itself: sorted, disjoint. Special tokens count only
  /// there, all else is content.
  std::vector<TextRange> from_template;
  RowPlace place;
  bool plain() const { return messages.empty(); }
};

/// What is wrong with a row. `code` is a short name that stays the same between versions
/// ("content_null"); the message names key, what was found and what was expected. Without a place:
/// who reads the file adds it.
struct RowError : InputError {
  RowError(std::string_view code_, const std::string& message) : InputError(message), code(code_) {}
  std::string code;
};

}  // namespace elenchus
