#include "data/formats/turns.h"

#include <algorithm>
#include <array>

#include "base/file.h"

namespace elenchus {
namespace {

struct RoleName {
  std::string_view written, role;
};
constexpr std::array<RoleName, 9> kRoles = {{{"system", "system"},
                                             {"user", "user"},
                                             {"assistant", "assistant"},
                                             {"model", "assistant"},
                                             {"human", "user"},
                                             {"gpt", "assistant"},
                                             {"chatgpt", "assistant"},
                                             {"bot", "assistant"},
                                             {"ai", "assistant"}}};

bool blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == text.npos; }

std::string role_of(const Json& turn, const std::string& where, std::string_view key) {
  const Json* role = turn.find(key);
  const std::string place = cat(where, ".", key);
  if (!role) throw RowError("role_missing", cat(place, ": missing, expected user or assistant"));
  if (!role->is_string())
    throw RowError("role_not_string", cat(place, ": expected a string, found ", role->kind_name()));
  const std::string& written = role->as_string(place);
  const auto known = std::ranges::find(kRoles, std::string_view(written), &RoleName::written);
  if (known == kRoles.end())
    throw RowError("role_unknown", cat(place, ": found '", printable(written),
                                       "', expected user, assistant, model or system"));
  return std::string(known->role);
}

std::string text_of_parts(const Json::Array& parts, const std::string& place) {
  std::string out;
  for (const Json& part : parts) {
    const Json* type = part.find("type");
    const Json* text = part.find("text");
    const bool is_text = !type || (type->is_string() && type->as_string(place) == "text");
    if (!is_text || !text || !text->is_string())
      throw RowError("content_part",
                     cat(place, ": expected parts {\"type\": \"text\", \"text\": ...} only"));
    out += text->as_string(place);
  }
  return out;
}

std::string content_of(const Json& turn, const std::string& where, std::string_view key) {
  const Json* content = turn.find(key);
  const std::string place = cat(where, ".", key);
  if (!content) throw RowError("content_missing", cat(place, ": missing, expected a string"));
  if (content->is_null())
    throw RowError("content_null", cat(place, ": expected a string, found null"));
  if (content->is_array()) return text_of_parts(content->as_array(place), place);
  if (!content->is_string())
    throw RowError("content_not_string",
                   cat(place, ": expected a string, found ", content->kind_name()));
  return content->as_string(place);
}

}  // namespace

void expect_nothing_at(const Json& object, std::span<const std::string_view> keys,
                       const std::string& where) {
  for (const std::string_view key : keys) {
    const Json* value = object.find(key);
    const bool empty = !value || value->is_null() ||
                       (value->is_array() && value->as_array(key).empty()) ||
                       (value->is_string() && blank(value->as_string(key)));
    if (!empty)
      throw RowError("key_unsupported",
                     cat(where, where.empty() ? "" : ".", key,
                         ": chat templates would write it, and it is not given to them; put it "
                         "into the content, or take it out"));
  }
}

void expect_object(const Json& row) {
  if (!row.is_object())
    throw RowError("row_not_object", cat("expected an object, found ", row.kind_name()));
}

const std::string& text_of(const Json& row, std::string_view key) {
  const Json* value = row.find(key);
  if (!value) throw RowError("key_missing", cat(printable(key), ": missing, expected a string"));
  if (!value->is_string())
    throw RowError("key_not_string",
                   cat(printable(key), ": expected a string, found ", value->kind_name()));
  return value->as_string(key);
}

std::vector<Message> read_turns(const Json& list, std::string_view where, std::string_view role_key,
                                std::string_view content_key) {
  if (!list.is_array())
    throw RowError("messages_not_array",
                   cat(where, ": expected an array, found ", list.kind_name()));
  const Json::Array& items = list.as_array(where);
  if (items.empty()) throw RowError("messages_empty", cat(where, ": expected turns, found none"));
  if (items.size() > kMostTurns)
    throw RowError("too_many_turns",
                   cat(where, ": found ", items.size(), " turns, expected at most ", kMostTurns));
  std::vector<Message> turns;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string place = cat(where, "[", i, "]");
    if (!items[i].is_object())
      throw RowError("message_not_object",
                     cat(place, ": expected an object, found ", items[i].kind_name()));
    constexpr std::string_view kBesideContent[] = {"tool_calls", "reasoning_content", "thinking"};
    expect_nothing_at(items[i], kBesideContent, place);
    std::string role = role_of(items[i], place, role_key);
    turns.push_back({std::move(role), content_of(items[i], place, content_key)});
  }
  return turns;
}

void check_turns(const std::vector<Message>& turns) {
  std::string_view before;
  bool answered = false;
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const std::string& role = turns[i].role;
    const auto turn = [&] { return cat("turn ", i + 1, " of ", turns.size(), ": "); };
    if (role == "system") {
      if (i > 0)
        throw RowError("system_not_first",
                       turn() + "found a system message, expected it before all others");
    } else if (role == "assistant") {
      if (before.empty() || before == "system")
        throw RowError("assistant_first",
                       turn() + "found the assistant, expected the user to speak first");
      if (before == role)
        throw RowError("assistant_after_assistant",
                       turn() + "found the assistant twice in a row, expected the user");
      if (blank(turns[i].content))
        throw RowError("assistant_empty", turn() + "found an empty answer, expected text");
      answered = true;
    } else if (before == role) {
      throw RowError("user_after_user",
                     turn() + "found the user twice in a row, expected the assistant");
    }
    before = role;
  }
  if (!answered)
    throw RowError("no_assistant", "found no turn of the assistant, expected one to learn from");
}

}  // namespace elenchus
