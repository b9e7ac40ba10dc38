#include "text/jinja/value.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {
namespace {

int nesting(const Value& value) {
  if (const Sequence* sequence = value.sequence()) return sequence->depth;
  if (const Dict* dict = value.dict()) return dict->depth;
  if (const Loop* loop = value.as<Loop>()) return int(loop->depth0) + 1;
  return value.as<Method>() || value.as<Cycler>() || value.as<Joiner>() ? 1 : 0;
}

int checked_depth(Budget& budget, int depth) {
  if (depth > kMaxValueDepth)
    budget.fail(cat("a value nested more than ", kMaxValueDepth, " levels deep"));
  return depth;
}

bool equal_items(const std::vector<Value>& a, const std::vector<Value>& b, int depth) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [depth](const Value& x, const Value& y) { return equal(x, y, depth + 1); });
}

bool equal_dicts(const Dict& a, const Dict& b, int depth) {
  if (a.entries.size() != b.entries.size()) return false;
  return std::all_of(a.entries.begin(), a.entries.end(), [&](const Dict::Entry& entry) {
    const Value* other = b.find(entry.first);
    return other && equal(entry.second, *other, depth + 1);
  });
}

bool less_items(Budget& budget, const Sequence& a, const Sequence& b, int depth) {
  const std::size_t shared = std::min(a.items.size(), b.items.size());
  for (std::size_t i = 0; i < shared; ++i) {
    budget.spend();
    if (!equal(a.items[i], b.items[i], depth + 1))
      return less(budget, a.items[i], b.items[i], depth + 1);
  }
  return a.items.size() < b.items.size();
}

}  // namespace

std::optional<std::int64_t> Value::integer() const {
  if (const auto* integer = std::get_if<std::int64_t>(&storage_)) return *integer;
  if (const auto* boolean = std::get_if<bool>(&storage_)) return *boolean ? 1 : 0;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const auto* real = std::get_if<double>(&storage_)) return *real;
  if (const auto whole = integer()) return double(*whole);
  return std::nullopt;
}

Text::Text(Budget& owner, std::string text_bytes, std::vector<TextRun> text_runs,
           TextKind text_kind)
    : Counted(owner), bytes(std::move(text_bytes)), runs(std::move(text_runs)), kind(text_kind) {
  hold(sizeof(*this) + bytes.capacity() + runs.capacity() * sizeof(TextRun));
  owner.spend_bytes(bytes.size());
  length = code_points(bytes);
}

bool Text::has_input() const {
  return std::any_of(runs.begin(), runs.end(), [](const TextRun& run) { return run.input; });
}

Value make_text(Budget& budget, std::string bytes, bool input) {
  budget.check_value(bytes.size());
  std::vector<TextRun> runs;
  if (!bytes.empty()) runs.push_back({bytes.size(), input});
  return make<Text>(budget, std::move(bytes), std::move(runs));
}

void TextBuilder::reserve(std::size_t bytes) {
  const std::size_t old = bytes_.capacity();
  if (bytes <= old) return;
  budget_.check_value(bytes);
  const std::size_t capacity = std::min(std::max(bytes, 2 * old), kMaxValueBytes);
  budget_.hold(capacity);
  held_bytes_ += capacity;
  bytes_.reserve(capacity);
  const std::size_t freed = std::min(old, held_bytes_ - capacity);
  budget_.release(freed);
  held_bytes_ -= freed;
}

void TextBuilder::append(std::string_view bytes, bool input) {
  if (bytes.empty()) return;
  reserve(bytes_.size() + bytes.size());
  budget_.spend_bytes(bytes.size());
  bytes_.append(bytes);
  if (!runs_.empty() && runs_.back().input == input) {
    runs_.back().end = bytes_.size();
    return;
  }
  budget_.hold(sizeof(TextRun));
  held_bytes_ += sizeof(TextRun);
  runs_.push_back({bytes_.size(), input});
}

void TextBuilder::append(const Text& text, std::size_t begin, std::size_t end) {
  const std::string_view bytes = text.bytes;
  auto run = std::upper_bound(text.runs.begin(), text.runs.end(), begin,
                              [](std::size_t at, const TextRun& r) { return at < r.end; });
  for (; begin < end && run != text.runs.end(); ++run) {
    const std::size_t to = std::min(end, run->end);
    append(bytes.substr(begin, to - begin), run->input);
    begin = to;
  }
}

