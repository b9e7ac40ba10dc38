#include "models/module_match.h"

#include "base/error.h"

namespace elenchus {

bool names_module(std::string_view entry, std::string_view module) {
  return module == entry || (module.size() > entry.size() && module.ends_with(entry) &&
                             module[module.size() - entry.size() - 1] == '.');
}

ModuleList::ModuleList(const std::vector<std::string>& entries, std::string_view key)
    : entries_(entries) {
  if (entries.size() == 1 && entries[0].find_first_of("*+?()[]|^$\\{") != std::string::npos)
    regex_.emplace(entries[0], key);
}

bool ModuleList::matches(std::string_view module) {
  bool any = false;
  for (const std::string& entry : entries_)
    if (regex_ ? regex_->matches(module) : entry == "all-linear" || names_module(entry, module))
      any = (used_.insert(entry), true);
  return any;
}

const std::string* ModuleList::unused() const {
  for (const std::string& entry : entries_)
    if (!used_.contains(entry)) return &entry;
  return nullptr;
}

ModulePattern::ModulePattern(const std::string& pattern, std::string_view key)
    : regex_(cat("(?:.*\\.)?(?:", pattern, ")"), key) {}

}  // namespace elenchus
