// {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}, with an
// optional "system" text beside it.

#include "data/formats/catalogue.h"
#include "data/formats/turns.h"

namespace elenchus {
namespace {

bool recognises(const Json& row, const RowColumns&) { return row.find("conversations") != nullptr; }

Conversation parse(const Json& row, const RowColumns&) {
  expect_object(row);
  const Json* list = row.find("conversations");
  if (!list)
    throw RowError("messages_missing", "conversations: missing, expected an array of turns");
  Conversation out;
  out.messages = read_turns(*list, "conversations", "from", "value");
  const Json* system = row.find("system");
  if (system && !system->is_null() && !text_of(row, "system").empty())
    out.messages.insert(out.messages.begin(), {"system", text_of(row, "system")});
  check_turns(out.messages);
  return out;
}

}  // namespace

const DataFormat kShareGptFormat = {"sharegpt", recognises, parse, "conversations"};

}  // namespace elenchus
