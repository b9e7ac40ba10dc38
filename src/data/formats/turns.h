#pragma once
// What the formats of conversations share.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/conversation.h"

namespace elenchus {

/// Most turns of one conversation.
inline constexpr std::size_t kMostTurns = 1024;

/// RowError key_unsupported if the object has one of these keys, and something there: text that a
/// template would write must not be left out without a word. `where` names the object.
void expect_nothing_at(const Json& object, std::span<const std::string_view> keys,
                       const std::string& where);
/// RowError row_not_object unless the row is an object.
void expect_object(const Json& row);
/// The text of a key. RowError: key_missing, key_not_string.
const std::string& text_of(const Json& row, std::string_view key);
/// An array of {role_key: ..., content_key: ...} as turns, `where` naming it in messages
/// ("messages"). Roles become system, user or assistant. RowError: each fault with its own code.
std::vector<Message> read_turns(const Json& list, std::string_view where, std::string_view role_key,
                                std::string_view content_key);
/// RowError unless system comes first if at all, then user and assistant in turn, with an answer
/// that is not blank among them.
void check_turns(const std::vector<Message>& turns);

}  // namespace elenchus
