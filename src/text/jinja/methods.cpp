// Methods of strings, lists, tuples, dicts and of `loop`. Those that would change a value are not
// there.
#include <algorithm>
#include <span>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/markup.h"
#include "text/jinja/print.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {
namespace {

using In = Interpreter&;
using Subject = const Value&;
using Args = const Arguments&;

// What a method of Markup puts into its text is escaped first.
Value beside(In in, Subject self, const Value& value) {
  return self.text()->markup() ? escape(in.budget(), value) : value;
}

template <Side side>
Value strip_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "strip", arguments, {"chars"});
  return strip(*self.text(), bound.text(0), side);
}

template <Side side>
Value split_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "split", arguments, {"sep", "maxsplit"});
  return make_list(in.budget(), split(*self.text(), bound.text(0), bound.integer(1, -1), side));
}

Value splitlines_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "splitlines", arguments, {"keepends"});
  return make_list(in.budget(), split_lines(*self.text(), bound.flag(0, false)));
}

const Text& required_text(In in, const Bound& bound, std::size_t i) {
  if (!bound.text(i)) in.budget().fail("expected a string, found a NoneType");
  return *bound.text(i);
}

template <Side side>
Value partition_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "partition", arguments, {"sep"}, 1);
  return make_sequence(in.budget(), SequenceKind::tuple,
                       partition(*self.text(), required_text(in, bound, 0), side));
}

// The bytes [begin, end) of a text that arguments `start` and `stop` in code points select.
std::pair<std::size_t, std::size_t> selected(const Text& text, const Bound& bound) {
  const std::int64_t length = std::int64_t(text.length);
  const auto place = [&](std::size_t i, std::int64_t fallback) {
    if (!bound[i] || bound[i]->is_none()) return fallback;
    const std::int64_t at = bound.integer(i, fallback);
    return at < 0 ? std::max<std::int64_t>(at + length, 0) : std::min(at, length + 1);
  };
  const std::int64_t start = place(1, 0), stop = std::min(place(2, length), length);
  if (start > stop) return {1, 0};
  return {byte_of(text, std::size_t(start)), byte_of(text, std::size_t(stop))};
}

template <bool at_start>
Value affix_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "startswith", arguments, {"prefix", "start", "end"}, 1);
  const Text& text = *self.text();
  const auto [begin, end] = selected(text, bound);
  if (begin > end) return false;
  const std::string_view part = std::string_view(text.bytes).substr(begin, end - begin);
  const auto matches = [&](const Value& affix) {
    if (!affix.text())
      in.budget().fail(cat("startswith: expected a string, found a ", type_name(affix)));
    in.budget().spend_bytes(affix.text()->bytes.size());
    return at_start ? part.starts_with(affix.text()->bytes) : part.ends_with(affix.text()->bytes);
  };
  const Sequence* choices = bound[0]->sequence();
  if (!choices || choices->kind != SequenceKind::tuple) return matches(*bound[0]);
  return std::any_of(choices->items.begin(), choices->items.end(), matches);
}

template <bool at_start>
Value remove_affix_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "removeprefix", arguments, {"prefix"}, 1);
  const Text &text = *self.text(), &affix = required_text(in, bound, 0);
  const std::size_t size = text.bytes.size(), cut = affix.bytes.size();
  if (at_start) return substring(text, text.bytes.starts_with(affix.bytes) ? cut : 0, size);
  return substring(text, 0, text.bytes.ends_with(affix.bytes) ? size - cut : size);
}

template <bool from_start, bool must_find>
Value find_method_of_text(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "find", arguments, {"sub", "start", "end"}, 1);
  const Text& text = *self.text();
  const Text& part = required_text(in, bound, 0);
  const auto [begin, end] = selected(text, bound);
  std::size_t found = std::string_view::npos;
  if (begin <= end) {
    const std::string_view within = std::string_view(text.bytes).substr(begin, end - begin);
    found = from_start ? find_bytes(in.budget(), within, part.bytes)
                       : find_bytes_from_end(in.budget(), within, part.bytes);
  }
  if (found == std::string_view::npos) {
    if (must_find) in.budget().fail("index: the string is not there");
    return -1;
  }
  return std::int64_t(code_points(std::string_view(text.bytes).substr(0, begin + found)));
}

