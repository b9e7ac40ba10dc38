#include "metrics/text_metrics.h"

#include <vector>

namespace elenchus {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::vector<std::string_view> units_of(std::string_view text, TextUnit unit) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < text.size();) {
    if (is_space(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at + 1;
    while (end < text.size() &&
           (unit == TextUnit::word ? !is_space(text[end]) : continues(text[end])))
      ++end;
    out.push_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
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
