// {"prompt": ..., "completion": ...}: two texts, or two lists of {"role", "content"}. Only the
// completion is trained on.

#include "data/formats/catalogue.h"
#include "data/formats/turns.h"

namespace elenchus {
namespace {

bool recognises(const Json& row, const RowColumns&) {
  return row.find("prompt") != nullptr && row.find("completion") != nullptr;
}

Conversation parse_chat(const Json& prompt, const Json& completion) {
  Conversation out;
  out.messages = read_turns(prompt, "prompt", "role", "content");
  out.first_trained = out.messages.size();
  std::vector<Message> answer = read_turns(completion, "completion", "role", "content");
  out.messages.insert(out.messages.end(), answer.begin(), answer.end());
  check_turns(out.messages);
  for (const Message& turn : answer)
    if (turn.role == "assistant") return out;
  throw RowError("no_assistant", "completion: found no turn of the assistant, expected one");
}

Conversation parse(const Json& row, const RowColumns&) {
  expect_object(row);
  for (const std::string_view key : {"prompt", "completion"})
    if (!row.find(key))
      throw RowError("key_missing", cat(key, ": missing, expected a string or an array of turns"));
  const Json& prompt = row.at("prompt", "row");
  const Json& completion = row.at("completion", "row");
  if (prompt.is_array() && completion.is_array()) return parse_chat(prompt, completion);
  if (prompt.is_array() != completion.is_array())
    throw RowError("key_kinds_differ",
                   cat("prompt is ", prompt.kind_name(), " and completion is ",
                       completion.kind_name(), ", expected two strings or two arrays of turns"));
  Conversation out;
  out.prompt = text_of(row, "prompt");
  out.text = text_of(row, "completion");
  if (out.text.find_first_not_of(" \t\r\n") == std::string::npos)
    throw RowError("completion_empty", "completion: expected text, found none");
  return out;
}

}  // namespace

const DataFormat kPromptCompletionFormat = {"prompt_completion", recognises, parse,
                                            "prompt and completion"};

}  // namespace elenchus
