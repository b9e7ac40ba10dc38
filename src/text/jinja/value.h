#pragma once
// The values of a template, with Python's meaning. Texts, lists and dicts never change once made.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/budget.h"

namespace elenchus::jinja {

class Interpreter;

/// An object that counts the references to it and gives its memory back to the budget. One thread
/// only.
class Counted {
 public:
  explicit Counted(Budget& budget) : budget_(&budget) {}
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  Budget& budget() const { return *budget_; }

 protected:
  ~Counted() { budget_->release(held_bytes_); }
  void hold(std::size_t bytes) {
    budget_->hold(bytes);
    held_bytes_ += bytes;
  }

 private:
  template <class T>
  friend class Ref;
  Budget* budget_;
  mutable std::int64_t references_ = 0;
  std::size_t held_bytes_ = 0;
};

/// Shares an object that counts its references; never null except after a move or by default.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(std::unique_ptr<T> object) : object_(object.release()) { add(); }
  Ref(const Ref& other) : object_(other.object_) { add(); }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ && --object_->references_ == 0) std::unique_ptr<T>{object_};
  }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  void add() {
    if (object_) ++object_->references_;
  }
  T* object_ = nullptr;
};

template <class T, class... Arguments>
Ref<T> make(Arguments&&... arguments) {
  return Ref<T>(std::make_unique<T>(std::forward<Arguments>(arguments)...));
}

struct Text;
struct Sequence;
struct Dict;
struct Undefined;
struct Loop;
struct Cycler;
struct Joiner;
struct Method;
struct Macro;
struct Namespace;
struct Function;

using None = std::monostate;

/// Any value. Copies share what they refer to.
class Value {
 public:
  using Storage = std::variant<None, bool, std::int64_t, double, Ref<Undefined>, Ref<Text>,
                               Ref<Sequence>, Ref<Dict>, Ref<Loop>, Ref<Cycler>, Ref<Joiner>,
                               Ref<Method>, Macro*, Namespace*, const Function*>;
  Value() = default;
  template <class T>
  requires std::is_constructible_v<Storage, T&&> &&
      (!std::is_same_v<std::decay_t<T>, Value>)Value(T&& value)
      : storage_(std::forward<T>(value)) {}
  Value(int value) : storage_(std::int64_t{value}) {}

  bool is_none() const { return std::holds_alternative<None>(storage_); }
  bool is_boolean() const { return std::holds_alternative<bool>(storage_); }
  bool is_undefined() const { return std::holds_alternative<Ref<Undefined>>(storage_); }
  bool is_real() const { return std::holds_alternative<double>(storage_); }
  /// The object of that type, or null where the value is of another.
  template <class T>
  T* as() const {
    const auto* ref = std::get_if<Ref<T>>(&storage_);
    return ref ? ref->get() : nullptr;
  }
  template <class T>
  T* as_owned() const {
    const auto* pointer = std::get_if<T*>(&storage_);
    return pointer ? *pointer : nullptr;
  }
  const Text* text() const { return as<Text>(); }
  const Sequence* sequence() const { return as<Sequence>(); }
  const Dict* dict() const { return as<Dict>(); }
  const Function* function() const { return as_owned<const Function>(); }
  /// An integer, true and false counting as 1 and 0.
  std::optional<std::int64_t> integer() const;
  /// A number, integers and booleans counting.
  std::optional<double> number() const;

 private:
  Storage storage_;
};

/// Bytes up to `end` are all from the input, or all from the template.
struct TextRun {
  std::size_t end = 0;
  bool input = false;
};

enum class TextKind { plain, markup };

/// A string: UTF-8, and for every byte whether it came from the input (messages, tools, documents).
struct Text : Counted {
  Text(Budget& budget, std::string text_bytes, std::vector<TextRun> text_runs,
       TextKind text_kind = TextKind::plain);
  /// Whether it counts as safe in HTML: see markup.h.
  bool markup() const { return kind == TextKind::markup; }
  bool ascii() const { return length == bytes.size(); }
  bool has_input() const;
  const std::string bytes;
  const std::vector<TextRun> runs;  ///< ascending, cover all bytes, neighbours differ
  const TextKind kind;
  std::size_t length = 0;  ///< code points
};

Value make_text(Budget& budget, std::string bytes, bool input = false);

/// Puts a text together from pieces, each keeping its marks.
class TextBuilder {
 public:
  explicit TextBuilder(Budget& budget) : budget_(budget) {}
  TextBuilder(const TextBuilder&) = delete;
  TextBuilder& operator=(const TextBuilder&) = delete;
  ~TextBuilder() { budget_.release(held_bytes_); }
  void append(std::string_view bytes, bool input = false);
  void append(const Text& text) { append(text, 0, text.bytes.size()); }
  void append(const Text& text, std::size_t begin, std::size_t end);
  /// `text` so many times.
  void append_repeated(const Text& text, std::int64_t times);
  Budget& budget() const { return budget_; }
  std::size_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }
  const std::vector<TextRun>& runs() const { return runs_; }
  Value finish();
  /// The text with all of it marked alike.
  Value finish_as(bool input);

 private:
  void reserve(std::size_t bytes);

  Budget& budget_;
  std::string bytes_;
  std::vector<TextRun> runs_;
  std::size_t held_bytes_ = 0;
};