void TextBuilder::append_repeated(const Text& text, std::int64_t times) {
  if (times <= 0 || text.bytes.empty()) return;
  if (std::uint64_t(times) > kMaxValueBytes / text.bytes.size())
    budget_.check_value(std::numeric_limits<std::size_t>::max());
  for (std::int64_t i = 0; i < times; ++i) append(text);
}

Value TextBuilder::finish() {
  budget_.release(std::exchange(held_bytes_, 0));
  bytes_.shrink_to_fit();
  runs_.shrink_to_fit();
  return make<Text>(budget_, std::exchange(bytes_, {}), std::exchange(runs_, {}));
}

Value TextBuilder::finish_as(bool input) {
  if (!runs_.empty()) runs_ = {{bytes_.size(), input}};
  return finish();
}

Sequence::Sequence(Budget& owner, SequenceKind sequence_kind, std::vector<Value> sequence_items)
    : Counted(owner), kind(sequence_kind), items(std::move(sequence_items)) {
  owner.check_value(items.size() * sizeof(Value));
  hold(sizeof(*this) + items.capacity() * sizeof(Value));
  owner.spend(std::int64_t(items.size() / 8));
  for (const Value& item : items) depth = std::max(depth, nesting(item));
  depth = checked_depth(owner, depth + 1);
}

Value make_sequence(Budget& budget, SequenceKind kind, std::vector<Value> items) {
  return make<Sequence>(budget, kind, std::move(items));
}

Dict::Dict(Budget& owner, std::vector<Entry> dict_entries)
    : Counted(owner), entries(std::move(dict_entries)) {
  owner.check_value(entries.size() * sizeof(Entry));
  hold(sizeof(*this) + entries.capacity() * sizeof(Entry));
  owner.spend(std::int64_t(entries.size() / 8));
  for (const auto& [key, value] : entries) depth = std::max({depth, nesting(key), nesting(value)});
  depth = checked_depth(owner, depth + 1);
}

const Value* Dict::find(const Value& key) const {
  if (const Text* text = key.text()) return find(text->bytes);
  budget().spend(1 + std::int64_t(entries.size() / 4));
  for (const Entry& entry : entries)
    if (equal(entry.first, key)) return &entry.second;
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  budget().spend(1 + std::int64_t(entries.size() / 8));
  for (const Entry& entry : entries) {
    const Text* text = entry.first.text();
    if (text && text->bytes == key) return &entry.second;
  }
  return nullptr;
}

bool hashable(const Value& value) {
  const Sequence* sequence = value.sequence();
  if (!sequence) return !value.dict();
  const bool is_tuple = sequence->unnamed() == SequenceKind::tuple;
  if (is_tuple) return std::all_of(sequence->items.begin(), sequence->items.end(), hashable);
  return sequence->kind == SequenceKind::range || sequence->kind == SequenceKind::generator;
}

