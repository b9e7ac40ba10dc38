#include "metrics/text_metrics.h"

#include <vector>

#include "metrics/characters.h"

namespace elenchus {
namespace {

std::vector<std::string_view> units_of(std::string_view text, TextUnit unit) {
  std::vector<std::string_view> out;
  for (std::size_t at = first_not_space(text, 0); at < text.size();
       at = first_not_space(text, at)) {
    const std::size_t begin = at;
    do at += character_at(text, at).second;
    while (unit == TextUnit::word && at < text.size() && !is_space(character_at(text, at).first));
    out.push_back(text.substr(begin, at - begin));
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  return without_spaces_at_end(text.substr(first_not_space(text, 0)));
}

}  // namespace

void DistinctN::observe(const Prediction& prediction) {
  const std::vector<std::string_view> units = units_of(prediction.text, unit_);
  const auto n = std::size_t(n_);
  for (std::size_t first = 0; first + n <= units.size(); ++first) {
    std::string gram;
    for (std::size_t i = 0; i < n; ++i) gram += std::string(units[first + i]) + '\n';
    seen_.insert(std::move(gram));
    ++total_;
  }
}

double DistinctN::result() const { return total_ > 0 ? double(seen_.size()) / double(total_) : 0; }

void DistinctN::reset() {
  seen_.clear();
  total_ = 0;
}

void ReplyLength::observe(const Prediction& prediction) {
  units_ += std::int64_t(units_of(prediction.text, unit_).size());
  ++texts_;
}

void ExactMatch::observe(const Prediction& prediction) {
  hits_ += trimmed(prediction.text) == trimmed(prediction.reference);
  ++texts_;
}

void RegexMatch::observe(const Prediction& prediction) {
  hits_ += pattern_.found_in(prediction.text);
  ++texts_;
}

}  // namespace elenchus