enum class SequenceKind { list, tuple, group, range, generator, keys, values, items };

/// A list, tuple, range, dict view or generator. A generator gives its items only once.
struct Sequence : Counted {
  Sequence(Budget& budget, SequenceKind sequence_kind, std::vector<Value> sequence_items);
  bool indexable() const { return kind <= SequenceKind::range; }
  /// What parts, sums and multiples of it are: a group is a tuple with names, they are not.
  SequenceKind unnamed() const { return kind == SequenceKind::group ? SequenceKind::tuple : kind; }
  const SequenceKind kind;
  const std::vector<Value> items;
  std::array<std::int64_t, 3> bounds = {};  ///< start, stop, step of a range
  int depth = 0;
  mutable bool consumed = false;
};

Value make_sequence(Budget& budget, SequenceKind kind, std::vector<Value> items);
inline Value make_list(Budget& budget, std::vector<Value> items) {
  return make_sequence(budget, SequenceKind::list, std::move(items));
}

/// A dict in the order of insertion.
struct Dict : Counted {
  using Entry = std::pair<Value, Value>;
  Dict(Budget& budget, std::vector<Entry> dict_entries);
  /// The value of that key, or null.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  const std::vector<Entry> entries;
  int depth = 0;
};

/// Whether a dict can have it as a key.
bool hashable(const Value& value);
/// Sets or replaces an entry as Python's `d[key] = value`. InputError if the key cannot be hashed.
void set_entry(Budget& budget, std::vector<Dict::Entry>& entries, Value key, Value value);

/// The keys, values or items (pairs) of a dict.
Value dict_view(Budget& budget, const Dict& dict, SequenceKind kind);

/// What a missing variable or attribute gives. `what` is the error that using it causes.
struct Undefined : Counted {
  Undefined(Budget& owner, std::string message) : Counted(owner), what(std::move(message)) {
    hold(sizeof(*this) + what.size());
  }
  const std::string what;
};

Value make_undefined(Budget& budget, std::string what);

/// The `loop` variable.
struct Loop : Counted {
  Loop(Budget& owner, std::vector<Value> loop_items, std::int64_t loop_depth)
      : Counted(owner), items(std::move(loop_items)), depth0(loop_depth) {
    hold(sizeof(*this) + items.size() * sizeof(Value));
  }
  const std::vector<Value> items;
  std::int64_t index0 = 0;
  std::int64_t depth0 = 0;
  std::string last_changed;  ///< what `changed` was last called with, printed
};

struct Cycler : Counted {
  Cycler(Budget& owner, std::vector<Value> cycler_items)
      : Counted(owner), items(std::move(cycler_items)) {
    hold(sizeof(*this) + items.size() * sizeof(Value));
  }
  const std::vector<Value> items;
  std::size_t position = 0;
};

struct Joiner : Counted {
  Joiner(Budget& owner, Value joiner_separator)
      : Counted(owner), separator(std::move(joiner_separator)) {
    hold(sizeof(*this));
  }
  const Value separator;
  bool used = false;
};

/// The only object that a template can change. The interpreter owns it.
struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
};

/// Arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// A filter, a test or a method: what it is applied to, and its arguments.
using Operation = Value (*)(Interpreter&, const Value& subject, const Arguments&);

struct Builtin {
  std::string_view name;
  Operation apply;
};

/// A global function.
struct Function {
  std::string_view name;
  Value (*call)(Interpreter&, const Arguments&);
};

/// A method and the value that it belongs to.
struct Method : Counted {
  Method(Budget& owner, Value method_subject, const Builtin& method)
      : Counted(owner), subject(std::move(method_subject)), builtin(method) {
    hold(sizeof(*this));
  }
  const Value subject;
  const Builtin& builtin;
};

/// Python's name of the value's type.
std::string_view type_name(const Value& value);
/// Whether the value counts as true.
bool truth(const Value& value);
/// Python's `==`. `depth` guards against a namespace that holds itself.
bool equal(const Value& a, const Value& b, int depth = 0);
/// Python's `a < b`; InputError for types that have no order.
bool less(Budget& budget, const Value& a, const Value& b, int depth = 0);
/// The items that a loop over the value sees. InputError if it cannot be iterated.
std::vector<Value> iterate(Budget& budget, const Value& value);
/// InputError with the text of `value` if it is undefined.
void require_defined(Budget& budget, const Value& value);

}  // namespace elenchus::jinja