Value count_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "count", arguments, {"sub", "start", "end"}, 1);
  const Text& text = *self.text();
  const auto [begin, end] = selected(text, bound);
  if (begin > end) return 0;
  const Value within = substring(text, begin, end);
  return count_occurrences(*within.text(), required_text(in, bound, 0));
}

Value replace_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "replace", arguments, {"old", "new", "count"}, 2);
  const Text& old = required_text(in, bound, 0);
  if (!self.text()->markup()) required_text(in, bound, 1);
  const Value by = beside(in, self, *bound[1]);
  return replace(*self.text(), old, *by.text(), bound.integer(2, -1));
}

Value join_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "join", arguments, {"iterable"}, 1);
  std::vector<Value> pieces = iterate(in.budget(), *bound[0]);
  for (Value& piece : pieces) {
    piece = beside(in, self, piece);
    if (!piece.text()) in.budget().fail(cat("join: expected strings, found a ", type_name(piece)));
  }
  return join(in.budget(), self.text(), pieces);
}

template <Case to>
Value case_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "upper", arguments, {});
  return change_case(*self.text(), to);
}

template <CharacterClass wanted>
Value class_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "isalpha", arguments, {});
  return all_are(*self.text(), wanted);
}

template <Case wanted>
Value is_case_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "isupper", arguments, {});
  return has_case(*self.text(), wanted);
}

Value istitle_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "istitle", arguments, {});
  return is_title(*self.text());
}

template <Side side>
Value pad_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "center", arguments, {"width", "fillchar"}, 1);
  const Value fill = beside(in, self, bound.value(1, make_text(in.budget(), " ")));
  if (!fill.text() || fill.text()->length != 1)
    in.budget().fail("center: the fill is not one character");
  return pad(*self.text(), bound.integer(0, 0), fill.text()->bytes, side);
}

Value zfill_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "zfill", arguments, {"width"}, 1);
  const Text& text = *self.text();
  const bool is_signed = text.bytes.starts_with('-') || text.bytes.starts_with('+');
  const Value digits = substring(text, is_signed, text.bytes.size());
  const Value padded =
      pad(*digits.text(), std::max<std::int64_t>(bound.integer(0, 0), is_signed) - is_signed, "0",
          Side::right);
  return concatenate(*substring(text, 0, is_signed).text(), *padded.text());
}

Value format_method(In in, Subject self, Args arguments) {
  return format_braces(in.budget(), *self.text(), arguments);
}

Value get_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "get", arguments, {"key", "default"}, 1);
  if (!hashable(*bound[0])) in.budget().fail(cat("get: a ", type_name(*bound[0]), " is no key"));
  const Value* found = self.dict()->find(*bound[0]);
  return found ? *found : bound.value(1);
}

template <SequenceKind kind>
Value view_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "items", arguments, {});
  return dict_view(in.budget(), *self.dict(), kind);
}

Value copy_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "copy", arguments, {});
  return self;
}

Value count_items_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "count", arguments, {"value"}, 1);
  const std::vector<Value>& items = self.sequence()->items;
  in.budget().spend(std::int64_t(items.size()));
  return std::int64_t(std::count_if(items.begin(), items.end(),
                                    [&](const Value& item) { return equal(item, *bound[0]); }));
}

Value index_method(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "index", arguments, {"value"}, 1);
  const std::vector<Value>& items = self.sequence()->items;
  for (std::size_t i = 0; i < items.size(); ++i) {
    in.budget().spend();
    if (equal(items[i], *bound[0])) return std::int64_t(i);
  }
  in.budget().fail("index: the value is not in the list");
}

Value loop_cycle(In in, Subject self, Args arguments) {
  const std::vector<Value>& items = arguments.positional;
  if (items.empty() || !arguments.named.empty()) in.budget().fail("loop.cycle: no items");
  return items[std::size_t(self.as<Loop>()->index0) % items.size()];
}

