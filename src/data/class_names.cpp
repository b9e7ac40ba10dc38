#include "data/class_names.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {
namespace {

constexpr std::string_view kUnnamed = "LABEL_";

/// The number that a label is: 7, or LABEL_7 as transformers calls a class without a name.
std::optional<std::int64_t> class_number(std::string_view label) {
  if (label.starts_with(kUnnamed)) label.remove_prefix(kUnnamed.size());
  const bool digits = !label.empty() && label.size() <= 9 &&
                      std::ranges::all_of(label, [](char c) { return c >= '0' && c <= '9'; });
  return digits ? std::optional(std::stoll(std::string(label))) : std::nullopt;
}

}  // namespace

std::string unnamed_class(std::int64_t number) { return cat(kUnnamed, number); }

std::vector<ClassName> classes_of(const std::set<std::string>& labels, const ClassFormat& format,
                                  std::int64_t num_labels) {
  std::vector<ClassName> classes;
  const auto is_number = [](const std::string& label) { return class_number(label).has_value(); };
  std::vector<std::string> ordered(format.classes.begin(), format.classes.end());
  if (ordered.empty() && !std::ranges::all_of(labels, is_number))
    ordered.assign(labels.begin(), labels.end());
  const auto names = [&] {
    std::string list;
    for (std::size_t i = 0; i < std::min<std::size_t>(ordered.size(), 10); ++i)
      list += cat(i > 0 ? ", " : "", printable(ordered[i]));
    return list + (ordered.size() > 10 ? ", ..." : "");
  };
  if (std::int64_t(ordered.size()) > num_labels)
    throw UserError(cat("model.num_labels: found ", num_labels, ", but the data has ",
                        ordered.size(), " classes (", names(), "); set it to ", ordered.size(),
                        " or more"));
  for (const std::string& name : ordered) {
    if (name.starts_with(kUnnamed) && is_number(name))
      throw InputError(cat("the label '", printable(name), "' stands among others (", names(),
                           "), but ", kUnnamed,
                           "<number> is how a class without a name is called; "
                           "expected only such labels, or none"));
    classes.push_back({name, true});
  }
  const bool all_unnamed = ordered.empty();
  for (auto i = std::int64_t(ordered.size()); i < num_labels; ++i)
    classes.push_back({unnamed_class(i), all_unnamed});
  return classes;
}

std::int64_t number_of(const std::string& label, const std::vector<ClassName>& classes) {
  const auto found = std::ranges::find(classes, label, &ClassName::name);
  return found != classes.end() ? found - classes.begin() : class_number(label).value_or(-1);
}

}  // namespace elenchus
