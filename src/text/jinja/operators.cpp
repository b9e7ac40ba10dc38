#include "text/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "text/jinja/builtins.h"
#include "text/jinja/markup.h"
#include "text/jinja/print.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {
namespace {

std::optional<Value> loop_attribute(Budget& budget, const Loop& loop, std::string_view name) {
  const std::int64_t length = std::int64_t(loop.items.size()), i = loop.index0;
  if (name == "index") return i + 1;
  if (name == "index0") return i;
  if (name == "revindex") return length - i;
  if (name == "revindex0") return length - i - 1;
  if (name == "first") return i == 0;
  if (name == "last") return i + 1 == length;
  if (name == "length") return length;
  if (name == "depth") return loop.depth0 + 1;
  if (name == "depth0") return loop.depth0;
  if (name == "previtem")
    return i > 0 ? loop.items[std::size_t(i - 1)]
                 : make_undefined(budget, "there is no item before the first");
  if (name == "nextitem")
    return i + 1 < length ? loop.items[std::size_t(i + 1)]
                          : make_undefined(budget, "there is no item after the last");
  return std::nullopt;
}

// An attribute that is not a method.
std::optional<Value> plain_attribute(Budget& budget, const Value& value, std::string_view name) {
  if (const Loop* loop = value.as<Loop>()) return loop_attribute(budget, *loop, name);
  if (const Namespace* space = value.as_owned<Namespace>()) {
    for (const auto& [key, attribute] : space->attributes)
      if (key == name) return attribute;
  }
  if (const Cycler* cycler = value.as<Cycler>(); cycler && name == "current")
    return cycler->items[cycler->position];
  if (const Macro* macro = value.as_owned<Macro>(); macro && name == "name")
    return make_text(budget, macro_name(*macro));
  const Sequence* sequence = value.sequence();
  if (sequence && sequence->kind == SequenceKind::group) {
    if (name == "grouper") return sequence->items[0];
    if (name == "list") return sequence->items[1];
  }
  return std::nullopt;
}

std::optional<Value> find_attribute(Budget& budget, const Value& value, std::string_view name) {
  if (name.starts_with('_')) return std::nullopt;
  if (auto found = plain_attribute(budget, value, name)) return found;
  if (const Builtin* method = find_method(value, name))
    return Value(make<Method>(budget, value, *method));
  return std::nullopt;
}

std::optional<Value> find_item(const Value& value, const Value& key) {
  if (const Dict* dict = value.dict()) {
    const Value* found = dict->find(key);
    return found ? std::optional<Value>(*found) : std::nullopt;
  }
  const auto index = key.integer();
  if (!index) return std::nullopt;
  if (const Sequence* sequence = value.sequence(); sequence && sequence->indexable()) {
    const std::int64_t length = std::int64_t(sequence->items.size());
    const std::int64_t i = *index < 0 ? *index + length : *index;
    if (i < 0 || i >= length) return std::nullopt;
    return sequence->items[std::size_t(i)];
  }
  const Text* text = value.text();
  if (!text) return std::nullopt;
  const std::int64_t length = std::int64_t(text->length);
  const std::int64_t i = *index < 0 ? *index + length : *index;
  if (i < 0 || i >= length) return std::nullopt;
  return made_from(
      *text, substring(*text, byte_of(*text, std::size_t(i)), byte_of(*text, std::size_t(i) + 1)));
}

Value undefined_member(Budget& budget, const Value& value, std::string_view name) {
  return make_undefined(
      budget, cat("a ", type_name(value), " has no attribute or item '", printable(name), "'"));
}

// Which indices a slice takes of `length` items; Python's slice.indices.
struct Slice {
  std::int64_t first = 0, last = 0, step = 1;
  std::vector<std::int64_t> indices() const {
    std::vector<std::int64_t> all;
    for (std::int64_t i = first; step > 0 ? i < last : i > last;) {
      all.push_back(i);
      if (__builtin_add_overflow(i, step, &i)) break;
    }
    return all;
  }
};

Slice slice_of(Budget& budget, std::int64_t length, const Value& start, const Value& stop,
               const Value& step_value) {
  const auto bound = [&budget](const Value& value, std::int64_t fallback) {
    if (value.is_none()) return fallback;
    if (!value.integer()) budget.fail(cat("a slice by a ", type_name(value)));
    return *value.integer();
  };
  const std::int64_t step = bound(step_value, 1);
  if (step == 0) budget.fail("a slice by steps of 0");
  const std::int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? length : length - 1;
  const auto clamp = [&](const Value& value, std::int64_t fallback) {
    if (value.is_none()) return fallback;
    std::int64_t at = bound(value, 0);
    if (at < 0) at = at < -length ? -1 : at + length;
    return std::clamp(at, lowest, highest);
  };
  return {clamp(start, step > 0 ? 0 : length - 1), clamp(stop, step > 0 ? length : -1), step};
}

std::vector<Value> picked(const Sequence& sequence, const Slice& slice) {
  std::vector<Value> items;
  for (const std::int64_t i : slice.indices()) items.push_back(sequence.items[std::size_t(i)]);
  return items;
}

Value slice_of_range(Budget& budget, const Sequence& range, const Slice& slice) {
  const auto [start, stop, step] = range.bounds;
  (void)stop;
  Ref<Sequence> part = make<Sequence>(budget, SequenceKind::range, picked(range, slice));
  const auto at = [&](std::int64_t i) { return start + i * step; };
  part->bounds = {at(slice.first), at(slice.last), step * slice.step};
  return part;
}

[[noreturn]] void fail_operands(Budget& budget, std::string_view by, const Value& a,
                                const Value& b) {
  budget.fail(cat("'", by, "' of a ", type_name(a), " and a ", type_name(b)));
}

std::string_view symbol_of(Operator by) {
  constexpr std::string_view kSymbols[] = {
      "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kSymbols[int(by)];
}

std::int64_t integer_power(Budget& budget, std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
      budget.fail("an integer of more than 64 bits");
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base))
      budget.fail("an integer of more than 64 bits");
  }
  return result;
}