Value loop_changed(In in, Subject self, Args arguments) {
  const Value values = make_sequence(in.budget(), SequenceKind::tuple, arguments.positional);
  std::string printed = to_repr(in.budget(), values).text()->bytes;
  std::string& last = self.as<Loop>()->last_changed;
  const bool changed = printed != last;
  last = std::move(printed);
  return changed;
}

Value cycler_next(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "next", arguments, {});
  Cycler& cycler = *self.as<Cycler>();
  const Value& item = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return item;
}

Value cycler_reset(In in, Subject self, Args arguments) {
  const Bound bound(in.budget(), "reset", arguments, {});
  self.as<Cycler>()->position = 0;
  return {};
}

constexpr Builtin kTextMethods[] = {
    {"capitalize", case_method<Case::capitalize>},
    {"casefold", case_method<Case::fold>},
    {"center", pad_method<Side::both>},
    {"count", count_method},
    {"endswith", affix_method<false>},
    {"find", find_method_of_text<true, false>},
    {"format", format_method},
    {"index", find_method_of_text<true, true>},
    {"isalnum", class_method<CharacterClass::alphanumeric>},
    {"isalpha", class_method<CharacterClass::alphabetic>},
    {"isascii", class_method<CharacterClass::ascii>},
    {"isdecimal", class_method<CharacterClass::decimal>},
    {"isdigit", class_method<CharacterClass::digit>},
    {"islower", is_case_method<Case::lower>},
    {"isnumeric", class_method<CharacterClass::numeric>},
    {"isprintable", class_method<CharacterClass::printable>},
    {"isspace", class_method<CharacterClass::blank>},
    {"istitle", istitle_method},
    {"isupper", is_case_method<Case::upper>},
    {"join", join_method},
    {"ljust", pad_method<Side::left>},
    {"lower", case_method<Case::lower>},
    {"lstrip", strip_method<Side::left>},
    {"partition", partition_method<Side::left>},
    {"removeprefix", remove_affix_method<true>},
    {"removesuffix", remove_affix_method<false>},
    {"replace", replace_method},
    {"rfind", find_method_of_text<false, false>},
    {"rindex", find_method_of_text<false, true>},
    {"rjust", pad_method<Side::right>},
    {"rpartition", partition_method<Side::right>},
    {"rsplit", split_method<Side::right>},
    {"rstrip", strip_method<Side::right>},
    {"split", split_method<Side::left>},
    {"splitlines", splitlines_method},
    {"startswith", affix_method<true>},
    {"strip", strip_method<Side::both>},
    {"swapcase", case_method<Case::swap>},
    {"title", case_method<Case::title>},
    {"upper", case_method<Case::upper>},
    {"zfill", zfill_method},
};

constexpr Builtin kDictMethods[] = {
    {"copy", copy_method},
    {"get", get_method},
    {"items", view_method<SequenceKind::items>},
    {"keys", view_method<SequenceKind::keys>},
    {"values", view_method<SequenceKind::values>},
};

constexpr Builtin kListMethods[] = {
    {"count", count_items_method},
    {"index", index_method},
    {"copy", copy_method},
};

constexpr Builtin kLoopMethods[] = {{"changed", loop_changed}, {"cycle", loop_cycle}};
constexpr Builtin kCyclerMethods[] = {{"next", cycler_next}, {"reset", cycler_reset}};

std::span<const Builtin> methods_of(const Value& value) {
  if (value.text()) return kTextMethods;
  if (value.dict()) return kDictMethods;
  if (value.as<Loop>()) return kLoopMethods;
  if (value.as<Cycler>()) return kCyclerMethods;
  const Sequence* sequence = value.sequence();
  if (!sequence || !sequence->indexable()) return {};
  const std::span<const Builtin> methods = kListMethods;
  return sequence->kind == SequenceKind::list ? methods : methods.first(2);
}

}  // namespace

Value call_method(Interpreter& interpreter, const Method& method, const Arguments& arguments) {
  Value made = method.builtin.apply(interpreter, method.subject, arguments);
  const Text* text = method.subject.text();
  return text ? made_from(*text, std::move(made)) : made;
}

const Builtin* find_method(const Value& value, std::string_view name) {
  for (const Builtin& method : methods_of(value))
    if (method.name == name) return &method;
  return nullptr;
}

}  // namespace elenchus::jinja
