// Filters over lists and dicts.
#include <algorithm>
#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/markup.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {
namespace {

using In = Interpreter&;
using Subject = const Value&;
using Args = const Arguments&;

Value lowered(Budget& budget, const Value& value) {
  (void)budget;
  return value.text() ? change_case(*value.text(), Case::lower) : value;
}

// The attribute "a.b.0" of a value: attributes and indices one after the other.
Value dotted_attribute(Budget& budget, Value value, const Value& path, const Value& fallback) {
  if (!path.text()) return path.integer() ? get_item(budget, value, path) : value;
  const Value dot = make_text(budget, ".");
  for (const Value& part : split(*path.text(), dot.text(), -1, Side::left)) {
    const std::string& name = part.text()->bytes;
    constexpr std::size_t kLongestIndex = 9;
    const bool index = !name.empty() && name.size() <= kLongestIndex &&
                       name.find_first_not_of("0123456789") == std::string::npos;
    value = get_item(budget, value, index ? Value(std::int64_t(std::stol(name))) : part);
    if (value.is_undefined() && !fallback.is_none()) value = fallback;
  }
  return value;
}

/// What items are ordered and compared by: themselves or an attribute, without case if asked.
struct Key {
  Value attribute;
  bool case_sensitive = false;
  Value of(Budget& budget, const Value& item) const {
    const Value key = attribute.is_none() ? item : dotted_attribute(budget, item, attribute, {});
    return case_sensitive ? key : lowered(budget, key);
  }
};

struct Keyed {
  Value key;
  Value item;
};

// Stable, ascending or descending; equal items keep their order either way.
void sort_keyed(Budget& budget, std::vector<Keyed>& items, bool descending) {
  std::stable_sort(items.begin(), items.end(), [&](const Keyed& a, const Keyed& b) {
    return descending ? less(budget, b.key, a.key) : less(budget, a.key, b.key);
  });
}

Value list_of_keyed(Budget& budget, std::vector<Keyed> items) {
  std::vector<Value> sorted;
  for (Keyed& keyed : items) sorted.push_back(std::move(keyed.item));
  return make_list(budget, std::move(sorted));
}

Value sort_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "sort", arguments, {"reverse", "case_sensitive", "attribute"});
  std::vector<Value> paths = {bound.value(2)};
  if (paths[0].text()) {
    const Value comma = make_text(budget, ",");
    paths = split(*paths[0].text(), comma.text(), -1, Side::left);
  }
  std::vector<Keyed> items;
  for (Value& item : iterate(budget, value)) {
    std::vector<Value> keys;
    for (const Value& path : paths)
      keys.push_back(Key{path, bound.flag(1, false)}.of(budget, item));
    items.push_back({make_list(budget, std::move(keys)), std::move(item)});
  }
  sort_keyed(budget, items, bound.flag(0, false));
  return list_of_keyed(budget, std::move(items));
}

Value dictsort_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "dictsort", arguments, {"case_sensitive", "by", "reverse"});
  require_defined(budget, value);
  if (!value.dict()) budget.fail(cat("dictsort: expected a dict, found a ", type_name(value)));
  const std::string by = bound.text(1) ? bound.text(1)->bytes : "key";
  if (by != "key" && by != "value") budget.fail("dictsort: 'by' is 'key' or 'value'");
  std::vector<Keyed> items;
  for (const auto& [key, item] : value.dict()->entries) {
    const Value& sorts = by == "key" ? key : item;
    items.push_back({bound.flag(0, false) ? sorts : lowered(budget, sorts),
                     make_sequence(budget, SequenceKind::tuple, {key, item})});
  }
  sort_keyed(budget, items, bound.flag(2, false));
  return list_of_keyed(budget, std::move(items));
}

Value unique_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "unique", arguments, {"case_sensitive", "attribute"});
  const Key key{bound.value(1), bound.flag(0, false)};
  std::vector<Value> seen, kept;
  for (Value& item : iterate(budget, value)) {
    Value one = key.of(budget, item);
    if (!hashable(one)) budget.fail(cat("unique: a ", type_name(one), " cannot be hashed"));
    budget.spend(1 + std::int64_t(seen.size() / 4));
    if (std::any_of(seen.begin(), seen.end(), [&one](const Value& s) { return equal(s, one); }))
      continue;
    seen.push_back(std::move(one));
    kept.push_back(std::move(item));
  }
  return make_sequence(budget, SequenceKind::generator, std::move(kept));
}