Value integer_arithmetic(Budget& budget, Operator by, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflows = false;
  const bool divides =
      by == Operator::divide || by == Operator::floor_divide || by == Operator::modulo;
  if (divides && b == 0) budget.fail("a division by zero");
  if (divides && b == -1 && by != Operator::divide) {
    if (by == Operator::modulo) return std::int64_t{0};
    by = Operator::multiply;
  }
  const std::int64_t remainder = divides && b != -1 ? a % b : 0;
  const bool rounds_down = remainder != 0 && (remainder < 0) != (b < 0);
  switch (by) {
    case Operator::add:
      overflows = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::subtract:
      overflows = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::multiply:
      overflows = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::divide:
      return double(a) / double(b);
    case Operator::floor_divide:
      return a / b - rounds_down;
    case Operator::modulo:
      return rounds_down ? remainder + b : remainder;
    default:
      if (b < 0 && a == 0) budget.fail("zero to a negative power");
      if (b < 0) return std::pow(double(a), double(b));
      return integer_power(budget, a, b);
  }
  if (overflows) budget.fail("an integer of more than 64 bits");
  return result;
}

Value real_arithmetic(Budget& budget, Operator by, double a, double b) {
  const bool divides =
      by == Operator::divide || by == Operator::floor_divide || by == Operator::modulo;
  if (divides && b == 0) budget.fail("a division by zero");
  double remainder = divides ? std::fmod(a, b) : 0;
  const bool rounds_down = remainder != 0 && (remainder < 0) != (b < 0);
  if (rounds_down) remainder += b;
  switch (by) {
    case Operator::add:
      return a + b;
    case Operator::subtract:
      return a - b;
    case Operator::multiply:
      return a * b;
    case Operator::divide:
      return a / b;
    case Operator::modulo:
      return remainder == 0 ? std::copysign(0.0, b) : remainder;
    case Operator::floor_divide: {
      const double quotient = (a - remainder) / b;
      if (quotient == 0) return std::copysign(0.0, a / b);
      const double down = std::floor(quotient);
      return quotient - down > 0.5 ? down + 1 : down;
    }
    default:
      break;
  }
  const double power = std::pow(a, b);
  if ((std::isnan(power) && !std::isnan(a) && !std::isnan(b)) || (a == 0 && b < 0) ||
      (std::isinf(power) && std::isfinite(a) && std::isfinite(b)))
    budget.fail("a power that is no real number");
  return power;
}

Value repeat(Budget& budget, const Value& value, std::int64_t times) {
  if (const Text* text = value.text()) {
    TextBuilder builder(budget);
    builder.append_repeated(*text, times);
    return made_from(*text, builder.finish());
  }
  const std::vector<Value>& items = value.sequence()->items;
  std::vector<Value> repeated;
  if (times > 0 && !items.empty()) {
    if (times > kMaxRange / std::int64_t(items.size()))
      budget.fail(cat("a list of more than ", kMaxRange, " items"));
    budget.spend(times * std::int64_t(items.size()) / 8);
    repeated.reserve(items.size() * std::size_t(times));
    for (std::int64_t i = 0; i < times; ++i)
      repeated.insert(repeated.end(), items.begin(), items.end());
  }
  return make_sequence(budget, value.sequence()->unnamed(), std::move(repeated));
}

bool is_list_or_tuple(const Value& value) {
  return value.sequence() && value.sequence()->kind <= SequenceKind::group;
}

}  // namespace

Value get_attribute(Budget& budget, const Value& value, std::string_view name) {
  require_defined(budget, value);
  if (auto found = find_attribute(budget, value, name)) return *std::move(found);
  if (const Dict* dict = value.dict())
    if (const Value* item = dict->find(name)) return *item;
  return undefined_member(budget, value, name);
}

