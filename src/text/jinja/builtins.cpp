#include "text/jinja/builtins.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace elenchus::jinja {

Bound::Bound(Budget& budget, std::string_view callee, const Arguments& arguments,
             std::initializer_list<std::string_view> parameters, std::size_t required)
    : budget_(budget), callee_(callee), values_(parameters.size()) {
  if (arguments.positional.size() > parameters.size())
    budget.fail(cat(callee, ": at most ", parameters.size(), " arguments are taken"));
  for (std::size_t i = 0; i < arguments.positional.size(); ++i)
    values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto* found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end())
      budget.fail(cat(callee, ": there is no argument '", printable(name), "'"));
    const Value*& place = values_[std::size_t(found - parameters.begin())];
    if (place) budget.fail(cat(callee, ": argument '", name, "' is given twice"));
    place = &value;
  }
  for (std::size_t i = 0; i < required; ++i)
    if (!values_[i])
      budget.fail(cat(callee, ": argument '", parameters.begin()[i], "' is missing"));
}

Value Bound::value(std::size_t i, Value fallback) const {
  return values_[i] ? *values_[i] : std::move(fallback);
}

std::int64_t Bound::integer(std::size_t i, std::int64_t fallback) const {
  if (!values_[i]) return fallback;
  require_defined(budget_, *values_[i]);
  if (!values_[i]->integer())
    budget_.fail(cat(callee_, ": expected an integer, found a ", type_name(*values_[i])));
  return *values_[i]->integer();
}

bool Bound::flag(std::size_t i, bool fallback) const {
  return values_[i] ? truth(*values_[i]) : fallback;
}

const Text* Bound::text(std::size_t i) const {
  if (!values_[i] || values_[i]->is_none()) return nullptr;
  require_defined(budget_, *values_[i]);
  if (!values_[i]->text())
    budget_.fail(cat(callee_, ": expected a string, found a ", type_name(*values_[i])));
  return values_[i]->text();
}

}  // namespace elenchus::jinja