Value groupby_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const bool case_sensitive = bound.flag(2, false);
  std::vector<Keyed> items;
  for (Value& item : iterate(budget, value)) {
    Value shown = dotted_attribute(budget, item, *bound[0], bound.value(1));
    Value key = case_sensitive ? shown : lowered(budget, shown);
    items.push_back({std::move(key), make_list(budget, {std::move(shown), std::move(item)})});
  }
  sort_keyed(budget, items, false);
  std::vector<Value> groups;
  for (std::size_t begin = 0, end; begin < items.size(); begin = end) {
    std::vector<Value> members;
    for (end = begin; end < items.size() && equal(items[end].key, items[begin].key); ++end)
      members.push_back(items[end].item.sequence()->items[1]);
    if (members.empty()) budget.fail("groupby: a key that is not equal to itself");
    groups.push_back(make_sequence(
        budget, SequenceKind::group,
        {items[begin].item.sequence()->items[0], make_list(budget, std::move(members))}));
  }
  return make_list(budget, std::move(groups));
}

template <bool smallest>
Value extreme_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, smallest ? "min" : "max", arguments, {"case_sensitive", "attribute"});
  const Key key{bound.value(1), bound.flag(0, false)};
  const std::vector<Value> items = iterate(budget, value);
  if (items.empty()) return make_undefined(budget, "the sequence is empty");
  const Value* best = &items[0];
  Value best_key = key.of(budget, items[0]);
  for (const Value& item : items) {
    Value one = key.of(budget, item);
    if (!(smallest ? less(budget, one, best_key) : less(budget, best_key, one))) continue;
    best = &item;
    best_key = std::move(one);
  }
  return *best;
}

Value sum_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "sum", arguments, {"attribute", "start"});
  Value total = bound.value(1, 0);
  if (total.text()) budget.fail("sum: strings cannot be summed");
  for (const Value& item : iterate(budget, value))
    total = arithmetic(budget, Operator::add, total,
                       bound[0] ? dotted_attribute(budget, item, *bound[0], {}) : item);
  return total;
}

Value join_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "join", arguments, {"d", "attribute"});
  std::vector<Value> pieces;
  for (const Value& item : iterate(budget, value)) {
    budget.spend();
    pieces.push_back(to_text(
        budget, bound.value(1).is_none() ? item : dotted_attribute(budget, item, *bound[1], {})));
  }
  const Value separator = to_text(budget, bound.value(0, make_text(budget, "")));
  return join(budget, separator.text(), pieces);
}

Value length_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "length", arguments, {});
  return length_of(in.budget(), value);
}

Value first_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "first", arguments, {});
  std::vector<Value> items = iterate(in.budget(), value);
  return items.empty() ? make_undefined(in.budget(), "the sequence is empty") : items.front();
}

Value last_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "last", arguments, {});
  if (value.sequence() && value.sequence()->kind == SequenceKind::generator)
    in.budget().fail("last: a generator has no last item; put '| list' before it");
  std::vector<Value> items = iterate(in.budget(), value);
  return items.empty() ? make_undefined(in.budget(), "the sequence is empty") : items.back();
}

Value list_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "list", arguments, {});
  return make_list(in.budget(), iterate(in.budget(), value));
}

Value reverse_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "reverse", arguments, {});
  if (const Text* text = value.text()) {
    std::vector<std::int64_t> indices(text->length);
    for (std::size_t i = 0; i < indices.size(); ++i)
      indices[i] = std::int64_t(indices.size() - 1 - i);
    return indices.empty() ? value : made_from(*text, pick(*text, indices));
  }
  std::vector<Value> items = iterate(in.budget(), value);
  std::reverse(items.begin(), items.end());
  return make_sequence(in.budget(), SequenceKind::generator, std::move(items));
}

Value items_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "items", arguments, {});
  if (value.is_undefined()) return make_sequence(in.budget(), SequenceKind::generator, {});
  if (!value.dict()) in.budget().fail(cat("items: expected a dict, found a ", type_name(value)));
  const Value pairs = dict_view(in.budget(), *value.dict(), SequenceKind::items);
  return make_sequence(in.budget(), SequenceKind::generator, pairs.sequence()->items);
}

Value default_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "default", arguments, {"default_value", "boolean"});
  const bool missing = value.is_undefined() || (bound.flag(1, false) && !truth(value));
  return missing ? bound.value(0, make_text(in.budget(), "")) : value;
}

Value attr_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "attr", arguments, {"name"}, 1);
  const Text* name = bound.text(0);
  // The attribute alone, never an item: what a dict holds is out of reach.
  if (name && !value.dict()) return get_attribute(in.budget(), value, name->bytes);
  return make_undefined(in.budget(), "attr: there is no such attribute");
}

Arguments without_first(const Arguments& arguments) {
  return {
      {arguments.positional.begin() + !arguments.positional.empty(), arguments.positional.end()},
      arguments.named};
}

/// What map, select and their kin give for none, undefined, 0 and all else that counts as false.
Value nothing(Budget& budget) { return make_sequence(budget, SequenceKind::generator, {}); }