Value get_item(Budget& budget, const Value& value, const Value& key) {
  require_defined(budget, value);
  if (auto found = find_item(value, key)) return *std::move(found);
  const Text* name = key.text();
  if (name) {
    if (auto found = find_attribute(budget, value, name->bytes)) return *std::move(found);
    return undefined_member(budget, value, name->bytes);
  }
  return make_undefined(budget,
                        cat("a ", type_name(value), " has no item of that ", type_name(key)));
}

Value get_slice(Budget& budget, const Value& value, const Value& start, const Value& stop,
                const Value& step) {
  require_defined(budget, value);
  for (const Value* bound : {&start, &stop, &step}) require_defined(budget, *bound);
  if (const Text* text = value.text()) {
    const auto indices = slice_of(budget, std::int64_t(text->length), start, stop, step).indices();
    if (indices.empty()) return made_from(*text, substring(*text, 0, 0));
    const bool contiguous = indices.back() - indices.front() + 1 == std::int64_t(indices.size());
    if (!contiguous) return made_from(*text, pick(*text, indices));
    return made_from(*text, substring(*text, byte_of(*text, std::size_t(indices.front())),
                                      byte_of(*text, std::size_t(indices.back()) + 1)));
  }
  const Sequence* sequence = value.sequence();
  if (!sequence || !sequence->indexable())
    budget.fail(cat("a ", type_name(value), " cannot be sliced"));
  const Slice slice = slice_of(budget, std::int64_t(sequence->items.size()), start, stop, step);
  if (sequence->kind == SequenceKind::range) return slice_of_range(budget, *sequence, slice);
  return make_sequence(budget, sequence->unnamed(), picked(*sequence, slice));
}

std::int64_t length_of(Budget& budget, const Value& value) {
  if (value.is_undefined()) return 0;
  if (const Text* text = value.text()) return std::int64_t(text->length);
  if (const Dict* dict = value.dict()) return std::int64_t(dict->entries.size());
  if (const Loop* loop = value.as<Loop>()) return std::int64_t(loop->items.size());
  const Sequence* sequence = value.sequence();
  if (!sequence || sequence->kind == SequenceKind::generator)
    budget.fail(cat("a ", type_name(value), " has no length"));
  return std::int64_t(sequence->items.size());
}

Value arithmetic(Budget& budget, Operator by, const Value& a, const Value& b) {
  require_defined(budget, a);
  if (by == Operator::modulo && a.text()) return format_percent(budget, *a.text(), b);
  require_defined(budget, b);
  if (a.integer() && b.integer()) return integer_arithmetic(budget, by, *a.integer(), *b.integer());
  if (a.number() && b.number()) return real_arithmetic(budget, by, *a.number(), *b.number());
  if (by == Operator::add && a.text() && b.text()) return concatenate(*a.text(), *b.text());
  if (by == Operator::add && is_list_or_tuple(a) && type_name(a) == type_name(b)) {
    budget.check_value((a.sequence()->items.size() + b.sequence()->items.size()) * sizeof(Value));
    std::vector<Value> items = a.sequence()->items;
    items.insert(items.end(), b.sequence()->items.begin(), b.sequence()->items.end());
    return make_sequence(budget, a.sequence()->unnamed(), std::move(items));
  }
  if (by == Operator::multiply) {
    if ((a.text() || is_list_or_tuple(a)) && b.integer()) return repeat(budget, a, *b.integer());
    if ((b.text() || is_list_or_tuple(b)) && a.integer()) return repeat(budget, b, *a.integer());
  }
  fail_operands(budget, symbol_of(by), a, b);
}

Value negative(Budget& budget, const Value& value) {
  require_defined(budget, value);
  if (const auto integer = value.integer())
    return integer_arithmetic(budget, Operator::subtract, 0, *integer);
  if (!value.number()) budget.fail(cat("'-' of a ", type_name(value)));
  return -*value.number();
}

bool contains(Budget& budget, const Value& container, const Value& item) {
  if (const Text* text = container.text()) {
    require_defined(budget, item);
    if (!item.text()) fail_operands(budget, "in", item, container);
    return find_bytes(budget, text->bytes, item.text()->bytes) != std::string_view::npos;
  }
  if (const Dict* dict = container.dict()) {
    if (!hashable(item)) fail_operands(budget, "in", item, container);
    return dict->find(item) != nullptr;
  }
  const std::vector<Value> items = iterate(budget, container);
  return std::any_of(items.begin(), items.end(), [&](const Value& one) {
    budget.spend();
    return equal(one, item);
  });
}

bool compare(Budget& budget, Operator by, const Value& a, const Value& b) {
  switch (by) {
    case Operator::equal:
      return equal(a, b);
    case Operator::not_equal:
      return !equal(a, b);
    case Operator::less:
      return less(budget, a, b);
    case Operator::greater:
      return less(budget, b, a);
    case Operator::less_equal:
      return less(budget, a, b) || equal(a, b);
    case Operator::greater_equal:
      return less(budget, b, a) || equal(a, b);
    case Operator::in:
      return contains(budget, b, a);
    default:
      return !contains(budget, b, a);
  }
}

}  // namespace elenchus::jinja
