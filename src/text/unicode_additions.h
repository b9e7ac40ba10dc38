#pragma once
// Characters that Unicode 14 did not have yet: the libraries that classify characters here may be as
// old as that, the ones that tokenizers are trained and run with know Unicode 16.

#include <optional>
#include <string>
#include <string_view>

namespace elenchus {

struct AddedCharacter {
  std::string_view category;  ///< general category: "Lo"
  bool in_16;                 ///< came with Unicode 16; else with 15.0 or 15.1
};
/// What is known of a character that came with Unicode 15.0, 15.1 or 16; nothing for all others.
std::optional<AddedCharacter> added_character(char32_t code);

/// What a PCRE2 class needs between its brackets to hold a property as Unicode 16 has it: a general
/// category (L, Lu, ...) or one of a few scripts (Han, ...); nothing for other names.
std::optional<std::string> regex_members(std::string_view property);

}  // namespace elenchus
