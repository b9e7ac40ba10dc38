// {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}

#include "data/formats/catalogue.h"
#include "data/formats/turns.h"

namespace elenchus {
namespace {

bool recognises(const Json& row, const RowColumns&) { return row.find("messages") != nullptr; }

Conversation parse(const Json& row, const RowColumns&) {
  expect_object(row);
  const Json* list = row.find("messages");
  if (!list) throw RowError("messages_missing", "messages: missing, expected an array of turns");
  constexpr std::string_view kBesideMessages[] = {"tools", "documents"};
  expect_nothing_at(row, kBesideMessages, "");
  Conversation out;
  out.messages = read_turns(*list, "messages", "role", "content");
  check_turns(out.messages);
  return out;
}

}  // namespace

const DataFormat kMessagesFormat = {"messages", recognises, parse, "messages"};

}  // namespace elenchus