void set_entry(Budget& budget, std::vector<Dict::Entry>& entries, Value key, Value value) {
  if (!hashable(key)) budget.fail(cat("a ", type_name(key), " cannot be the key of a dict"));
  budget.spend(1 + std::int64_t(entries.size() / 4));
  for (Dict::Entry& entry : entries) {
    if (!equal(entry.first, key)) continue;
    entry.second = std::move(value);
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
}

Value dict_view(Budget& budget, const Dict& dict, SequenceKind kind) {
  std::vector<Value> items;
  items.reserve(dict.entries.size());
  for (const auto& [key, value] : dict.entries) {
    if (kind == SequenceKind::items)
      items.push_back(make_sequence(budget, SequenceKind::tuple, {key, value}));
    else
      items.push_back(kind == SequenceKind::keys ? key : value);
  }
  return make_sequence(budget, kind, std::move(items));
}

Value make_undefined(Budget& budget, std::string what) {
  return make<Undefined>(budget, std::move(what));
}

std::string_view type_name(const Value& value) {
  if (value.is_none()) return "NoneType";
  if (value.is_boolean()) return "bool";
  if (value.integer()) return "int";
  if (value.is_real()) return "float";
  if (value.is_undefined()) return "Undefined";
  if (const Text* text = value.text()) return text->markup() ? "Markup" : "str";
  if (value.dict()) return "dict";
  if (value.as<Loop>()) return "LoopContext";
  if (value.as<Cycler>()) return "Cycler";
  if (value.as<Joiner>()) return "Joiner";
  if (value.as<Method>() || value.function()) return "function";
  if (value.as_owned<Macro>()) return "Macro";
  if (value.as_owned<Namespace>()) return "Namespace";
  switch (value.sequence()->kind) {
    case SequenceKind::list:
      return "list";
    case SequenceKind::tuple:
    case SequenceKind::group:
      return "tuple";
    case SequenceKind::range:
      return "range";
    case SequenceKind::generator:
      return "generator";
    case SequenceKind::keys:
      return "dict_keys";
    case SequenceKind::values:
      return "dict_values";
    case SequenceKind::items:
      return "dict_items";
  }
  return "object";
}

bool truth(const Value& value) {
  if (value.is_none() || value.is_undefined()) return false;
  if (const auto number = value.number()) return *number != 0;
  if (const Text* text = value.text()) return !text->bytes.empty();
  if (const Dict* dict = value.dict()) return !dict->entries.empty();
  if (const Sequence* sequence = value.sequence())
    return sequence->kind == SequenceKind::generator || !sequence->items.empty();
  return true;
}

bool equal(const Value& a, const Value& b, int depth) {
  if (depth > 2 * kMaxValueDepth) return false;
  if (a.integer() && b.integer()) return *a.integer() == *b.integer();
  if (a.number() && b.number()) return *a.number() == *b.number();
  if (a.text() && b.text()) {
    a.text()->budget().spend_bytes(a.text()->bytes.size());
    return a.text()->bytes == b.text()->bytes;
  }
  if (const Sequence* x = a.sequence(), *y = b.sequence(); x && y) {
    if (x == y) return true;
    if (x->unnamed() != y->unnamed() || x->kind == SequenceKind::generator) return false;
    x->budget().spend(1 + std::int64_t(std::min(x->items.size(), y->items.size())));
    return equal_items(x->items, y->items, depth);
  }
  if (a.dict() && b.dict()) return equal_dicts(*a.dict(), *b.dict(), depth);
  if (a.as_owned<Namespace>()) return a.as_owned<Namespace>() == b.as_owned<Namespace>();
  if (a.as_owned<Macro>()) return a.as_owned<Macro>() == b.as_owned<Macro>();
  if (a.function()) return a.function() == b.function();
  if (a.as<Loop>()) return a.as<Loop>() == b.as<Loop>();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

bool less(Budget& budget, const Value& a, const Value& b, int depth) {
  budget.spend();
  checked_depth(budget, depth);
  require_defined(budget, a);
  require_defined(budget, b);
  if (a.integer() && b.integer()) return *a.integer() < *b.integer();
  if (a.number() && b.number()) return *a.number() < *b.number();
  // UTF-8 sorts by bytes as Python sorts by code points.
  if (a.text() && b.text()) {
    budget.spend_bytes(a.text()->bytes.size());
    return a.text()->bytes < b.text()->bytes;
  }
  const Sequence *x = a.sequence(), *y = b.sequence();
  if (x && y && type_name(a) == type_name(b) && (type_name(a) == "list" || type_name(a) == "tuple"))
    return less_items(budget, *x, *y, depth);
  budget.fail(cat("a ", type_name(a), " and a ", type_name(b), " have no order"));
}

std::vector<Value> iterate(Budget& budget, const Value& value) {
  if (value.is_undefined()) return {};
  std::vector<Value> items;
  if (const Sequence* sequence = value.sequence()) {
    budget.spend(std::int64_t(sequence->items.size() / 8));
    if (sequence->kind != SequenceKind::generator) return sequence->items;
    return std::exchange(sequence->consumed, true) ? items : sequence->items;
  }
  if (const Dict* dict = value.dict()) {
    for (const Dict::Entry& entry : dict->entries) items.push_back(entry.first);
    return items;
  }
  const Text* text = value.text();
  if (!text) budget.fail(cat("a ", type_name(value), " cannot be iterated"));
  for (std::size_t begin = 0; begin < text->bytes.size();) {
    const std::size_t end = next_code_point(text->bytes, begin);
    items.push_back(substring(*text, begin, end));
    begin = end;
  }
  return items;
}

void require_defined(Budget& budget, const Value& value) {
  if (const Undefined* undefined = value.as<Undefined>()) budget.fail(undefined->what);
}

}  // namespace elenchus::jinja
