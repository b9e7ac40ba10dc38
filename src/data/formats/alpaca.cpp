// {"instruction": "...", "input": "...", "output": "..."}: the instruction, with the input on lines
// of its own if there is one, is what the user says. "system" and "history", a list of
// [question, answer], may be there.

#include "data/formats/catalogue.h"
#include "data/formats/turns.h"

namespace elenchus {
namespace {

bool recognises(const Json& row, const RowColumns&) {
  return row.find("instruction") != nullptr && row.find("output") != nullptr;
}

void add_history(const Json& history, std::vector<Message>& turns) {
  if (!history.is_array())
    throw RowError("history_not_array",
                   cat("history: expected an array, found ", history.kind_name()));
  for (const Json& pair : history.as_array("history")) {
    const bool two_texts = pair.is_array() && pair.as_array("history").size() == 2 &&
                           pair.as_array("history")[0].is_string() &&
                           pair.as_array("history")[1].is_string();
    if (!two_texts)
      throw RowError("history_item", "history: expected items [question, answer] of two strings");
    turns.push_back({"user", pair.as_array("history")[0].as_string("history")});
    turns.push_back({"assistant", pair.as_array("history")[1].as_string("history")});
  }
}

/// A text that may be missing or null.
std::string optional_text(const Json& row, std::string_view key) {
  const Json* value = row.find(key);
  return !value || value->is_null() ? std::string() : text_of(row, key);
}

Conversation parse(const Json& row, const RowColumns&) {
  expect_object(row);
  Conversation out;
  const std::string system = optional_text(row, "system");
  if (!system.empty()) out.messages.push_back({"system", system});
  const Json* history = row.find("history");
  if (history && !history->is_null()) add_history(*history, out.messages);
  std::string question = text_of(row, "instruction");
  const std::string input = optional_text(row, "input");
  if (!input.empty()) question += (question.empty() ? "" : "\n") + input;
  out.messages.push_back({"user", std::move(question)});
  out.messages.push_back({"assistant", text_of(row, "output")});
  check_turns(out.messages);
  return out;
}

}  // namespace

const DataFormat kAlpacaFormat = {"alpaca", recognises, parse, "instruction and output"};

}  // namespace elenchus
