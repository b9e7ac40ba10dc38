#include "text/unicode_additions.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>

namespace elenchus {

namespace {

enum Version { k15, k16 };  // 15.0 or 15.1, 16.0

struct Addition {
  char32_t first, last;
  std::string_view category;
  Version version;
};

constexpr Addition kAdditions[] = {
    {0x897, 0x897, "Mn", k16},     {0xCF3, 0xCF3, "Mc", k15},     {0xECE, 0xECE, "Mn", k15},
    {0x1B4E, 0x1B4F, "Po", k16},   {0x1B7F, 0x1B7F, "Po", k16},   {0x1C89, 0x1C89, "Lu", k16},
    {0x1C8A, 0x1C8A, "Ll", k16},   {0x2427, 0x2429, "So", k16},   {0x2FFC, 0x2FFF, "So", k15},
    {0x31E4, 0x31E5, "So", k16},   {0x31EF, 0x31EF, "So", k15},   {0xA7CB, 0xA7CC, "Lu", k16},
    {0xA7CD, 0xA7CD, "Ll", k16},   {0xA7DA, 0xA7DA, "Lu", k16},   {0xA7DB, 0xA7DB, "Ll", k16},
    {0xA7DC, 0xA7DC, "Lu", k16},   {0x105C0, 0x105F3, "Lo", k16}, {0x10D40, 0x10D49, "Nd", k16},
    {0x10D4A, 0x10D4D, "Lo", k16}, {0x10D4E, 0x10D4E, "Lm", k16}, {0x10D4F, 0x10D4F, "Lo", k16},
    {0x10D50, 0x10D65, "Lu", k16}, {0x10D69, 0x10D6D, "Mn", k16}, {0x10D6E, 0x10D6E, "Pd", k16},
    {0x10D6F, 0x10D6F, "Lm", k16}, {0x10D70, 0x10D85, "Ll", k16}, {0x10D8E, 0x10D8F, "Sm", k16},
    {0x10EC2, 0x10EC4, "Lo", k16}, {0x10EFC, 0x10EFC, "Mn", k16}, {0x10EFD, 0x10EFF, "Mn", k15},
    {0x1123F, 0x11240, "Lo", k15}, {0x11241, 0x11241, "Mn", k15}, {0x11380, 0x11389, "Lo", k16},
    {0x1138B, 0x1138B, "Lo", k16}, {0x1138E, 0x1138E, "Lo", k16}, {0x11390, 0x113B5, "Lo", k16},
    {0x113B7, 0x113B7, "Lo", k16}, {0x113B8, 0x113BA, "Mc", k16}, {0x113BB, 0x113C0, "Mn", k16},
    {0x113C2, 0x113C2, "Mc", k16}, {0x113C5, 0x113C5, "Mc", k16}, {0x113C7, 0x113CA, "Mc", k16},
    {0x113CC, 0x113CD, "Mc", k16}, {0x113CE, 0x113CE, "Mn", k16}, {0x113CF, 0x113CF, "Mc", k16},
    {0x113D0, 0x113D0, "Mn", k16}, {0x113D1, 0x113D1, "Lo", k16}, {0x113D2, 0x113D2, "Mn", k16},
    {0x113D3, 0x113D3, "Lo", k16}, {0x113D4, 0x113D5, "Po", k16}, {0x113D7, 0x113D8, "Po", k16},
    {0x113E1, 0x113E2, "Mn", k16}, {0x116D0, 0x116E3, "Nd", k16}, {0x11B00, 0x11B09, "Po", k15},
    {0x11BC0, 0x11BE0, "Lo", k16}, {0x11BE1, 0x11BE1, "Po", k16}, {0x11BF0, 0x11BF9, "Nd", k16},
    {0x11F00, 0x11F01, "Mn", k15}, {0x11F02, 0x11F02, "Lo", k15}, {0x11F03, 0x11F03, "Mc", k15},
    {0x11F04, 0x11F10, "Lo", k15}, {0x11F12, 0x11F33, "Lo", k15}, {0x11F34, 0x11F35, "Mc", k15},
    {0x11F36, 0x11F3A, "Mn", k15}, {0x11F3E, 0x11F3F, "Mc", k15}, {0x11F40, 0x11F40, "Mn", k15},
    {0x11F41, 0x11F41, "Mc", k15}, {0x11F42, 0x11F42, "Mn", k15}, {0x11F43, 0x11F4F, "Po", k15},
    {0x11F50, 0x11F59, "Nd", k15}, {0x11F5A, 0x11F5A, "Mn", k16}, {0x1342F, 0x1342F, "Lo", k15},
    {0x13439, 0x1343F, "Cf", k15}, {0x13440, 0x13440, "Mn", k15}, {0x13441, 0x13446, "Lo", k15},
    {0x13447, 0x13455, "Mn", k15}, {0x13460, 0x143FA, "Lo", k16}, {0x16100, 0x1611D, "Lo", k16},
    {0x1611E, 0x16129, "Mn", k16}, {0x1612A, 0x1612C, "Mc", k16}, {0x1612D, 0x1612F, "Mn", k16},
    {0x16130, 0x16139, "Nd", k16}, {0x16D40, 0x16D42, "Lm", k16}, {0x16D43, 0x16D6A, "Lo", k16},
    {0x16D6B, 0x16D6C, "Lm", k16}, {0x16D6D, 0x16D6F, "Po", k16}, {0x16D70, 0x16D79, "Nd", k16},
    {0x18CFF, 0x18CFF, "Lo", k16}, {0x1B132, 0x1B132, "Lo", k15}, {0x1B155, 0x1B155, "Lo", k15},
    {0x1CC00, 0x1CCEF, "So", k16}, {0x1CCF0, 0x1CCF9, "Nd", k16}, {0x1CD00, 0x1CEB3, "So", k16},
    {0x1D2C0, 0x1D2D3, "No", k15}, {0x1DF25, 0x1DF2A, "Ll", k15}, {0x1E030, 0x1E06D, "Lm", k15},
    {0x1E08F, 0x1E08F, "Mn", k15}, {0x1E4D0, 0x1E4EA, "Lo", k15}, {0x1E4EB, 0x1E4EB, "Lm", k15},
    {0x1E4EC, 0x1E4EF, "Mn", k15}, {0x1E4F0, 0x1E4F9, "Nd", k15}, {0x1E5D0, 0x1E5ED, "Lo", k16},
    {0x1E5EE, 0x1E5EF, "Mn", k16}, {0x1E5F0, 0x1E5F0, "Lo", k16}, {0x1E5F1, 0x1E5FA, "Nd", k16},
    {0x1E5FF, 0x1E5FF, "Po", k16}, {0x1F6DC, 0x1F6DC, "So", k15}, {0x1F774, 0x1F776, "So", k15},
    {0x1F77B, 0x1F77F, "So", k15}, {0x1F7D9, 0x1F7D9, "So", k15}, {0x1F8B2, 0x1F8BB, "So", k16},
    {0x1F8C0, 0x1F8C1, "So", k16}, {0x1FA75, 0x1FA77, "So", k15}, {0x1FA87, 0x1FA88, "So", k15},
    {0x1FA89, 0x1FA89, "So", k16}, {0x1FA8F, 0x1FA8F, "So", k16}, {0x1FAAD, 0x1FAAF, "So", k15},
    {0x1FABB, 0x1FABD, "So", k15}, {0x1FABE, 0x1FABE, "So", k16}, {0x1FABF, 0x1FABF, "So", k15},
    {0x1FAC6, 0x1FAC6, "So", k16}, {0x1FACE, 0x1FACF, "So", k15}, {0x1FADA, 0x1FADB, "So", k15},
    {0x1FADC, 0x1FADC, "So", k16}, {0x1FADF, 0x1FADF, "So", k16}, {0x1FAE8, 0x1FAE8, "So", k15},
    {0x1FAE9, 0x1FAE9, "So", k16}, {0x1FAF7, 0x1FAF8, "So", k15}, {0x1FBCB, 0x1FBEF, "So", k16},
    {0x2B739, 0x2B739, "Lo", k15}, {0x2EBF0, 0x2EE5D, "Lo", k15}, {0x31350, 0x323AF, "Lo", k15}};

struct ScriptAddition {
  std::string_view script;
  char32_t first, last;
};

constexpr ScriptAddition kScriptAdditions[] = {{"Han", 0x2B739, 0x2B739},
                                               {"Han", 0x2EBF0, 0x2EE5D},
                                               {"Han", 0x31350, 0x323AF},
                                               {"Hiragana", 0x1B132, 0x1B132},
                                               {"Katakana", 0x1B155, 0x1B155}};

constexpr std::string_view kScripts[] = {"Han",   "Hiragana", "Katakana", "Hangul",
                                         "Greek", "Hebrew",   "Thai"};

constexpr std::string_view kCategories[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc",
                                            "Me", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps",
                                            "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So",
                                            "Z",  "Zs", "Zl", "Zp", "Cc", "Cf", "Co"};

std::string regex_range(char32_t first, char32_t last) {
  const auto escaped = [](char32_t code) {
    std::array<char, 16> text;
    const int size = std::snprintf(text.data(), text.size(), "\\x{%X}", unsigned(code));
    return std::string(text.data(), std::size_t(size));
  };
  return first == last ? escaped(first) : escaped(first) + "-" + escaped(last);
}

}  // namespace

std::optional<AddedCharacter> added_character(char32_t code) {
  const auto* found = std::partition_point(std::begin(kAdditions), std::end(kAdditions),
                                           [&](const Addition& a) { return a.last < code; });
  if (found == std::end(kAdditions) || found->first > code) return {};
  return AddedCharacter{found->category, found->version == k16};
}

std::optional<std::string> regex_members(std::string_view property) {
  std::string out;
  if (std::ranges::find(kCategories, property) != std::end(kCategories)) {
    out = std::string("\\p{").append(property) + "}";
    for (const Addition& addition : kAdditions)
      if (addition.category.starts_with(property))
        out += regex_range(addition.first, addition.last);
    return out;
  }
  if (std::ranges::find(kScripts, property) == std::end(kScripts)) return {};
  out = std::string("\\p{sc:").append(property) + "}";
  for (const ScriptAddition& addition : kScriptAdditions)
    if (addition.script == property) out += regex_range(addition.first, addition.last);
  return out;
}

}  // namespace elenchus
