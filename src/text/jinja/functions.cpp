// The global functions of a chat template.
#include <algorithm>
#include <ctime>

#include "base/error.h"
#include "text/chat_template.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"

namespace elenchus::jinja {
namespace {

Value range(Interpreter& interpreter, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  const Bound bound(budget, "range", arguments, {"start", "stop", "step"}, 1);
  const bool one = !bound[1];
  const std::int64_t start = one ? 0 : bound.integer(0, 0);
  const std::int64_t stop = one ? bound.integer(0, 0) : bound.integer(1, 0);
  const std::int64_t step = bound.integer(2, 1);
  if (step == 0) budget.fail("range: a step of 0");
  std::vector<Value> items;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (std::int64_t(items.size()) >= kMaxRange)
      budget.fail(cat("range: more than ", kMaxRange, " items"));
    items.push_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  Ref<Sequence> sequence = make<Sequence>(budget, SequenceKind::range, std::move(items));
  sequence->bounds = {start, stop, step};
  return sequence;
}

Value dict(Interpreter& interpreter, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  std::vector<Dict::Entry> entries;
  if (arguments.positional.size() > 1) budget.fail("dict: at most 1 argument is taken");
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (from.dict()) entries = from.dict()->entries;
    for (const Value& item : from.dict() ? std::vector<Value>() : iterate(budget, from)) {
      std::vector<Value> pair = iterate(budget, item);
      if (pair.size() != 2) budget.fail("dict: an item that is no pair");
      set_entry(budget, entries, std::move(pair[0]), std::move(pair[1]));
    }
  }
  for (const auto& [name, value] : arguments.named)
    set_entry(budget, entries, make_text(budget, name), value);
  return make<Dict>(budget, std::move(entries));
}

Value make_namespace(Interpreter& interpreter, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  const Value attributes = dict(interpreter, arguments);
  Namespace& space = interpreter.make_namespace();
  for (const auto& [name, value] : attributes.dict()->entries) {
    if (!name.text()) budget.fail("namespace: a name that is no string");
    interpreter.set_attribute(space, name.text()->bytes, value);
  }
  return &space;
}

Value raise_exception(Interpreter& interpreter, const Arguments& arguments) {
  const Bound bound(interpreter.budget(), "raise_exception", arguments, {"message"}, 1);
  throw TemplateRefusal(to_text(interpreter.budget(), *bound[0]).text()->bytes);
}

Value strftime_now(Interpreter& interpreter, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  const Bound bound(budget, "strftime_now", arguments, {"format"}, 1);
  const Text* format = bound.text(0);
  constexpr std::size_t kMaxFormat = 256;
  if (!format || format->bytes.size() > kMaxFormat || format->bytes.find('\0') != std::string::npos)
    budget.fail("strftime_now: a malformed format");
  if (format->bytes.empty()) return make_text(budget, "");
  const std::time_t seconds = interpreter.now_seconds();
  std::tm parts{};
  if (!gmtime_r(&seconds, &parts)) budget.fail("strftime_now: a moment out of range");
  std::string out(64 * kMaxFormat, '\0');
  out.resize(std::strftime(out.data(), out.size(), format->bytes.c_str(), &parts));
  return make_text(budget, std::move(out), format->has_input());
}

Value cycler(Interpreter& interpreter, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty())
    interpreter.budget().fail("cycler: at least one item, and none with a name");
  return make<Cycler>(interpreter.budget(), arguments.positional);
}

Value joiner(Interpreter& interpreter, const Arguments& arguments) {
  const Bound bound(interpreter.budget(), "joiner", arguments, {"sep"});
  return make<Joiner>(interpreter.budget(), bound.value(0, make_text(interpreter.budget(), ", ")));
}

constexpr Function kFunctions[] = {
    {"cycler", cycler},
    {"dict", dict},
    {"joiner", joiner},
    {"namespace", make_namespace},
    {"raise_exception", raise_exception},
    {"range", range},
    {"strftime_now", strftime_now},
};

}  // namespace

const Function* find_function(std::string_view name) {
  const auto* found = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                   [name](const Function& f) { return f.name == name; });
  return found == std::end(kFunctions) ? nullptr : found;
}

}  // namespace elenchus::jinja