Value map_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  if (!truth(value)) return nothing(budget);
  std::vector<Value> mapped;
  if (arguments.positional.empty()) {
    const Bound bound(budget, "map", arguments, {"attribute", "default"}, 1);
    for (const Value& item : iterate(budget, value))
      mapped.push_back(dotted_attribute(budget, item, *bound[0], bound.value(1)));
    return make_sequence(budget, SequenceKind::generator, std::move(mapped));
  }
  const Value& name = arguments.positional[0];
  const Builtin* filter = name.text() ? find_filter(name.text()->bytes) : nullptr;
  if (!filter) budget.fail("map: there is no filter of that name");
  const Arguments rest = without_first(arguments);
  const Nested nested = in.nest();
  for (const Value& item : iterate(budget, value)) {
    budget.spend();
    mapped.push_back(filter->apply(in, item, rest));
  }
  return make_sequence(budget, SequenceKind::generator, std::move(mapped));
}

// select, reject, selectattr and rejectattr: keeps the items for which a test gives `keeps`.
template <bool keeps, bool by_attribute>
Value select_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  if (!truth(value)) return nothing(budget);
  Arguments rest = arguments;
  Value attribute;
  if (by_attribute) {
    if (rest.positional.empty()) budget.fail("selectattr: the attribute is missing");
    attribute = rest.positional[0];
    rest = without_first(rest);
  }
  const Builtin* test = nullptr;
  if (!rest.positional.empty()) {
    const Value name = rest.positional[0];
    test = name.text() ? find_test(name.text()->bytes) : nullptr;
    if (!test) budget.fail("select: there is no test of that name");
    rest = without_first(rest);
  }
  std::vector<Value> kept;
  for (Value& item : iterate(budget, value)) {
    budget.spend();
    const Value tested = by_attribute ? dotted_attribute(budget, item, attribute, {}) : item;
    if (truth(test ? test->apply(in, tested, rest) : tested) == keeps)
      kept.push_back(std::move(item));
  }
  return make_sequence(budget, SequenceKind::generator, std::move(kept));
}

Value batch_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "batch", arguments, {"linecount", "fill_with"}, 1);
  const std::int64_t size = bound.integer(0, 0);
  if (size < 1 || size > kMaxRange) budget.fail("batch: the count is out of range");
  std::vector<Value> batches, batch;
  for (Value& item : iterate(budget, value)) {
    if (std::int64_t(batch.size()) == size)
      batches.push_back(make_list(budget, std::exchange(batch, {})));
    batch.push_back(std::move(item));
  }
  if (!batch.empty()) {
    if (!bound.value(1).is_none()) batch.resize(std::size_t(size), *bound[1]);
    batches.push_back(make_list(budget, std::move(batch)));
  }
  return make_sequence(budget, SequenceKind::generator, std::move(batches));
}

Value slice_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "slice", arguments, {"slices", "fill_with"}, 1);
  const std::int64_t slices = bound.integer(0, 0);
  if (slices < 1 || slices > kMaxRange) budget.fail("slice: the count is out of range");
  const std::vector<Value> items = iterate(budget, value);
  const std::int64_t length = std::int64_t(items.size());
  std::vector<Value> columns;
  auto begin = items.begin();
  for (std::int64_t i = 0; i < slices; ++i) {
    const bool longer = i < length % slices;
    const auto end = begin + length / slices + longer;
    std::vector<Value> column(begin, end);
    begin = end;
    if (!longer && !bound.value(1).is_none()) column.push_back(*bound[1]);
    columns.push_back(make_list(budget, std::move(column)));
  }
  return make_sequence(budget, SequenceKind::generator, std::move(columns));
}

constexpr Builtin kSequenceFilters[] = {
    {"attr", attr_filter},
    {"batch", batch_filter},
    {"count", length_filter},
    {"d", default_filter},
    {"default", default_filter},
    {"dictsort", dictsort_filter},
    {"first", first_filter},
    {"groupby", groupby_filter},
    {"items", items_filter},
    {"join", join_filter},
    {"last", last_filter},
    {"length", length_filter},
    {"list", list_filter},
    {"map", map_filter},
    {"max", extreme_filter<false>},
    {"min", extreme_filter<true>},
    {"reject", select_filter<false, false>},
    {"rejectattr", select_filter<false, true>},
    {"reverse", reverse_filter},
    {"select", select_filter<true, false>},
    {"selectattr", select_filter<true, true>},
    {"slice", slice_filter},
    {"sort", sort_filter},
    {"sum", sum_filter},
    {"unique", unique_filter},
};

}  // namespace

std::span<const Builtin> sequence_filters() { return kSequenceFilters; }

const Builtin* find_filter(std::string_view name) {
  for (const std::span<const Builtin> filters : {text_filters(), sequence_filters()})
    for (const Builtin& filter : filters)
      if (filter.name == name) return &filter;
  return nullptr;
}

}  // namespace elenchus::jinja
