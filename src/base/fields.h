#pragma once
// Configuration structs list their fields once; readers, writers and help are visitors over that
// list.
//
//   struct LoraConfig {
//     static constexpr bool kHasFields = true;
//     int r = 16;
//     template <class Self, class V> static void fields(Self& s, V& v) {
//       v(Field{"r", "rank: rows of A and columns of B", {"lora_r", "lora_rank"}}, s.r);
//     }
//   };
//
// The visitors are in field_visitors.h, which only who reads or writes recipes needs.

#include <string_view>
#include <vector>

namespace elenchus {

/// One key of a recipe: its name, a sentence for --help, and the other names it is known by.
struct Field {
  std::string_view name;
  std::string_view help;
  std::vector<std::string_view> aliases = {};
  /// A string field that a recipe may also give as a map: it gets the map as one line of JSON.
  bool map_as_text = false;
};

/// The names of an enum's values, in their order from 0. Specialise: `template <> struct
/// EnumNames<X> { static constexpr std::string_view names[] = {"no", "steps"}; };`
template <class E>
struct EnumNames;

/// Whether a type lists its fields.
template <class T>
concept HasFields = T::kHasFields;

}  // namespace elenchus
